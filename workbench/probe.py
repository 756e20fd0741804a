"""What a bare graph can tell about itself, when nobody wrote a ``model.toml`` for it."""

import re
from pathlib import Path
from typing import Literal

import numpy as np

from workbench import artifact
from workbench.backends import tensorflow
from workbench.errors import InputError
from workbench.source import Source

DEFAULT_SIDE = 513
TOLERANCE = 1e-3
Channels = tuple[float, float, float]


def inspect(path: Path, size: tuple[int, int] | None = None) -> Source:
    """Describe the frozen segmentation graph at ``path``.

    The cut is found in its structure; what the part before the cut does to pixels is measured, by feeding it
    random pictures; the person is class 1 of two and 15 of 21, PASCAL VOC's. ``size`` is (height, width), for
    graphs that take any. Raises InputError when something can't be found out.
    """
    facts = tensorflow.structure(path)
    fixed = facts.image_shape[1:3]
    if size is None:
        size = fixed if len(fixed) == 2 and all(side > 0 for side in fixed) else (DEFAULT_SIDE, DEFAULT_SIDE)
    answer = "SemanticPredictions" if "SemanticPredictions" in facts.nodes else facts.classes
    mean, scale, colour = _preprocessing(path, f"{facts.image}:0", facts.first_convolution, size)
    return Source(
        name=re.sub(r"[^a-z0-9_-]+|^[_-]+", "", path.stem.lower())[:64] or "model",
        path=path,
        digest=artifact.digest(path),
        licence="LicenseRef-unknown",
        picture=f"{facts.image}:0",
        port=facts.first_convolution,
        size=size,
        colour=colour,
        mean=mean,
        scale=scale,
        answer=f"{answer}:0",
        node=facts.classes,
        person=_person(path, f"{facts.image}:0", facts.classes, size),
        rule="stretch",
        fill=(127, 127, 127),
    )


def _preprocessing(
    path: Path, picture: str, port: str, size: tuple[int, int]
) -> tuple[Channels, Channels, Literal["RGB", "BGR"]]:
    """Mean, scale and colour order of the part before the cut, fitted to what it does to noise."""
    feeding = tensorflow.node_feeding(path, port)
    run = tensorflow.runner(path, feed=picture, fetch=feeding)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    seen = run(pixels)
    if seen.shape != pixels.shape:
        raise InputError(
            f"{path}: before {port} a picture of {pixels.shape} has become {seen.shape}; describe it in a model.toml"
        )
    given = pixels.reshape(-1, 3).astype(np.float64)
    design = np.column_stack([given, np.ones(len(given))])
    fit, *_ = np.linalg.lstsq(design, seen.reshape(-1, 3).astype(np.float64), rcond=None)
    error = float(np.abs(design @ fit - seen.reshape(-1, 3)).max())
    gains, shift = fit[:3], fit[3]
    order = [int(channel) for channel in np.abs(gains).argmax(axis=0)]
    gain = gains[order, range(3)]
    if error > TOLERANCE or order not in ([0, 1, 2], [2, 1, 0]) or np.any(gain == 0):
        raise InputError(f"{path}: what happens before {port} isn't a mean and a scale; describe it in a model.toml")
    mean, scale = -shift / gain, 1 / gain
    return _channels(mean), _channels(scale), "RGB" if order == [0, 1, 2] else "BGR"


def _channels(values: np.ndarray) -> Channels:
    first, second, third = (round(float(value), 4) for value in values)
    return first, second, third


def _person(path: Path, picture: str, classes: str, size: tuple[int, int]) -> int:
    node = tensorflow.node_feeding(path, f"0:{classes}")
    run = tensorflow.runner(path, feed=picture, fetch=node)
    count = run(np.zeros((1, *size, 3), np.uint8)).shape[-1]
    if count not in (2, 21):
        raise InputError(f"{path}: which of its {count} classes is the person? Say so in a model.toml")
    return 1 if count == 2 else 15
