"""Small grey scenes with texture, and a person in them."""

from functools import cache

import cv2
import numpy as np

SIZE = (180, 320)


@cache
def _texture(number: int, light: int) -> np.ndarray:
    noise = np.random.default_rng(number).normal(size=(23, 40)).astype(np.float32)
    smooth = cv2.resize(noise, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(light + 25 * smooth, 0, 255).astype(np.uint8)


def scene(number: int, light: int = 90) -> np.ndarray:
    """Return a scene that differs for each number."""
    return _texture(number, light).copy()


def person(x: int, width: int = 40) -> np.ndarray:
    """Return where a person stands, a column of the picture, bool."""
    where = np.zeros(SIZE, bool)
    where[40:170, x : x + width] = True
    return where


def with_person(x: int, number: int = 1) -> np.ndarray:
    """Return the scene with a bright person."""
    picture = scene(number)
    picture[person(x)] = np.clip(_texture(99, 200), 160, 255)[person(x)]
    return picture


def probabilities(where: np.ndarray, noise: int | None = None) -> np.ndarray:
    """Return probabilities, float32, that are certain inside and outside; `noise` is a seed for errors at edges."""
    values = cv2.GaussianBlur(where.astype(np.float32), (0, 0), 2)
    if noise is not None:
        rough = np.random.default_rng(noise).normal(size=(45, 80)).astype(np.float32)
        edge = values * (1 - values) * 4
        values = values + 0.35 * edge * cv2.resize(rough, SIZE[::-1])
    return np.clip(values, 0, 1).astype(np.float32)
