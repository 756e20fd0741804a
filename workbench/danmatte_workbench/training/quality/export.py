"""Export of the trained network, or of its fixed part alone, as a frozen TensorFlow graph for pictures of any size."""

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

PICTURE, SCORE, COUNTS = "picture", "score", "counts"


def export(network: keras.Model, path: Path) -> None:
    """Write ``network``, from `architecture.join`, as a frozen GraphDef.

    Its input is ``picture``, uint8 (1, H, W, 3) RGB of any size; its output is ``score``, float32 (1, 1).
    """

    def judge(picture: tf.Tensor) -> tf.Tensor:
        score = network(tf.cast(picture, tf.float32), training=False)
        # Converters don't remove this operation, so the graph's output keeps its name.
        return tf.minimum(tf.ensure_shape(score, (1, 1)), 100.0, name=SCORE)

    _freeze(judge, SCORE, path)


def export_counts(counting: keras.Model, path: Path) -> None:
    """Write ``counting``, from `statistics.build`: from ``picture``, as above, to ``counts``, float32 (1, counts)."""

    def count(picture: tf.Tensor) -> tf.Tensor:
        return tf.identity(counting(tf.cast(picture, tf.float32), training=False), name=COUNTS)

    _freeze(count, COUNTS, path)


def _freeze(answer: Callable[[tf.Tensor], tf.Tensor], name: str, path: Path) -> None:
    spec = tf.TensorSpec((1, None, None, 3), tf.uint8, name=PICTURE)
    frozen = convert_variables_to_constants_v2(tf.function(answer).get_concrete_function(spec))
    # Drops the nodes that TensorFlow appends to a function's result, because the graph's output would get their name.
    definition = tf.compat.v1.graph_util.extract_sub_graph(frozen.graph.as_graph_def(), [name])
    definition.library.Clear()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(definition.SerializeToString(deterministic=True))
