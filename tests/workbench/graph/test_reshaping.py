"""Other input sizes: nodes that adapt themselves, nodes that are adapted, and errors that name the others."""

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.reshaping import read_input_size, reshape, scale_size
from danmatte_workbench.graph.surgery import read_grid, replace_head
from tests.workbench.small_graphs import Chain, answer, kinds, named, noise


def pyramid(height: int, width: int, *, last: bool = True, pool: str = "AvgPool") -> ov.Model:
    """Return features at half the size, their global pooling resized to them, and a resize back to the picture."""
    chain = Chain(height, width, last=last).conv(6, "stem", side=3, stride=2).relu()
    features, places = chain.value, list(chain.value.get_output_shape(0))[2:]
    if pool == "AvgPool":
        whole = ops.avg_pool(features, [1, 1], [0, 0], [0, 0], places, True)
    else:
        whole = ops.max_pool(features, [1, 1], [1, 1], [0, 0], [0, 0], places)
    whole.set_friendly_name("pool")
    chain.value = ops.relu(whole.output(0))
    pooled = chain.conv(4, "pooled").resize(*places).value
    chain.value = ops.concat([features, pooled], 1)
    return chain.conv(2, "logits").resize(height, width).model()


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("pool", ["AvgPool", "MaxPool"])
@pytest.mark.parametrize("size", [(17, 33), (33, 17), (64, 48)], ids=str)
def test_a_reshaped_graph_equals_one_made_at_that_size(size: tuple[int, int], pool: str, last: bool) -> None:
    model, meant = pyramid(33, 33, last=last, pool=pool), pyramid(*size, last=last, pool=pool)
    assert reshape(model, size) == (33, 33)
    assert read_input_size(model) == size
    picture = noise(meant)
    assert answer(model, picture) == pytest.approx(answer(meant, picture), abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(8, 70), st.integers(8, 70))
def test_reshaping_to_any_size_and_back_keeps_the_outputs(height: int, width: int) -> None:
    model, picture = pyramid(33, 25), noise(pyramid(33, 25))
    before = answer(model, picture)
    reshape(model, (height, width))
    reshape(model, (33, 25))
    assert answer(model, picture) == pytest.approx(before, abs=1e-5)


def test_reshaping_moves_the_grid() -> None:
    model, meant = replace_head(pyramid(33, 33), 1), replace_head(pyramid(65, 49), 1)
    reshape(model, (65, 49))
    assert read_grid(model) == read_grid(meant)


def test_a_global_pooling_becomes_a_mean_of_the_same_name() -> None:
    model = pyramid(33, 33)
    reshape(model, (65, 65))
    assert named(model, "pool").get_type_name() == "ReduceMean"
    assert "AvgPool" not in kinds(model)


def test_a_pooling_of_small_windows_is_kept() -> None:
    chain = Chain(16, 16, last=True).conv(4, "stem")
    chain.value = ops.avg_pool(chain.value, [2, 2], [0, 0], [0, 0], [2, 2], True)
    model = chain.model()
    reshape(model, (32, 24))
    assert "AvgPool" in kinds(model)
    assert list(model.output(0).shape) == [1, 4, 16, 12]


def test_a_resize_with_an_ambiguous_new_size_is_refused() -> None:
    """At 16×16, a stride of 2 and a window of 8 give the same size; at other sizes, they don't."""
    chain = Chain(16, 16, last=True)
    start = chain.value
    halved = chain.conv(4, "halves", side=3, stride=2).value
    chain.value = start
    cut = ops.convolution(start, np.ones((4, 3, 9, 9), np.float32), [1, 1], [0, 0], [0, 0], [1, 1])
    chain.value = ops.add(halved, cut)
    chain.value = ops.avg_pool(halved, [8, 8], [0, 0], [0, 0], [8, 8], True)
    chain.resize(8, 8)
    chain.value.set_friendly_name("torn")
    model = chain.model(cut)
    with pytest.raises(
        InputError, match=r"^Interpolate torn has the target 8×8; its new size would be \d+×\d+ or \d+×\d+, so"
    ):
        reshape(model, (24, 24))


def test_a_resize_to_a_size_that_no_map_has_is_refused() -> None:
    chain = Chain(16, 16, last=True).conv(4, "stem").resize(40, 30)
    chain.value.set_friendly_name("large")
    with pytest.raises(InputError, match=r"^Interpolate large has the target 40×30; its new size would be unknown"):
        reshape(chain.model(), (32, 32))


def test_a_dense_layer_on_all_positions_is_refused_by_name() -> None:
    chain = Chain(8, 8, last=True).conv(2, "stem")
    flat = ops.reshape(chain.value, np.array([1, -1]), special_zero=False)
    chain.value = ops.matmul(flat, np.ones((128, 2), np.float32), False, False)
    chain.value.set_friendly_name("dense")
    with pytest.raises(InputError, match=r"^MatMul dense was made for one input size and can't be reshaped: "):
        reshape(chain.model(), (16, 16))


def test_a_flattened_output_may_change_its_length() -> None:
    chain = Chain(4, 4, last=True).conv(2, "stem")
    chain.value = ops.reshape(chain.value, np.array([1, -1]), special_zero=False)
    model = chain.model()
    reshape(model, (8, 8))
    assert list(model.output(0).shape) == [1, 128]


def test_an_output_whose_channels_would_change_is_refused() -> None:
    """All positions become channels of a map, so that three of the four sides of the output would change."""
    chain = Chain(4, 4, last=True).conv(2, "stem")
    mean = ops.reduce_mean(chain.value, np.array([1]), keep_dims=True)
    chain.value = ops.multiply(ops.reshape(chain.value, np.array([1, -1, 1, 1]), special_zero=False), mean)
    chain.value.set_friendly_name("spread")
    with pytest.raises(InputError, match=r"^the output of spread would be .*128.* instead of .*32.*can't be reshaped$"):
        reshape(chain.model(), (8, 8))


@pytest.mark.parametrize("shape", [[1, 7], [1, 2, 3, 4, 5]], ids=str)
def test_the_size_of_an_input_that_is_not_a_picture_cannot_be_read(shape: list[int]) -> None:
    picture = ops.parameter(shape, np.float32)
    with pytest.raises(InputError, match=r"^expected one input of shape \(1, H, W, 3\), found"):
        read_input_size(ov.Model([ops.result(ops.relu(picture))], [picture], "odd"))


def test_the_size_of_a_graph_of_any_size_cannot_be_read() -> None:
    model = Chain(8, 8, last=True).conv(2, "stem").model()
    model.reshape([1, -1, 8, 3])
    with pytest.raises(InputError, match=r"^expected an input of fixed size, found \[1,\?,8,3\]$"):
        read_input_size(model)


@given(st.integers(33, 2000), st.integers(33, 2000), st.floats(0.05, 1))
def test_a_scaled_size_lies_on_the_same_grid(height: int, width: int, share: float) -> None:
    for side, scaled in zip((height, width), scale_size((height, width), share), strict=True):
        assert (scaled - side % 2) % 32 == 0
        assert abs(scaled - side * share) <= 33
