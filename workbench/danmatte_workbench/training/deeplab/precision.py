"""Choice of the faster number format for training; bfloat16 isn't faster on every CPU that supports it."""

import time
from pathlib import Path

import keras
import numpy as np
from keras import layers

POLICIES = ("mixed_bfloat16", "float32")  # by Keras's names
FILE = "precision.txt"
_SIDE, _CHANNELS, _BATCH, _STEPS = 97, 24, 4, 4


def choose_precision(folder: Path) -> str:
    """Return the faster of POLICIES and store it in ``folder``, so that a stopped training resumes in that format."""
    kept = folder / FILE
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(min(POLICIES, key=time_step) + "\n")
    policy = kept.read_text().strip()
    return policy if policy in POLICIES else POLICIES[0]


def time_step(policy: str) -> float:
    """Return the seconds of the fastest of a few training steps of one block of the encoder in this format."""
    block = keras.Sequential(
        [
            keras.Input((_SIDE, _SIDE, _CHANNELS)),
            layers.Conv2D(6 * _CHANNELS, 1, activation="relu6", dtype=policy),
            layers.DepthwiseConv2D(3, padding="same", activation="relu6", dtype=policy),
            layers.Conv2D(_CHANNELS, 1, dtype=policy),
        ]
    )
    block.compile(optimizer="sgd", loss="mse", jit_compile=False)
    maps = np.zeros((_BATCH, _SIDE, _SIDE, _CHANNELS), np.float32)
    seconds = []
    for _ in range(_STEPS):  # the first one includes tracing and isn't counted
        began = time.perf_counter()
        block.train_on_batch(maps, maps)
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
