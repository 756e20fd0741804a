"""Initial weights from the official network."""

import keras
import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import architecture, initialise
from danmatte_workbench.training.deeplab.initialise import VOC_CLASSES, dequantize
from tests.workbench.training.deeplab.conftest import SIDE, Official

# Dequantizing


def quantize(*values: int, shape: tuple[int, ...] | None = None) -> tuple[np.ndarray, float, int]:
    array = np.array(values, np.uint8)
    return (array if shape is None else array.reshape(shape)), 0.5, 10


def test_dequantized_values_are_scaled_from_their_zero_point() -> None:
    found = dequantize(
        {
            "MobilenetV2/Conv/Conv2D;weights_quant": quantize(10, 12, 0, 255, shape=(1, 2, 2, 1)),
            "MobilenetV2/Conv/add_fold": quantize(10, 11),
        }
    )
    kernel, bias = found["MobilenetV2/Conv"]
    assert kernel.ravel().tolist() == [0, 1, -5, 122.5]
    assert bias.tolist() == [0, 0.5]
    assert kernel.dtype == bias.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("MobilenetV2/expanded_conv_3/expand/Conv2D", "MobilenetV2/expanded_conv_3/expand"),
        ("MobilenetV2/expanded_conv/depthwise/depthwise_Fold", "MobilenetV2/expanded_conv/depthwise"),
        ("aspp0/BatchNorm_Fold/bias", "aspp0"),
        ("logits/semantic/BiasAdd", "logits/semantic"),
    ],
)
def test_a_layer_is_named_by_what_comes_before_its_operation(name: str, layer: str) -> None:
    found = dequantize(
        {f"{name}_weights_quant/x": quantize(1, 2, shape=(1, 1, 1, 2)), f"{layer}/add_fold": quantize(1, 2)}
    )
    assert set(found) == {layer}


def test_tensors_that_are_not_a_kernel_with_its_bias_are_ignored() -> None:
    found = dequantize(
        {
            "a/Conv2D": quantize(1, 2, shape=(1, 1, 1, 2)),  # an activation, whose name isn't that of a weight
            "a/add_fold": quantize(1, 2),
            "b/Conv2D;weights_quant": quantize(1, 2, shape=(1, 1, 1, 2)),
            "c/BiasAdd": quantize(1, 2),
            "ImageTensor": quantize(1, 2),
        }
    )
    assert found == {}


# The official network


def test_the_official_network_outputs_its_classes_at_stride_16(official: Official) -> None:
    model = initialise.build_official(official, (SIDE, 49))
    assert model.output.shape == (None, 3, 4, VOC_CLASSES)


def test_a_missing_layer_is_reported_by_name(official: Official) -> None:
    without = {name: weights for name, weights in official.items() if name != "MobilenetV2/expanded_conv_4/expand"}
    with pytest.raises(InputError, match=r"have no layer MobilenetV2/expanded_conv_4/expand; they hold \d+ others"):
        initialise.build_official(without, (SIDE, SIDE))


# The network that starts from it


@pytest.fixture(scope="module")
def started(official: Official) -> tuple[keras.Model, list[str]]:
    keras.utils.set_random_seed(1)
    model = architecture.build((SIDE, SIDE))
    return model, initialise.start_from(model, official)


def test_only_layers_that_the_official_network_lacks_start_with_new_weights(
    started: tuple[keras.Model, list[str]],
) -> None:
    _, fresh = started
    atrous = {f"aspp{number}_{part}" for number in (1, 2, 3) for part in ("depthwise", "pointwise")}
    decoder = {f"decoder-conv{number}_{part}" for number in (0, 1) for part in ("depthwise", "pointwise")}
    assert set(fresh) == atrous | decoder | {"decoder-features", "decoder-middle", "decoder-skip", "logits-semantic"}
    assert len(fresh) == len(set(fresh))


def test_known_layers_hold_the_official_weights(started: tuple[keras.Model, list[str]], official: Official) -> None:
    model, _ = started
    for name in ("MobilenetV2/Conv", "MobilenetV2/expanded_conv_7/depthwise", "aspp0", "image_pooling"):
        kernel, bias = model.get_layer(name.replace("/", "-")).get_weights()
        assert np.array_equal(kernel, official[name].kernel.transpose(1, 2, 3, 0))
        assert np.array_equal(bias, official[name].bias)


def test_the_split_projection_computes_the_same_as_the_official_one(
    started: tuple[keras.Model, list[str]], official: Official
) -> None:
    """If the new branches are silenced, the head's input is that of the official head."""
    model, _ = started
    quiet = architecture.build((SIDE, SIDE))
    quiet.set_weights(model.get_weights())
    for number in (1, 2, 3):
        layer = quiet.get_layer(f"aspp{number}_pointwise")
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    known = initialise.build_official(official, (SIDE, SIDE))
    pixels = np.random.default_rng(2).uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    head = keras.Model(quiet.input, quiet.get_layer("aspp_relu").output)(pixels)
    expected = keras.Model(known.input, known.get_layer("concat_projection").output)(pixels)
    assert np.asarray(expected).max() > 0.1
    assert np.allclose(head, expected, rtol=1e-3, atol=1e-3 * np.asarray(expected).max())


def test_the_new_branches_start_with_small_weights(started: tuple[keras.Model, list[str]], official: Official) -> None:
    model, _ = started
    kernel = model.get_layer("concat_projection").get_weights()[0]
    local, atrous = kernel[:, :, :256], kernel[:, :, 256:]
    assert np.array_equal(local, official["concat_projection"].kernel.transpose(1, 2, 3, 0)[:, :, 256:])
    assert 0 < atrous.std() < 0.2 * np.sqrt(2 / kernel.shape[2])
