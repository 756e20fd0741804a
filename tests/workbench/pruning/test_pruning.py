"""Which channels are removed: those with the least loss for the time saved, until enough is saved."""

import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.pruning import layer_timings
from danmatte_workbench.pruning.channels import ChannelMap
from danmatte_workbench.pruning.importance import BLOCK, RemovalOrder
from danmatte_workbench.pruning.latency_model import LatencyModel
from danmatte_workbench.pruning.pruning import allocate, compute_change, prune, read_mixers
from tests.workbench.small_graphs import Chain, answer, named, noise


def pictures(count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(0, 1, (1, 3, 9, 9)).astype(np.float32) for _ in range(count)]


def two_spaces() -> ov.Model:
    return Chain().conv(48, "first").relu().conv(48, "second").relu().conv(3, "third").model()


@pytest.fixture(scope="module")
def spaces() -> tuple[dict[int, int], LatencyModel]:
    channels = ChannelMap(two_spaces())
    widths = {number: space.width for number, space in channels.find_prunable().items()}
    return widths, LatencyModel(channels, {"first": 1.0, "second": 4.0, "third": 1.0})


def orders(widths: dict[int, int], *losses: float) -> dict[int, RemovalOrder]:
    """Return removal orders in which each channel of a space costs its entry in ``losses``."""
    return {
        number: RemovalOrder(np.arange(width), loss * np.arange(width - BLOCK + 1))
        for (number, width), loss in zip(widths.items(), losses, strict=True)
    }


def test_no_channels_are_removed_if_no_time_must_be_saved(spaces) -> None:
    widths, latency = spaces
    assert set(allocate(widths, orders(widths, 1, 1), dict.fromkeys(widths, 1.0), latency, 0.0).values()) == {0}


def test_the_space_with_the_least_loss_is_pruned_first(spaces) -> None:
    widths, latency = spaces
    for losses, dear in (((1.0, 100.0), 1), ((100.0, 1.0), 0)):
        removed = list(allocate(widths, orders(widths, *losses), dict.fromkeys(widths, 1.0), latency, 0.5).values())
        assert removed[dear] == 0
        assert removed[1 - dear] == BLOCK


def test_losses_are_weighted_by_their_effect_on_the_output(spaces) -> None:
    widths, latency = spaces
    first, second = widths
    removed = allocate(widths, orders(widths, 1.0, 1.0), {first: 1000.0, second: 1.0}, latency, 0.5)
    assert (removed[first], removed[second]) == (0, BLOCK)


def test_the_requested_time_is_saved_and_hardly_more(spaces) -> None:
    widths, latency = spaces
    for wanted in (0.3, 1.0, 2.0, 3.0):
        removed = allocate(widths, orders(widths, 1.0, 1.2), dict.fromkeys(widths, 1.0), latency, wanted)
        left = {number: widths[number] - removed[number] for number in widths}
        saved = latency.predict_total({}) - latency.predict_total(left)
        assert saved >= wanted - 1e-9
        assert saved < wanted + 2.0  # a block of the dearest layer
        assert all(count % BLOCK == 0 for count in removed.values())


def test_an_impossible_saving_is_refused_with_the_reason(spaces) -> None:
    widths, latency = spaces
    with pytest.raises(InputError, match=r"ms: no space has 16 channels to remove$"):
        allocate(widths, orders(widths, 1, 1), dict.fromkeys(widths, 1.0), latency, 5.9)


def test_mixers_have_their_weights_and_the_moments_of_their_inputs() -> None:
    model = two_spaces()
    mixers = read_mixers(model, {"second", "third"}, pictures())
    second = mixers["second"]
    assert second.weights.shape == (48, 49)
    assert second.weights[:, :-1] == pytest.approx(
        named(model, "second").input_value(1).get_node().get_data()[..., 0, 0]
    )
    assert second.weights[:, -1] == pytest.approx(
        named(model, "second/bias").input_value(1).get_node().get_data().reshape(-1)
    )
    assert second.moment[-1, -1] == 6 * 81  # a one for each place of each picture
    assert np.allclose(second.moment, second.moment.T)
    assert (np.linalg.eigvalsh(second.moment) > -1e-6 * np.trace(second.moment)).all()


def test_a_mixer_without_a_bias_has_a_column_of_zeros() -> None:
    model = Chain().conv(32, "first").relu().conv(3, "last", bias=False).model()
    assert not read_mixers(model, {"last"}, pictures())["last"].weights[:, -1].any()


def test_a_change_is_relative_to_the_original_outputs() -> None:
    right = np.array([[1.0, 0.0, 0.0, 0.0]])
    assert compute_change(right, right) == 0
    assert compute_change(0 * right, right) == pytest.approx(1, abs=0.05)
    assert compute_change(right * 10, right * 10 * 2) == pytest.approx(0.25, abs=0.01)
    assert np.isfinite(compute_change(np.ones((1, 4)), np.zeros((1, 4))))


@pytest.mark.parametrize("stages", [1, 3])
def test_a_pruned_graph_gives_almost_the_same_output(stages: int) -> None:
    """Half of the channels are duplicates, so they can be removed."""
    model = two_spaces()
    for name, axis in (("first", 0), ("second", 0)):
        for node, values in ((named(model, name), None), (named(model, f"{name}/bias"), None)):
            values = node.input_value(1).get_node().get_data()
            values = values.take(np.arange(48) % 16, axis=axis if node.get_type_name() == "Convolution" else 1)
            node.input(1).replace_source_output(ov.opset13.constant(np.ascontiguousarray(values)).output(0))
    whole = model.clone()
    words = prune(model, pictures(), 0.5, {"first": 1.0, "second": 4.0, "third": 1.0}, stages=stages)
    assert words.startswith("channels 99 → ")
    assert "convolutions 6.0 ms → about " in words
    assert named(model, "second").get_output_shape(0)[1] < 48
    picture = noise(whole, 5)
    assert np.abs(answer(model, picture) - answer(whole, picture)).max() < 0.05 * np.abs(answer(whole, picture)).max()


def test_times_of_nodes_other_than_convolutions_are_ignored() -> None:
    model = two_spaces()
    words = prune(model, pictures(), 0.2, {"first": 1.0, "second": 4.0, "third": 1.0, "Relu": 100.0})
    assert "convolutions 6.0 ms" in words


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the timings; each of them returns different times."""
    timed: list[int] = []

    def time_layers(model: ov.Model, seen: list[np.ndarray]) -> dict[str, float]:
        timed.append(len(seen))
        return {"first": float(len(timed))}

    monkeypatch.setattr(layer_timings, "time_layers", time_layers)
    return timed


def test_timings_of_a_graph_are_stored_and_reused(tmp_path: Path, clock: list[int]) -> None:
    times = [layer_timings.load_or_time(two_spaces(), pictures(), "a", tmp_path / "kept") for _ in range(3)]
    assert times == [{"first": 1.0}] * 3
    assert clock == [6]
    (kept,) = (tmp_path / "kept").iterdir()
    assert json.loads(kept.read_text()) == {"first": 1.0}


def test_a_different_graph_is_timed_again(tmp_path: Path, clock: list[int]) -> None:
    for digest in ("a", "b", "a"):
        layer_timings.load_or_time(two_spaces(), pictures(), digest, tmp_path)
    assert len(clock) == 2


def test_damaged_timings_are_measured_again(tmp_path: Path, clock: list[int]) -> None:
    times = [layer_timings.load_or_time(two_spaces(), pictures(), "a", tmp_path)]
    (stored,) = tmp_path.iterdir()
    stored.write_text('{"first": 1')
    times += [layer_timings.load_or_time(two_spaces(), pictures(), "a", tmp_path) for _ in range(2)]
    assert times == [{"first": 1.0}, {"first": 2.0}, {"first": 2.0}]
    assert list(tmp_path.iterdir()) == [stored]


def test_timings_that_cannot_be_stored_raise_an_error_with_the_path(tmp_path: Path, clock: list[int]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"file.*can't be written"):
        layer_timings.load_or_time(two_spaces(), pictures(), "a", tmp_path / "file")


def test_without_a_folder_timings_are_not_stored(clock: list[int]) -> None:
    for _ in range(2):
        layer_timings.load_or_time(two_spaces(), pictures(), "a", None)
    assert len(clock) == 2


def test_convolutions_are_timed_by_name_in_a_quantized_copy() -> None:
    model = Chain(33, 33, last=True).conv(32, "first", side=3).relu().conv(16, "second").model()
    rng = np.random.default_rng(0)
    seen = [rng.normal(0, 1, (1, 33, 33, 3)).astype(np.float32) for _ in range(2)]
    times = layer_timings.time_layers(model, seen)
    assert times["first"] > 0
    assert times["second"] > 0
    assert "FakeQuantize" not in {node.get_type_name() for node in model.get_ops()}, "a copy is quantized"
