"""The quality network: fixed statistics of a picture at its original size, and a small trained network, the judge."""

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from keras import layers, ops

from danmatte_workbench.configuration import configure
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.training.quality import export, statistics

HIDDEN = (96, 48)
FARTHEST = 3.0  # standard deviations by which a count may differ from its mean


def build_judge(counts: int) -> keras.Model:
    """Return the trained part: from the counts of pictures, (n, counts), to scores of 0 to 100, (n, 1)."""
    given = keras.Input((counts,), name="counts")
    features = layers.Normalization(name="normalise")(given)
    # Rarer counts than in training are clipped, because the judge's output there would be arbitrary.
    features = ops.clip(features, -FARTHEST, FARTHEST)
    features = layers.GaussianNoise(0.2, name="noise")(features)
    for number, width in enumerate(HIDDEN):
        features = layers.Dense(width, activation="relu", kernel_initializer="he_normal", name=f"hidden{number}")(
            features
        )
    share = layers.Dense(1, activation="sigmoid", name="share")(features)
    return keras.Model(given, layers.Rescaling(100.0, name="score")(share), name="judge")


def join(judge: keras.Model, size: tuple[int | None, int | None] = (None, None)) -> keras.Model:
    """Return the whole network, from pixels of 0 to 255, (n, H, W, 3) RGB of any size, to scores, (n, 1)."""
    counting = statistics.build(size)
    return keras.Model(counting.input, judge(counting.output), name="quality")


def count(pictures: np.ndarray) -> np.ndarray:
    """Return the counts, (n, counts) float32, of pictures, (n, H, W, 3) uint8; safe to call from many threads."""
    counter = _COUNTERS.get((pictures.shape[1], pictures.shape[2]))
    return np.concatenate([counter(picture[None]) for picture in pictures])


class _Counters(threading.local):
    """The fixed part in OpenVINO, which takes half of TensorFlow's time; built once for each thread and size."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], Callable[[np.ndarray], np.ndarray]] = {}

    def get(self, size: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
        """Return a function from a picture, (1, H, W, 3) uint8, to its counts, (1, counts) float32."""
        if size not in self._made:
            with TemporaryDirectory() as folder:
                graph = Path(folder) / "counts.pb"
                export.export_counts(statistics.build(), graph)
                model = openvino.read(graph)
                model.reshape([1, *size, 3])
                run = openvino.copy_answers(openvino.compile_model(model, configure(streams=1, threads=1)))
            self._made[size] = lambda picture: run(picture)[0]
        return self._made[size]


_COUNTERS = _Counters()
