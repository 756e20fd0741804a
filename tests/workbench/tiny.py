"""Tiny frozen graphs in the official style that take red for a person, and pictures for them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

GRAPH = "frozen_inference_graph.pb"
FEATURES = 8
RED, BLUE = (1.0, -0.5, -0.5), (-0.5, -0.5, 1.0)
SHARPNESS, THRESHOLD = 6.0, 4.0


@dataclass(frozen=True)
class Tiny:
    """Options of a tiny graph: preprocessing, resize, and number of classes.

    At stride 2 its second depthwise convolution is dilated; at stride 4 the first one has a stride instead.
    """

    name: str = "tiny"
    side: int = 65
    classes: int = 2
    colour: str = "RGB"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    scale: tuple[float, float, float] = (127.5, 127.5, 127.5)
    resize: str = "align_corners"
    stride: int = 2
    fixed: bool = False
    rule: str = "stretch"

    @property
    def person(self) -> int:
        return 1 if self.classes == 2 else 15

    @property
    def features(self) -> int:
        """Return height and width of the features and of the logits."""
        return (self.side - 1) // self.stride + 1


PLAIN = Tiny()
VOC = Tiny(name="voc", classes=21)
BGR = Tiny(name="bgr", colour="BGR", mean=(103.5, 116.25, 123.75), scale=(57.5, 57.0, 58.5), fixed=True)
HALVES = Tiny(name="halves", resize="half_pixel_centers", rule="letterbox")
LEGACY = Tiny(name="legacy", resize="legacy")
COARSE = Tiny(name="coarse", stride=4)


@cache
def frozen(tiny: Tiny) -> bytes:
    """Return the frozen graph, with SpaceToBatch and a batch norm that isn't folded, like real exports.

    Unless it is ``fixed``, it takes pictures of any size and its output has that size.
    """
    resize_bilinear = tf.compat.v1.image.resize_bilinear
    graph = tf.Graph()
    with graph.as_default():
        side = (tiny.side, tiny.side)
        shape = (1, *(side if tiny.fixed else (None, None)), 3)
        picture = tf.compat.v1.placeholder(tf.uint8, shape, name="ImageTensor")
        pixels = tf.cast(picture, tf.float32)
        if tiny.colour == "BGR":
            pixels = tf.reverse(pixels, [3])
        if not tiny.fixed:
            pixels = resize_bilinear(pixels, side, half_pixel_centers=True, name="ResizeBilinear")
        pixels = (pixels - tf.constant(tiny.mean)) / tf.constant(tiny.scale)
        options = {} if tiny.resize == "legacy" else {tiny.resize: True}
        large = resize_bilinear(_network(pixels, tiny), side, name="ResizeBilinear_2", **options)
        classes = tf.cast(tf.argmax(large, axis=3, name="ArgMax"), tf.int32)[..., None]
        own = tf.shape(picture)[1:3]
        answer = tf.compat.v1.image.resize_nearest_neighbor(classes, own, half_pixel_centers=True)
        tf.squeeze(answer, axis=3, name="SemanticPredictions")
    return graph.as_graph_def().SerializeToString(deterministic=True)


def _network(pixels: tf.Tensor, tiny: Tiny) -> tf.Tensor:
    rng = np.random.default_rng(7)
    kernel, bias = _first(tiny, rng)
    features = tf.nn.conv2d(pixels, kernel, 2, "SAME", name="MobilenetV2/Conv/Conv2D")
    features, _, _ = tf.compat.v1.nn.fused_batch_norm(
        features,
        np.ones(FEATURES, np.float32),
        bias,
        np.zeros(FEATURES, np.float32),
        np.ones(FEATURES, np.float32),
        is_training=False,
        name="MobilenetV2/Conv/BatchNorm",
    )
    dilation = 4 // tiny.stride
    features = _depthwise(features, "MobilenetV2/expanded_conv", stride=tiny.stride // 2)
    features = _depthwise(features, "MobilenetV2/expanded_conv_1", dilation=dilation)
    pooled = tf.nn.avg_pool2d(features, tiny.features, 1, "VALID", name="AvgPool2D")
    pooled = tf.nn.relu(tf.nn.conv2d(pooled, _normal(rng, FEATURES, FEATURES), 1, "SAME", name="image_pooling/Conv2D"))
    pooled = tf.compat.v1.image.resize_bilinear(pooled, (tiny.features, tiny.features), align_corners=True)
    decide, threshold = _last(tiny, rng)
    logits = tf.nn.conv2d(tf.concat([features, pooled], 3), decide, 1, "SAME", name="logits/semantic/Conv2D")
    return tf.nn.bias_add(logits, threshold, name="logits/semantic/BiasAdd")


def _depthwise(features: tf.Tensor, name: str, *, stride: int = 1, dilation: int = 1) -> tf.Tensor:
    blur = np.full((3, 3, FEATURES, 1), 0.05, np.float32)
    blur[1, 1] = 0.6
    strides, dilations = [1, stride, stride, 1], [dilation, dilation]
    name = f"{name}/depthwise"
    return tf.nn.relu6(tf.nn.depthwise_conv2d(tf.nn.relu6(features), blur, strides, "SAME", None, dilations, name))


def _normal(rng: np.random.Generator, inputs: int, outputs: int) -> np.ndarray:
    return rng.normal(0, 0.05, (1, 1, inputs, outputs)).astype(np.float32)


def _first(tiny: Tiny, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias for redness, blueness and noise, averaged over 3×3 pixels normalised by this graph."""
    wanted = np.concatenate([[RED, BLUE], rng.normal(0, 0.4, (FEATURES - 2, 3))])  # in RGB
    if tiny.colour == "BGR":
        wanted = wanted[:, ::-1]
    gains = wanted / 127.5
    kernel = np.broadcast_to((gains * tiny.scale).T / 9, (3, 3, 3, FEATURES))
    return kernel.astype(np.float32), (gains @ np.array(tiny.mean)).astype(np.float32)


def _last(tiny: Tiny, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    decide = _normal(rng, 2 * FEATURES, tiny.classes)[0, 0]
    bias = np.full(tiny.classes, -1.0)
    decide[0, tiny.person], bias[0], bias[tiny.person] = SHARPNESS, THRESHOLD, 0.0
    if tiny.classes > 2:
        decide[1, 7], bias[7] = SHARPNESS, 0.0  # class 7 is blue
    return decide[None, None], bias.astype(np.float32)


def write(folder: Path, tiny: Tiny) -> Path:
    """Write the graph and its model.toml; return the path of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GRAPH).write_bytes(frozen(tiny))
    path = folder / "model.toml"
    path.write_text(toml(description(tiny)))
    return path


def description(tiny: Tiny) -> dict[str, Any]:
    """Return the content of the graph's model.toml."""
    return {
        "name": tiny.name,
        "graph": GRAPH,
        "licence": "Apache-2.0",
        "input": {
            "tensor": "ImageTensor:0",
            "port": "0:MobilenetV2/Conv/Conv2D",
            "height": tiny.side,
            "width": tiny.side,
            "colour": tiny.colour,
            "mean": list(tiny.mean),
            "scale": list(tiny.scale),
        },
        "output": {"tensor": "SemanticPredictions:0", "node": "ArgMax", "person": tiny.person},
        "resize": {"rule": tiny.rule, "fill": [127, 127, 127]},
    }


def toml(table: dict[str, Any]) -> str:
    """Return strings, numbers, lists of numbers and one level of tables as TOML."""
    plain = [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    nested = [f"[{key}]\n{toml(value)}" for key, value in table.items() if isinstance(value, dict)]
    return "\n".join([*plain, *nested])


def _value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def scene(seed: int, height: int = 96, width: int = 128, *, people: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return red ellipses in front of a grey-blue room, (H, W, 3) uint8 RGB, and their mask, (H, W) uint8."""
    rng = np.random.default_rng(seed)
    shades = rng.integers(40, 200, (4, 5, 1)) + np.array([0, 0, 20])
    room = cv2.resize(shades.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    truth = np.zeros((height, width), np.uint8)
    for _ in range(people):
        centre = (int(rng.uniform(0.3, 0.7) * width), int(rng.uniform(0.3, 0.7) * height))
        axes = (int(rng.uniform(0.15, 0.3) * width), int(rng.uniform(0.2, 0.4) * height))
        cv2.ellipse(truth, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    room[truth == 255] = (225, 45, 45)
    noise = rng.normal(0, 4, room.shape)
    return np.clip(room + noise, 0, 255).astype(np.uint8), truth


def write_scenes(folder: Path, count: int, *, masks: bool = True) -> Path:
    """Write ``images/`` of several sizes, every fifth one empty, and ``masks/`` with an ignored ring in every third."""
    for name in ("images", "masks")[: 1 + masks]:
        (folder / name).mkdir(parents=True)
    for number in range(count):
        sizes = [(96, 128), (120, 80), (65, 65)]
        pixels, truth = scene(number, *sizes[number % 3], people=0 if number % 5 == 4 else 1)
        cv2.imwrite(str(folder / f"images/kind{number % 2}_{number:02}.png"), pixels[..., ::-1])
        if masks:
            if number % 3 == 0:
                near = cv2.dilate(truth, np.ones((3, 3), np.uint8))
                truth = np.where((near == 255) & (truth == 0), 128, truth).astype(np.uint8)
            cv2.imwrite(str(folder / f"masks/kind{number % 2}_{number:02}.png"), truth)
    return folder
