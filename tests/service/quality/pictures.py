"""Generated pictures with and without damage."""

import cv2
import numpy as np


def draw_scene(height: int = 192, width: int = 192, seed: int = 1) -> np.ndarray:
    """Return a picture, (H, W) uint8, with a photograph's statistics, from coarse to fine, and some hard edges."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((height, width), np.float32)
    for cell in (64, 24, 8, 3, 1):
        noise = rng.normal(0, 1, (height // cell + 2, width // cell + 2)).astype(np.float32)
        plane += cell**0.8 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    plane = 120 + 45 * (plane - plane.mean()) / plane.std()
    for _ in range(6):
        x, y, w, h = (int(value) for value in rng.integers(8, min(height, width) // 3, 4))
        plane[y : y + h, 2 * x : 2 * x + w] += float(rng.integers(-60, 60))
    return np.clip(plane, 20, 230).astype(np.uint8)


def draw_slide(height: int = 192, width: int = 192) -> np.ndarray:
    """Return some lines of text on white, (H, W) uint8."""
    page = np.full((height, width), 235, np.uint8)
    for row in range(24, height - 8, 24):
        cv2.putText(page, "Quality", (8, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 16, 1)
    return page


def draw_cartoon(height: int = 192, width: int = 192, shift: int = 0) -> np.ndarray:
    """Return flat areas with dark outlines, (H, W) uint8."""
    page = np.full((height, width), 150, np.uint8)
    for number, (x, y, radius, grey) in enumerate(((50, 60, 40, 90), (130, 110, 50, 200), (90, 150, 30, 60))):
        middle = (x + shift * (number + 1), y)
        cv2.circle(page, middle, radius, grey, -1)
        cv2.circle(page, middle, radius, 20, 2)
    return page


def compress(picture: np.ndarray, quality: int) -> np.ndarray:
    """Return a picture after compression as JPEG."""
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def add_noise(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Return a picture with Gaussian noise added, in grey levels."""
    noise = np.random.default_rng(2).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)
