"""Training views: composites of people at all scales, geometry, colour, blur and compression.

A view depends on its seed alone, so a run that was killed resumes with the same views.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from danmatte_workbench.training.deeplab.architecture import SIZE

GREY = (127, 127, 127)
Slices = tuple[slice, slice]
NIGHT = 0.08  # share of the recoloured views that are as dark as at night
EDGE_GAIN = 2  # weights near an outline are multiplied by one more than this
FULL_WEIGHT = 255 // (1 + EDGE_GAIN)


@dataclass(frozen=True)
class Scene:
    """A picture with its training target.

    pixels: (H, W, 3) uint8 RGB. target: (H, W) uint8, the person's probability × 255.
    weight: (H, W) uint8, the weight of each pixel's target, at most ``FULL_WEIGHT``.
    """

    pixels: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    def planes(self) -> np.ndarray:
        """Return target and weight as one array, (H, W, 2) uint8."""
        return np.dstack([self.target, self.weight])


@dataclass(frozen=True)
class View:
    """How crops are taken from a scene.

    side: of the square crop, in pixels. nearest, farthest: range of zoom, where 1 is the serving size. lean: standard
    deviation of the logarithm of the factor by which the aspect ratio is changed. whole: share of views in which the
    whole picture fills the crop, stretched as served frames are.
    """

    side: int
    nearest: float
    farthest: float
    lean: float
    whole: float = 0.0


def look(scene: Scene, view: View, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return an augmented crop: pixels, (side, side, 3) uint8, and target and weight, (side, side, 2) uint8."""
    matrix, scale = _geometry(scene, view, rng)
    pixels, planes = scene.pixels, scene.planes()
    if scale < 0.6:  # shrink by area first, because a warp alone would alias
        half = max(scale, 0.1)
        size = (max(2, round(pixels.shape[1] * half)), max(2, round(pixels.shape[0] * half)))
        matrix = matrix @ np.diag([pixels.shape[1] / size[0], pixels.shape[0] / size[1], 1.0])
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        planes = cv2.resize(planes, size, interpolation=cv2.INTER_AREA)
    mirror = rng.random() < 0.3
    border = cv2.BORDER_REFLECT_101 if mirror else cv2.BORDER_CONSTANT
    area = (view.side, view.side)
    pixels = cv2.warpAffine(pixels, matrix[:2], area, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=GREY)
    planes = cv2.warpAffine(
        planes, matrix[:2], area, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(0, FULL_WEIGHT)
    )
    return _degrade(_recolour(pixels, rng), rng), _stress_edges(planes)


def paste(scene: Scene, people: list[Scene], rng: np.random.Generator) -> Scene:
    """Return the scene with cut-out people pasted in front of it, each at a random size."""
    pixels, target, weight = scene.pixels.copy(), scene.target.copy(), scene.weight.copy()
    height, width = target.shape
    for person in people:
        # From a distant figure to one so large that only an arm, a belly or legs are in the picture.
        tall = height * float(np.exp(rng.uniform(np.log(0.08), np.log(2.2))))
        figure, alpha, standing = _cut_out(person, tall, rng)
        top = round(rng.uniform(0.0, 1.0) * (height - figure.shape[0]))
        if not standing:  # cut off at the bottom: place the cut at or below the picture's border
            top = max(top, height - figure.shape[0])
        left = round(rng.uniform(-0.3, 1.0) * width - 0.35 * figure.shape[1])
        places = _overlap((top, left), alpha.shape, (height, width))
        if places is None:
            continue
        box, part = places
        alpha, figure = alpha[part], figure[part]
        mix = alpha[..., None].astype(np.float32) / 255
        pixels[box] = np.round(figure * mix + pixels[box] * (1 - mix)).astype(np.uint8)
        target[box] = np.maximum(alpha, np.round(target[box] * (1 - mix[..., 0])).astype(np.uint8))
        weight[box] = np.where(alpha > 0, FULL_WEIGHT, weight[box])
    return Scene(pixels, target, weight)


def _overlap(corner: tuple[int, int], size: tuple[int, ...], room: tuple[int, int]) -> tuple[Slices, Slices] | None:
    """Return where a rectangle of ``size`` placed at ``corner`` overlaps an area of size ``room``, as slices of each.

    Return None if the overlap is less than 4 pixels high or wide.
    """
    top, left = corner
    y0, y1 = max(0, top), min(room[0], top + size[0])
    x0, x1 = max(0, left), min(room[1], left + size[1])
    if y1 - y0 < 4 or x1 - x0 < 4:
        return None
    return np.s_[y0:y1, x0:x1], np.s_[y0 - top : y1 - top, x0 - left : x1 - left]


def _cut_out(person: Scene, tall: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the person's box scaled to ``tall`` pixels: its pixels and its alpha, (h, w) uint8.

    The last value is whether the picture's lower border doesn't cut the person off.
    """
    x, y, width, height = cv2.boundingRect((person.target > 127).astype(np.uint8))
    scale = tall / max(1, height)
    size = (max(4, round(width * scale)), max(4, round(height * scale)))
    filter_ = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    figure = cv2.resize(person.pixels[y : y + height, x : x + width], size, interpolation=filter_)
    alpha = cv2.resize(person.target[y : y + height, x : x + width], size, interpolation=filter_)
    if rng.random() < 0.5:
        figure, alpha = figure[:, ::-1], alpha[:, ::-1]
    figure = np.clip(figure * rng.uniform(0.75, 1.25) + rng.uniform(-20, 20), 0, 255).astype(np.uint8)
    return figure, cv2.GaussianBlur(np.ascontiguousarray(alpha), (3, 3), 0), y + height < person.target.shape[0] - 2


def _geometry(scene: Scene, view: View, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return an affine map, (3, 3), from the picture to the crop, and its smaller scale.

    Served frames are stretched to the square input. So are whole views and half of the others; the rest get an aspect
    ratio between that and the picture's.
    """
    height, width = scene.target.shape
    whole = rng.random() < view.whole
    stretch = 1.0 if whole or rng.random() < 0.5 else rng.random()
    fit = view.side / max(height, width) if whole else SIZE / max(height, width)
    zoom = float(np.exp(rng.uniform(np.log(view.farthest), np.log(view.nearest))))
    if whole:
        zoom = rng.uniform(0.95, 1.05)
    lean = np.exp(rng.normal(0, view.lean))
    scale_x = fit * (max(height, width) / width) ** stretch * zoom * lean
    scale_y = fit * (max(height, width) / height) ** stretch * zoom / lean
    angle = np.radians(rng.normal(0, 6)) if rng.random() < 0.3 and not whole else 0.0
    flip = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([flip * scale_x, scale_y])
    centre = np.array(
        [
            _centre(width * scale_x, view.side, rng) / scale_x,
            _centre(height * scale_y, view.side, rng) / scale_y,
        ]
    )
    if rng.random() < 0.5 and not whole and len(spots := np.flatnonzero(scene.target[::4, ::4] > 127)):
        # Move the centre at least half of the way to a random pixel of a person.
        row, column = divmod(int(rng.choice(spots)), scene.target[::4, ::4].shape[1])
        centre = centre + rng.uniform(0.5, 1.0) * (np.array([4.0 * column, 4.0 * row]) - centre)
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = view.side / 2 - linear @ centre
    return matrix, min(scale_x, scale_y)


def _centre(length: float, side: int, rng: np.random.Generator) -> float:
    """Return a crop's centre along one axis of the scaled picture; a picture smaller than the crop lies inside it."""
    low, high = sorted((side / 2, length - side / 2))
    return float(rng.uniform(low, high))


def _recolour(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.2:
        return pixels
    night = rng.random() < NIGHT
    gain = rng.uniform(0.15, 0.5) if night else rng.uniform(0.7, 1.3)
    gains = gain * np.exp(rng.normal(0, 0.06, 3))
    levels = np.arange(256)[:, None] / 255
    curve = np.clip(levels ** np.exp(rng.normal(0, 0.2)) * gains + rng.uniform(-0.1, 0.1), 0, 1)
    pixels = cv2.LUT(pixels, np.round(255 * curve).astype(np.uint8)[None])
    if rng.random() < 0.5:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
        share = 0.0 if rng.random() < 0.1 else rng.uniform(0.4, 1.4)
        pixels = np.clip(grey + (pixels.astype(np.float32) - grey) * share, 0, 255).astype(np.uint8)
    return pixels


def _degrade(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the pixels with damage as from cameras and encoders: blur, motion, low resolution, noise, compression."""
    side = pixels.shape[0]
    chance = rng.random()
    if chance < 0.12:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 2.0))
    elif chance < 0.2:
        kernel = np.zeros((9, 9), np.float32)
        reach = rng.uniform(1, 4) * np.array([np.cos(a := rng.uniform(0, np.pi)), np.sin(a)])
        start, end = (tuple(int(v) for v in np.round(4 + sign * reach)) for sign in (-1, 1))
        cv2.line(kernel, start, end, 1.0)
        pixels = cv2.filter2D(pixels, -1, kernel / kernel.sum())
    elif chance < 0.32:
        small = round(side * rng.uniform(0.35, 0.8))
        pixels = cv2.resize(cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.12:
        noise = rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(2, 12))
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        pixels = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    return pixels


def _stress_edges(planes: np.ndarray) -> np.ndarray:
    """Return the planes with higher weights near outlines, where errors in a matte are most visible."""
    target, weight = planes[..., 0], planes[..., 1]
    size = max(3, target.shape[0] // 64) | 1
    mean = cv2.blur(np.where(target > 127, 255, 0).astype(np.uint8), (size, size))
    edge = (mean > 8) & (mean < 247)
    return np.dstack([target, np.where(edge, weight * (1 + EDGE_GAIN), weight).astype(np.uint8)])
