"""The default network: shapes, sizes and computational cost."""

from pathlib import Path

import keras
import numpy as np
import pytest

from danmatte_workbench.training.deeplab import architecture


@pytest.fixture(scope="module")
def counts() -> dict[str, int]:
    return architecture.multiply_adds(architecture.build())


def test_the_decoder_takes_at_most_fifteen_percent_of_the_multiply_adds(counts: dict[str, int]) -> None:
    decoder = sum(count for name, count in counts.items() if name.startswith(("decoder", "logits")))
    assert 0 < decoder <= 0.15 * sum(counts.values())


def test_multiply_adds_equal_a_calculation_by_hand(counts: dict[str, int]) -> None:
    assert counts["MobilenetV2-Conv"] == 257 * 257 * 32 * 3 * 3 * 3
    assert counts["MobilenetV2-expanded_conv-depthwise"] == 257 * 257 * 32 * 3 * 3
    assert counts["logits-semantic"] == 129 * 129 * 2 * counts_of_inputs()


def counts_of_inputs() -> int:
    """Return the number of channels that the last convolution reads."""
    return architecture.build((17, 17)).get_layer("logits-semantic").input.shape[-1]


@pytest.mark.parametrize("size", [(17, 17), (33, 65), (513, 513)])
def test_logits_have_a_quarter_of_the_resolution(size: tuple[int, int]) -> None:
    height, width = size
    assert architecture.build(size).output.shape == (None, (height + 3) // 4, (width + 3) // 4, 2)


@pytest.mark.parametrize("size", [(512, 512), (513, 512), (16, 17)])
def test_a_size_that_strides_cannot_divide_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"16·k \+ 1"):
        architecture.build(size)


def test_shapes_of_weights_do_not_depend_on_the_size_of_the_input() -> None:
    small, large = (architecture.build(size) for size in ((17, 17), (33, 49)))
    assert [weight.shape for weight in small.weights] == [weight.shape for weight in large.weights]


# The encoder is MobileNetV2 as in table 2 of its paper, with the last stage dilated instead of strided.

CHANNELS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
WITH_SHORTCUT = {2, 4, 5, 7, 8, 9, 11, 12, 14, 15}


def name_block(index: int) -> str:
    return "MobilenetV2-expanded_conv" + (f"_{index}" if index else "")


@pytest.mark.parametrize("index", range(17))
def test_a_block_has_the_channels_and_expansion_of_the_paper(network: keras.Model, index: int) -> None:
    block = network.get_layer(f"{name_block(index)}-project")
    assert block.output.shape[-1] == CHANNELS[index]
    depthwise = network.get_layer(f"{name_block(index)}-depthwise")
    entering = CHANNELS[index - 1] if index else 32
    assert depthwise.input.shape[-1] == (6 * entering if index else 32)
    names = {layer.name for layer in network.layers}
    assert (f"{name_block(index)}-expand" in names) == bool(index)
    assert (f"{name_block(index)}-add" in names) == (index in WITH_SHORTCUT)


def test_the_last_stage_is_dilated_instead_of_strided(network: keras.Model) -> None:
    depthwise = [network.get_layer(f"{name_block(index)}-depthwise") for index in range(17)]
    assert [index for index, layer in enumerate(depthwise) if layer.strides == (2, 2)] == [1, 3, 6]
    assert [index for index, layer in enumerate(depthwise) if layer.dilation_rate == (2, 2)] == [14, 15, 16]


@pytest.mark.parametrize("size", [(33, 33), (17, 49)])
def test_the_encoder_outputs_features_at_strides_4_8_and_16(size: tuple[int, int]) -> None:
    skip, middle, features = architecture.encode(keras.Input((*size, 3)))
    height, width = size
    assert skip.shape == (None, (height + 3) // 4, (width + 3) // 4, 24)
    assert middle.shape == (None, (height + 7) // 8, (width + 7) // 8, 32)
    assert features.shape == (None, (height + 15) // 16, (width + 15) // 16, 320)


def test_the_atrous_branches_have_dilations_6_12_and_18(network: keras.Model) -> None:
    rates = [network.get_layer(f"aspp{number}_depthwise").dilation_rate for number in (1, 2, 3)]
    assert rates == [(6, 6), (12, 12), (18, 18)]
    assert network.get_layer("concat_projection").input.shape[-1] == 256 + 3 * 64


def test_activations_of_the_encoder_are_relu6_or_linear(network: keras.Model) -> None:
    encoder = [layer for layer in network.layers if layer.name.startswith("MobilenetV2") and layer.get_weights()]
    activations = {layer.name.rpartition("-")[2]: layer.activation.__name__ for layer in encoder}
    assert activations == {"Conv": "relu6", "depthwise": "relu6", "expand": "relu6", "project": "linear"}


def test_multiply_adds_are_counted_for_convolutions_only(network: keras.Model) -> None:
    counted = architecture.multiply_adds(network)
    with_kernels = {layer.name for layer in network.layers if hasattr(layer, "kernel_size")}
    assert counted.keys() == with_kernels
    assert all(count > 0 for count in counted.values())


def test_multiply_adds_grow_with_the_area_of_the_picture(counts: dict[str, int], network: keras.Model) -> None:
    small = architecture.multiply_adds(network)
    assert counts["MobilenetV2-Conv"] / small["MobilenetV2-Conv"] == (257 / 17) ** 2
    assert counts["image_pooling"] == small["image_pooling"]  # one place, whatever the picture


def test_the_same_weights_can_be_used_at_every_size(network: keras.Model) -> None:
    larger = architecture.build((49, 65))
    larger.set_weights(network.get_weights())
    grey = [np.full((1, *size, 3), 0.25, np.float32) for size in ((33, 33), (49, 65))]
    small, large = network(grey[0]), larger(grey[1])
    assert large.shape == (1, 13, 17, 2)
    assert np.isfinite(large).all()
    assert not np.allclose(np.asarray(small).mean(), 0)


# Enlarging


@pytest.mark.parametrize(("size", "target"), [((2, 2), (5, 5)), ((3, 4), (9, 7)), ((5, 5), (5, 5)), ((4, 3), (2, 2))])
def test_enlarging_keeps_the_corners_and_is_linear_between(size: tuple[int, int], target: tuple[int, int]) -> None:
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    plane = 2 * rows - 3 * columns
    found = np.asarray(architecture.Enlarge(target)(plane[None, ..., None]))[0, ..., 0]
    down = np.linspace(0, size[0] - 1, target[0])[:, None]
    across = np.linspace(0, size[1] - 1, target[1])[None]
    assert found == pytest.approx(2 * down - 3 * across, abs=1e-4)


def test_the_enlarging_layer_reports_its_shape_and_is_restored_from_its_config() -> None:
    layer = architecture.Enlarge((5, 7))
    assert layer.compute_output_shape((None, 2, 3, 4)) == (None, 5, 7, 4)
    again = architecture.Enlarge.from_config(layer.get_config())
    assert (again.size, again.name) == (layer.size, layer.name)


def test_a_saved_network_has_the_same_outputs(network: keras.Model, tmp_path: Path) -> None:
    network.save(tmp_path / "network.keras")
    read = keras.saving.load_model(tmp_path / "network.keras")
    pixels = np.random.default_rng(1).uniform(-1, 1, (1, 33, 33, 3)).astype(np.float32)
    assert np.array_equal(read(pixels), network(pixels))


def test_narrowing_a_layer_neither_adds_nor_removes_shortcuts() -> None:
    first = {"MobilenetV2-Conv": 16}  # as many channels as the first block gives
    last = {"MobilenetV2-expanded_conv_16-project": 160}  # as many as the block before gives
    for widths in (first, last):
        narrow, whole = architecture.build((17, 17), widths), architecture.build((17, 17))
        adds = [[layer.name for layer in model.layers if layer.name.endswith("-add")] for model in (narrow, whole)]
        assert adds[0] == adds[1]
        (name,) = widths
        assert narrow.get_layer(name).output.shape[-1] == widths[name]
