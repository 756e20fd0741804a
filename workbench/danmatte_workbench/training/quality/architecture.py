"""The quality network: fixed statistics of a picture at its own size, and a small network that learned to judge."""

import keras
import numpy as np
from keras import layers, ops

from danmatte_workbench.training.quality import statistics

HIDDEN = (48, 24)
FARTHEST = 3.0  # standard deviations of a count


def build_judge(counts: int) -> keras.Model:
    """What is learned: from a picture's counts, (n, counts), to its score of 0 to 100, (n, 1)."""
    given = keras.Input((counts,), name="counts")
    features = layers.Normalization(name="normalise")(given)
    # What is rarer than anything seen is taken for the rarest seen: beyond it the judge would guess wildly.
    features = ops.clip(features, -FARTHEST, FARTHEST)
    features = layers.GaussianNoise(0.2, name="noise")(features)
    for number, width in enumerate(HIDDEN):
        features = layers.Dense(width, activation="relu", kernel_initializer="he_normal", name=f"hidden{number}")(
            features
        )
    share = layers.Dense(1, activation="sigmoid", name="share")(features)
    return keras.Model(given, layers.Rescaling(100.0, name="score")(share), name="judge")


def join(judge: keras.Model, size: tuple[int | None, int | None] = (None, None)) -> keras.Model:
    """The whole network from pixels of 0 to 255, (n, H, W, 3) RGB of any size, to scores, (n, 1)."""
    counting = statistics.build(size)
    return keras.Model(counting.input, judge(counting.output), name="quality")


def count(pictures: np.ndarray) -> np.ndarray:
    """The counts of (n, H, W, 3) uint8 pictures, (n, counts) float32."""
    return np.asarray(_Counting.get()(pictures.astype(np.float32)), np.float32)


class _Counting:
    """The fixed half, built once."""

    _model: keras.Model | None = None

    @classmethod
    def get(cls) -> keras.Model:
        cls._model = cls._model or statistics.build()
        return cls._model
