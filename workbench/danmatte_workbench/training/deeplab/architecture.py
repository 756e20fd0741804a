"""DeepLabV3+ with MobileNetV2 1.0 at output stride 16: the definition used for training and for export.

The encoder is MobileNetV2 (Sandler et al., CVPR 2018) with batch norms folded into biases, its last stage
dilated instead of strided; the head is ASPP with image pooling and the DeepLabV3+ decoder with the
quarter-resolution skip (Chen et al., ECCV 2018) and a second skip at an eighth. To save time, all 3×3 convolutions of
the head are separable.

Layers have the names of the nodes of the official export, with a hyphen for each slash.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
from keras import layers, ops

Features = Any  # a Keras tensor (batch, height, width, channels); Keras gives it no type
Widths = Mapping[str, int]  # output channels by layer name, for layers narrower than in the whole network
WHOLE: Widths = {}
PERSON = 1
CLASSES = 2
SIZE = 513
ATROUS_RATES = (6, 12, 18)


class Bottleneck(NamedTuple):
    """One inverted residual block: output channels, stride and dilation of its depthwise convolution."""

    channels: int
    stride: int = 1
    dilation: int = 1


BOTTLENECKS = (
    Bottleneck(16),
    Bottleneck(24, stride=2),
    Bottleneck(24),
    Bottleneck(32, stride=2),
    Bottleneck(32),
    Bottleneck(32),
    Bottleneck(64, stride=2),
    Bottleneck(64),
    Bottleneck(64),
    Bottleneck(64),
    Bottleneck(96),
    Bottleneck(96),
    Bottleneck(96),
    Bottleneck(160),
    Bottleneck(160, dilation=2),
    Bottleneck(160, dilation=2),
    Bottleneck(320, dilation=2),
)
SKIP_BLOCK = 2  # the last block at a quarter of the input's resolution
MIDDLE_BLOCK = 5  # the last one at an eighth


class Encoded(NamedTuple):
    """Outputs of the encoder: features at strides 4 (24 channels), 8 (32) and 16 (320)."""

    skip: Features
    middle: Features
    features: Features


@keras.saving.register_keras_serializable("danmatte")
class Enlarge(layers.Layer):
    """Bilinear resize to ``size`` (height, width) with aligned corners, as in DeepLab's official graphs."""

    def __init__(self, size: tuple[int, int], **options: object) -> None:
        super().__init__(**options)
        self.size = tuple(size)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], *self.size, input_shape[3])

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.compat.v1.image.resize_bilinear(inputs, self.size, align_corners=True)
        import torch

        planes = ops.transpose(inputs, (0, 3, 1, 2))
        planes = torch.nn.functional.interpolate(planes, self.size, mode="bilinear", align_corners=True)
        return ops.transpose(planes, (0, 2, 3, 1))

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "size": self.size}


def _convolution(
    name: str, channels: int, widths: Widths, *, kernel: int = 1, stride: int = 1, activation: str | None = None
) -> layers.Layer:
    return layers.Conv2D(
        widths.get(name, channels),
        kernel,
        strides=stride,
        padding="same",
        activation=activation,
        kernel_initializer="he_normal",
        name=name,
    )


def _depthwise(name: str, *, stride: int = 1, dilation: int = 1, activation: str | None = "relu6") -> layers.Layer:
    return layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        dilation_rate=dilation,
        activation=activation,
        depthwise_initializer="he_normal",
        name=name,
    )


def _bottleneck(features: Features, index: int, widths: Widths) -> Features:
    block = BOTTLENECKS[index]
    name = f"MobilenetV2-expanded_conv_{index}" if index else "MobilenetV2-expanded_conv"
    inner = features
    if index:
        inner = _convolution(f"{name}-expand", 6 * features.shape[-1], widths, activation="relu6")(inner)
    inner = _depthwise(f"{name}-depthwise", stride=block.stride, dilation=block.dilation)(inner)
    inner = _convolution(f"{name}-project", block.channels, widths)(inner)
    # Compares the whole network's channels, because narrowed layers may have equal widths by chance.
    if index and block.stride == 1 and block.channels == BOTTLENECKS[index - 1].channels:
        return layers.Add(name=f"{name}-add")([features, inner])
    return inner


def encode(image: Features, widths: Widths = WHOLE) -> Encoded:
    """Return the features of float pixels in [-1, 1]."""
    features = _convolution("MobilenetV2-Conv", 32, widths, kernel=3, stride=2, activation="relu6")(image)
    blocks = []
    for index in range(len(BOTTLENECKS)):
        features = _bottleneck(features, index, widths)
        blocks.append(features)
    return Encoded(blocks[SKIP_BLOCK], blocks[MIDDLE_BLOCK], features)


def _aspp(features: Features, widths: Widths) -> Features:
    """Return the output of atrous spatial pyramid pooling.

    The projection of the concatenated branches is computed as a sum. The pooled branch is the same at every place, so
    it is projected once and added, instead of being enlarged and projected at all 1089 places.
    """
    branches = [_convolution("aspp0", 256, widths, activation="relu")(features)]
    for number, rate in enumerate(ATROUS_RATES, start=1):
        atrous = _depthwise(f"aspp{number}_depthwise", dilation=rate, activation="relu")(features)
        branches.append(_convolution(f"aspp{number}_pointwise", 64, widths, activation="relu")(atrous))
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="image_pooling_mean")(features)
    pooled = _convolution("image_pooling", 256, widths, activation="relu")(pooled)
    pooled = _convolution("image_projection", 256, widths)(pooled)
    local = _convolution("concat_projection", 256, widths)(layers.Concatenate(name="aspp_concat")(branches))
    return layers.ReLU(name="aspp_relu")(layers.Add(name="aspp_add")([local, pooled]))


def _decoder(encoded: Encoded, features: Features, widths: Widths) -> Features:
    """Return the decoder's logits.

    Features are enlarged in two steps, which together equal a single one; the skip at an eighth is added between them.
    """
    features = _convolution("decoder-features", 48, widths, activation="relu")(features)
    features = Enlarge(encoded.middle.shape[1:3], name="decoder-enlarge_half")(features)
    middle = _convolution("decoder-middle", 48, widths)(encoded.middle)
    features = layers.Add(name="decoder-add")([features, middle])
    features = Enlarge(encoded.skip.shape[1:3], name="decoder-enlarge")(features)
    skip = _convolution("decoder-skip", 16, widths, activation="relu")(encoded.skip)
    features = layers.Concatenate(name="decoder-concat")([features, skip])
    for number, channels in enumerate((64, 48)):
        features = _depthwise(f"decoder-conv{number}_depthwise", activation="relu")(features)
        features = _convolution(f"decoder-conv{number}_pointwise", channels, widths, activation="relu")(features)
    return _convolution("logits-semantic", CLASSES, widths)(features)


def build(size: tuple[int, int] = (SIZE, SIZE), widths: Widths = WHOLE) -> keras.Model:
    """Return the network from float pixels in [-1, 1], (batch, height, width, 3) RGB, to quarter-resolution logits.

    ``size`` is (height, width), each 16·k + 1 so that the strides divide evenly; weights don't depend on it. ``widths``
    makes layers narrower than in the whole network; the layers that read them adapt. The last layer of a residual block
    must keep its width. The output has shape (batch, (height + 3) // 4, (width + 3) // 4, 2): background, person.
    Raises ValueError for other sizes.
    """
    if any(side % 16 != 1 for side in size):
        raise ValueError(f"sides must be 16·k + 1, so that every stride divides evenly. Received: {size}")
    image = keras.Input((*size, 3), name="image")
    encoded = encode(image, widths)
    logits = _decoder(encoded, _aspp(encoded.features, widths), widths)
    return keras.Model(image, logits, name="deeplab")


def multiply_adds(model: keras.Model) -> dict[str, int]:
    """Return the multiply-adds of one forward pass by layer name; only convolutions are counted."""
    counts = {}
    for layer in model.layers:
        if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
            _, height, width, channels = layer.output.shape
            inputs = 1 if isinstance(layer, layers.DepthwiseConv2D) else layer.input.shape[-1]
            counts[layer.name] = height * width * channels * inputs * layer.kernel_size[0] * layer.kernel_size[1]
    return counts
