"""Colour order, mean and scale inside a graph, on graphs of one convolution."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.preprocessing import (
    embed_normalisation,
    feed_bytes,
    read_pixel_format,
    set_pixel_format,
)
from tests.workbench.small_graphs import Chain, answer, kinds, named

MEAN, SCALE = (103.5, 116.25, 123.75), (57.5, 57.0, 58.5)


def pixels(seed: int = 0, height: int = 9, width: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


def normalise(picture: np.ndarray, colour: str, mean=MEAN, scale=SCALE) -> np.ndarray:
    ordered = picture if colour == "RGB" else picture[..., ::-1]
    return ((ordered - np.array(mean)) / np.array(scale)).astype(np.float32)


def network(*, last: bool, readers: int = 1) -> ov.Model:
    chain = Chain(9, 9, last=last)
    start = chain.value
    chain.conv(4, "first", side=1 if readers > 1 else 3)
    if readers > 1:
        chain.value = ops.concat([chain.value, start], 1)
    return chain.model()


@pytest.mark.parametrize("last", [True, False], ids=["channels last", "channels first"])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("readers", [1, 2])
def test_bytes_give_the_outputs_of_normalised_floats(last: bool, colour: str, readers: int) -> None:
    model = network(last=last, readers=readers)
    floats = normalise(pixels(), colour)
    expected = answer(model, floats if last else floats.transpose(0, 3, 1, 2))
    embed_normalisation(model, colour=colour, mean=MEAN, scale=SCALE)  # type: ignore[arg-type]
    assert list(model.input(0).shape) == [1, 9, 9, 3]
    # A padded border is 0 for the network in both cases, because means aren't folded into the kernel.
    assert answer(model, pixels()) == pytest.approx(expected, abs=1e-3)


def test_colour_order_and_unequal_scales_are_folded_into_the_kernel() -> None:
    model = network(last=True)
    embed_normalisation(model, colour="BGR", mean=MEAN, scale=SCALE)
    assert "Gather" not in kinds(model)
    (factor,) = [
        node.input_value(1).get_node().get_data()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Multiply"
    ]
    assert factor.size == 1


def test_with_a_second_reader_nothing_is_folded_into_the_kernel() -> None:
    model = network(last=True, readers=2)
    before = named(model, "first").input_value(1).get_node().get_data().copy()
    embed_normalisation(model, colour="BGR", mean=MEAN, scale=SCALE)
    assert "Gather" in kinds(model)
    assert np.array_equal(named(model, "first").input_value(1).get_node().get_data(), before)


def test_a_normalisation_without_effect_adds_no_nodes() -> None:
    model = network(last=True)
    embed_normalisation(model, colour="RGB", mean=(0, 0, 0), scale=(1, 1, 1))
    assert not {"Subtract", "Multiply", "Gather"} & set(kinds(model))


@pytest.mark.parametrize("shape", [[1, 9, 9, 4], [1, 4, 9, 9], [1, 27], [1, 1, 9, 9, 3]], ids=str)
def test_an_input_that_is_not_a_picture_is_refused(shape: list[int]) -> None:
    given = ops.parameter(shape, np.float32, name="x")
    with pytest.raises(InputError, match=r"^expected an input of shape \(1, H, W, 3\), found \["):
        embed_normalisation(
            ov.Model([ops.result(ops.relu(given))], [given], "odd"), colour="RGB", mean=MEAN, scale=SCALE
        )


def bytes_in() -> ov.Model:
    model = network(last=True)
    embed_normalisation(model, colour="RGB", mean=(127.5,) * 3, scale=(127.5,) * 3)
    return model


def test_bgr_bytes_give_the_outputs_of_rgb_bytes() -> None:
    expected = answer(bytes_in(), pixels())
    model = set_pixel_format(bytes_in(), "BGR")
    assert read_pixel_format(model) == "BGR"
    assert answer(model, np.ascontiguousarray(pixels()[..., ::-1])) == pytest.approx(expected, abs=1e-5)


def test_the_pixel_format_can_be_changed_only_once_and_only_for_bytes() -> None:
    with pytest.raises(InputError, match=r"^expected a graph that takes uint8 RGB of shape \(1, H, W, 3\), found BGR"):
        set_pixel_format(set_pixel_format(bytes_in(), "BGR"), "NV12")
    with pytest.raises(InputError, match=r"found RGB \[1,9,9,3\]$"):
        set_pixel_format(network(last=True), "BGR")


def test_odd_sides_are_refused_for_nv12() -> None:
    with pytest.raises(InputError, match=r"^NV12 needs even height and width, found 9×9; reshape the graph first$"):
        set_pixel_format(bytes_in(), "NV12")


def test_a_graph_without_a_stored_format_takes_rgb() -> None:
    assert read_pixel_format(network(last=True)) == "RGB"


def quantized(*, mean: float = 127.5, padded: bool = False) -> ov.Model:
    """Return a graph of a byte picture that is normalised, rounded to 8 bits, and convolved."""
    picture = ops.parameter([1, 9, 9, 3], np.uint8, name="image")
    value = ops.multiply(ops.subtract(ops.convert(picture, "f32"), np.float32(mean)), np.float32(1 / 128))
    bounds = [np.float32(bound) for bound in (-1, 1, -1, 1)]
    value = ops.transpose(ops.fake_quantize(value, *bounds, 255), np.array([0, 3, 1, 2]))
    side = 3 if padded else 1
    kernel = np.random.default_rng(2).normal(0, 0.3, (4, 3, side, side)).astype(np.float32)
    value = ops.convolution(value, kernel, [1, 1], [side // 2] * 2, [side // 2] * 2, [1, 1])
    bias = np.random.default_rng(3).normal(0, 0.3, (1, 4, 1, 1)).astype(np.float32)
    return ov.Model([ops.result(ops.add(value, bias))], [picture], "quantized")


def test_bytes_are_fed_to_the_first_convolution_without_changing_the_output() -> None:
    model = quantized()
    before = answer(model, pixels())
    assert feed_bytes(model)
    assert "FakeQuantize" not in kinds(model)
    assert answer(model, pixels()) == pytest.approx(before, abs=0.02)


@pytest.mark.parametrize("mean", [127.5, 103.2, 0.4])
def test_the_zero_point_is_an_integer_and_the_bias_compensates_for_it(mean: float) -> None:
    model = quantized(mean=mean)
    exact = quantized(mean=mean)
    rounding = next(node for node in exact.get_ordered_ops() if node.get_type_name() == "FakeQuantize")
    rounding.output(0).replace(rounding.input_value(0))
    assert feed_bytes(model)
    point = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Subtract").input_value(1)
    assert float(point.get_node().get_data().reshape(-1)[0]).is_integer()
    assert answer(model, pixels()) == pytest.approx(answer(exact, pixels()), abs=1e-4)


def test_feeding_bytes_changes_only_padded_positions() -> None:
    model, exact = quantized(padded=True), quantized(padded=True)
    rounding = next(node for node in exact.get_ordered_ops() if node.get_type_name() == "FakeQuantize")
    rounding.output(0).replace(rounding.input_value(0))
    assert feed_bytes(model)
    difference = np.abs(answer(model, pixels()) - answer(exact, pixels()))
    assert difference[..., 1:-1, 1:-1].max() < 1e-4


@pytest.mark.parametrize(
    "make", [lambda: network(last=True), bytes_in], ids=["a graph of floats", "a graph that isn't quantized"]
)
def test_a_graph_that_does_not_quantize_its_input_is_not_changed(make) -> None:
    model = make()
    before = kinds(model)
    assert not feed_bytes(model)
    assert kinds(model) == before
