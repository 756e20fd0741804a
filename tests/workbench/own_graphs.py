"""Unusual graphs that users convert: control flow, checkpoints, sizes fixed inside, odd names and types."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

SIDE = 64


def write_frozen(path: Path, build: Callable[[], None]) -> Path:
    """Write the TensorFlow graph that ``build`` creates as a frozen ``.pb``."""
    graph = tf.Graph()
    with graph.as_default():
        build()
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def kernel(side: int, inputs: int, outputs: int, seed: int = 0) -> tf.Tensor:
    """Return a random kernel, (side, side, inputs, outputs)."""
    values = np.random.default_rng(seed).normal(0, 1 / side, (side, side, inputs, outputs))
    return tf.constant(values.astype(np.float32))


def write_switched(path: Path) -> Path:
    """Write a graph with a boolean placeholder and old control flow (Switch and Merge)."""

    def build() -> None:
        tf.compat.v1.disable_control_flow_v2()
        photo = tf.compat.v1.placeholder(tf.float32, (1, SIDE, SIDE, 3), "photo")
        training = tf.compat.v1.placeholder(tf.bool, (), "training")
        features = tf.nn.conv2d(photo, kernel(3, 3, 4), 1, "SAME")
        kept = tf.compat.v1.cond(training, lambda: features * 0.5, lambda: tf.nn.relu(features))
        tf.identity(kept, name="answer")
        tf.compat.v1.enable_control_flow_v2()

    return write_frozen(path, build)


def write_loop(path: Path) -> Path:
    """Write a graph with a loop of TensorFlow 1 that returns its counter, too."""

    def build() -> None:
        tf.compat.v1.disable_control_flow_v2()
        photo = tf.compat.v1.placeholder(tf.float32, (1, SIDE, SIDE, 3), "photo")
        weights = kernel(3, 3, 3)
        loop = tf.compat.v1.while_loop(
            lambda number, _: number < 3,
            lambda number, value: (number + 1, tf.nn.relu(tf.nn.conv2d(value, weights, 1, "SAME"))),
            (tf.constant(0), photo),
        )
        tf.identity(loop[1], name="answer")
        tf.compat.v1.enable_control_flow_v2()

    return write_frozen(path, build)


def write_fixed_inside(path: Path, side: int = SIDE) -> Path:
    """Write a graph whose input has any size, but whose inner reshape requires ``side``."""

    def build() -> None:
        photo = tf.compat.v1.placeholder(tf.uint8, (1, None, None, 3), "photo")
        pixels = tf.reshape(tf.cast(photo, tf.float32) / 127.5 - 1, (1, side, side, 3))
        features = tf.nn.relu(tf.nn.conv2d(pixels, kernel(3, 3, 4), 2, "SAME", name="first"))
        tf.argmax(tf.nn.conv2d(features, kernel(1, 4, 2, 1), 1, "SAME"), axis=3, name="answer")

    return write_frozen(path, build)


def write_multiples(path: Path, rest: int = 0) -> Path:
    """Write a graph whose sides must be multiples of 32, or of that plus one: it halves features five times."""

    def build() -> None:
        photo = tf.compat.v1.placeholder(tf.float32, (None, None, None, 3), "photo")
        deep = tf.nn.conv2d(photo, kernel(3, 3, 4), 1, "SAME")
        first = deep
        for _ in range(5):
            deep = tf.nn.avg_pool2d(deep, 2 + rest, 2, "VALID" if rest else "SAME")
        size = tf.shape(deep)[1:3] * 32 + rest * 33 if rest else tf.shape(deep)[1:3] * 32
        joined = tf.concat([tf.compat.v1.image.resize_bilinear(deep, size), first], axis=3)
        tf.nn.conv2d(joined, kernel(1, 8, 2, 1), 1, "SAME", name="answer")

    return write_frozen(path, build)


def write_unranked(path: Path) -> Path:
    """Write a graph with an input of unknown rank."""

    def build() -> None:
        photo = tf.compat.v1.placeholder(tf.float32, None, "photo")
        features = tf.nn.conv2d(tf.reshape(photo, (1, SIDE, SIDE, 3)), kernel(3, 3, 2), 2, "SAME")
        tf.nn.softmax(features, name="answer")

    return write_frozen(path, build)


def write_channels_first(path: Path) -> Path:
    """Write a TensorFlow graph with channels first."""

    def build() -> None:
        photo = tf.compat.v1.placeholder(tf.float32, (1, 3, SIDE, SIDE), "photo")
        features = tf.nn.relu(tf.nn.conv2d(photo, kernel(3, 3, 8), 2, "VALID", data_format="NCHW", name="first"))
        tf.nn.conv2d(features, kernel(1, 8, 2, 1), 1, "VALID", data_format="NCHW", name="answer")

    return write_frozen(path, build)


def write_simulated(path: Path, low: float, high: float) -> Path:
    """Write a graph of quantization-aware training; the picture's range is from ``low`` to ``high``."""

    def build() -> None:
        photo = tf.compat.v1.placeholder(tf.float32, (1, SIDE, SIDE, 3), "photo")
        given = tf.quantization.fake_quant_with_min_max_vars(photo, low, high)
        weights = tf.quantization.fake_quant_with_min_max_vars(kernel(3, 3, 4), -1.0, 1.0, narrow_range=True)
        features = tf.nn.relu6(tf.nn.conv2d(given, weights, 2, "SAME"))
        tf.quantization.fake_quant_with_min_max_vars(features, 0.0, 6.0, name="answer")

    return write_frozen(path, build)


def write_meta(prefix: Path) -> np.ndarray:
    """Write a TensorFlow 1 graph as .meta with a checkpoint and as .pb; return its variable's value."""
    graph = tf.Graph()
    value = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        photo = tf.compat.v1.placeholder(tf.float32, (1, 8, 8, 3), "photo")
        variable = tf.compat.v1.get_variable("kernel", initializer=value, use_resource=False)
        tf.nn.conv2d(photo, variable, 1, "SAME", name="answer")
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(prefix))
        prefix.with_suffix(".pb").write_bytes(graph.as_graph_def().SerializeToString())
    return value


def write_signatures(folder: Path) -> Path:
    """Write a SavedModel with two functions with named outputs, and one that takes JPEG strings."""

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(kernel(3, 3, 4))

        @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32, name="photo")])
        def find(self, photo: tf.Tensor) -> dict[str, tf.Tensor]:
            features = tf.nn.conv2d(photo, self.kernel, 2, "SAME")
            return {"scores": tf.nn.sigmoid(features[..., :1]), "boxes": features}

        @tf.function(input_signature=[tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="photo")])
        def embed(self, photo: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"embedding": tf.reduce_mean(tf.nn.conv2d(photo, self.kernel, 2, "SAME"), (1, 2))}

        @tf.function(input_signature=[tf.TensorSpec((), tf.string, name="jpeg")])
        def decode(self, jpeg: tf.Tensor) -> dict[str, tf.Tensor]:
            pixels = tf.image.resize(tf.io.decode_jpeg(jpeg, channels=3), (SIDE, SIDE))[None] / 255
            return {"embedding": tf.reduce_mean(tf.nn.conv2d(pixels, self.kernel, 2, "SAME"), (1, 2))}

    model = Model()
    signatures = {"find": model.find, "embed": model.embed, "decode": model.decode}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return folder


def write_named_keras(path: Path, *, half: bool = False) -> Path:
    """Write a Keras file with two inputs and two named outputs; ``half``: layers compute in float16."""
    import keras

    policy = "mixed_float16" if half else "float32"
    photo, mask = keras.Input((SIDE, SIDE, 3), name="photo"), keras.Input((SIDE, SIDE, 1), name="mask")
    both = keras.layers.Concatenate()([photo, mask])
    features = keras.layers.Conv2D(4, 3, padding="same", dtype=policy, name="first")(both)
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(features)
    keras.Model([photo, mask], {"map": features, "score": keras.layers.Dense(3)(pooled)}).save(path)
    return path


def write_any_size_keras(path: Path) -> Path:
    """Write a Keras file for pictures of any size, with an upsampling layer."""
    import keras

    photo = keras.Input((None, None, 3), name="photo")
    features = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(photo)
    large = keras.layers.UpSampling2D(2, interpolation="bilinear")(features)
    keras.Model(photo, keras.layers.Conv2D(2, 1, activation="softmax", name="person")(large)).save(path)
    return path


def write_lambda(path: Path) -> Path:
    """Write a Keras file with a Lambda layer."""
    import keras

    photo = keras.Input((SIDE, SIDE, 3), name="photo")
    scaled = keras.layers.Lambda(lambda value: value * 2.0, output_shape=(SIDE, SIDE, 3))(photo)
    keras.Model(photo, keras.layers.Conv2D(2, 3, name="map")(scaled)).save(path)
    return path
