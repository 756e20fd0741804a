"""Time decreases with channels, in the kernels' steps."""

import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte_workbench.pruning.channels import ChannelMap
from danmatte_workbench.pruning.importance import BLOCK
from danmatte_workbench.pruning.latency_model import LatencyModel
from tests.workbench.small_graphs import Chain

MS = {"first": 4.0, "second": 8.0, "third": 1.0}


@pytest.fixture(scope="module")
def model() -> ov.Model:
    return Chain().conv(64, "first").relu().conv(32, "second").relu().conv(3, "third").model()


@pytest.fixture(scope="module")
def spaces(model: ov.Model) -> tuple[int, int]:
    """Return the numbers of the spaces of 64 and of 32 channels."""
    by_width = {space.width: number for number, space in ChannelMap(model).find_prunable().items()}
    return by_width[64], by_width[32]


@pytest.fixture(scope="module")
def latency(model: ov.Model) -> LatencyModel:
    return LatencyModel(ChannelMap(model), MS)


def test_the_whole_graph_has_the_measured_time(latency: LatencyModel) -> None:
    assert latency.predict_layers({}) == MS
    assert latency.predict_total({}) == 13


def test_halving_channels_halves_the_time_of_their_producers_and_readers(
    latency: LatencyModel, spaces: tuple[int, int]
) -> None:
    first, _ = spaces
    assert latency.predict_layers({first: 32}) == {"first": 2.0, "second": 4.0, "third": 1.0}


def test_reductions_of_inputs_and_outputs_multiply(latency: LatencyModel, spaces: tuple[int, int]) -> None:
    first, second = spaces
    assert latency.predict_layers({first: 32, second: 16}) == {"first": 2.0, "second": 2.0, "third": 0.5}


def test_the_time_of_a_space_is_that_of_its_producers_and_readers(
    latency: LatencyModel, spaces: tuple[int, int]
) -> None:
    first, second = spaces
    assert latency.predict_space(first, {}) == 12
    assert latency.predict_space(second, {}) == 9
    assert latency.predict_space(999, {}) == 0


@pytest.mark.parametrize(("kept", "ms"), [(64, 4.0), (63, 4.0), (49, 4.0), (48, 3.0), (33, 3.0), (1, 1.0)])
def test_time_decreases_in_blocks_of_channels(
    latency: LatencyModel, spaces: tuple[int, int], kept: int, ms: float
) -> None:
    assert latency.predict_layers({spaces[0]: kept})["first"] == ms


@given(st.integers(1, 64), st.integers(1, 64))
def test_fewer_channels_never_take_longer(one: int, other: int) -> None:
    model = Chain().conv(64, "first").relu().conv(32, "second").model()
    latency = LatencyModel(ChannelMap(model), {"first": 4.0, "second": 8.0})
    (number,) = ChannelMap(model).find_prunable()
    few, many = sorted((one, other))
    assert latency.predict_total({number: few}) <= latency.predict_total({number: many})
    if many - few >= BLOCK:
        assert latency.predict_total({number: few}) < latency.predict_total({number: many})


def test_layers_outside_all_spaces_keep_their_time() -> None:
    model = Chain().conv(32, "first").relu().conv(3, "second").model()
    latency = LatencyModel(ChannelMap(model), {"elsewhere": 2.0})
    assert latency.predict_layers({0: 1}) == {"elsewhere": 2.0}
