"""The kind of each output of a graph, detected from its values or given by the user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError

Kind: TypeAlias = Literal["scores", "regression", "boxes", "regions", "embedding", "tensor"]
Answer: TypeAlias = tuple[np.ndarray, ...]
KINDS: tuple[Kind, ...] = get_args(Kind)
MIN_CLASSES = 3  # rows with fewer numbers aren't considered class scores
_VECTORS = frozenset({64, 96, 128, 192, 256, 384, 512, 576, 768, 960, 1024, 1280, 2048})  # usual lengths of embeddings
_CLOSE = 1e-2
_FARTHEST = 2.0  # maximum coordinate of boxes that are shares of the sides; boxes may extend beyond the picture
_SHORTEST = 8  # minimum side of a map
_COARSEST = 40  # maximum number of input pixels per place of a map


@dataclass(frozen=True)
class OutputKind:
    """The kind of an output, and the reason for it.

    region: what a map of regions shows, such as text.
    corners: whether boxes have x before y, or y before x as TensorFlow's have.
    shares: whether boxes are shares of the picture's sides rather than pixels.
    """

    kind: Kind
    reason: str
    region: str = "region"
    corners: Literal["xyxy", "yxyx"] = "xyxy"
    shares: bool = False

    def __str__(self) -> str:
        return f"{self.kind} ({self.reason})"


def find_kinds(answers: Sequence[Answer], size: tuple[int, int]) -> tuple[OutputKind, ...]:
    """Return the kind of each output, from the outputs for several pictures of ``size`` (height, width)."""
    first = answers[0]
    found = [_find_kind([answer[place] for answer in answers], size) for place in range(len(first))]
    if selection := find_selection(answers):
        table, pool = selection
        reason = "rows of picture, class and box that non-maximum suppression selected"
        found[table] = OutputKind("boxes", reason)
        if pool is not None:
            shares = max(float(np.abs(answer[pool]).max()) for answer in answers) <= _FARTHEST
            found[pool] = OutputKind("boxes", f"the boxes among which output {table} selects", shares=shares)
            for place, one in enumerate(first):
                if place not in selection and one.size and one.size % first[pool].shape[-2] == 0 and one.ndim == 3:
                    found[place] = OutputKind("boxes", f"scores of the boxes among which output {table} selects")
    tables = [place for place, each in enumerate(found) if each.kind == "boxes"]
    for place, each in enumerate(found):
        # Scores, classes and the number of boxes are separate outputs, but have no meaning without the boxes.
        if tables and each.kind != "boxes" and _goes_with_boxes(answers, place, tables):
            found[place] = OutputKind("boxes", "as many numbers as there are boxes, or one: their scores and classes")
    return tuple(found)


def _goes_with_boxes(answers: Sequence[Answer], place: int, tables: Sequence[int]) -> bool:
    """Return whether the output at ``place`` belongs to boxes, as their scores or classes do.

    It has one number for every picture, or as many as one of the tables has rows. The number of boxes may differ from
    picture to picture.
    """
    counts = [answer[place].size for answer in answers]
    rows = ([answer[table].shape[-2] for answer in answers] for table in tables)
    return all(count == 1 for count in counts) or counts in rows


def find_selection(answers: Sequence[Answer]) -> tuple[int, int | None] | None:
    """Return the places of the output that selects boxes, as ONNX' NonMaxSuppression does, and of all candidate boxes.

    The selecting output contains whole numbers, (n, 3): picture, class, box. The second place is None if the candidate
    boxes aren't an output. Returns None if no output selects boxes.
    """
    tables = [place for place, one in enumerate(answers[0]) if _select(tuple(answer[place] for answer in answers))]
    if not tables:
        return None
    table = tables[0]
    most = max((int(answer[table][:, 2].max()) for answer in answers if len(answer[table])), default=0)
    pools = [
        place
        for place, one in enumerate(answers[0])
        if np.issubdtype(one.dtype, np.floating) and one.ndim == 3 and one.shape[2] == 4 and one.shape[1] > most
    ]
    varies = len({len(answer[table]) for answer in answers}) > 1
    return (table, pools[0] if pools else None) if pools or varies else None


def _select(tables: Sequence[np.ndarray]) -> bool:
    """Return whether the output's rows can be (picture, class, box) of a single picture, without duplicates."""
    if any(one.dtype.kind not in "iu" or one.ndim != 2 or one.shape[1] != 3 for one in tables):
        return False
    rows = np.concatenate(tables)
    apart = all(len({tuple(row) for row in one.tolist()}) == len(one) for one in tables)
    return bool(len(rows)) and bool((rows[:, 0] == 0).all()) and bool((rows >= 0).all()) and apart


def override_kinds(found: Sequence[OutputKind], names: Sequence[str], given: Sequence[str]) -> tuple[OutputKind, ...]:
    """Return the kinds, replaced where the user gave others: ``KIND`` for all outputs, or ``OUTPUT=KIND``.

    ``regions:NAME`` names what the map shows. Raises InputError for an unknown kind or output.
    """
    kinds = list(found)
    for text in given:
        name, _, word = text.rpartition("=")
        kind, _, region = word.partition(":")
        if kind not in KINDS:
            raise InputError(f"--meaning: unknown {kind!r}{did_you_mean(kind, KINDS)}")
        if region and kind != "regions":
            raise InputError(f"--meaning: expected a name for regions only, such as regions:text, received {word!r}")
        if name and name not in names and f"{name}:0" not in names:
            raise InputError(f"--meaning: unknown output {name!r}{did_you_mean(name, names)}")
        for place, own in enumerate(names):
            if not name or own in (name, f"{name}:0"):
                kinds[place] = replace(kinds[place], kind=kind, reason="given by the user", region=region or "region")
    return tuple(kinds)


def _find_kind(tensors: Sequence[np.ndarray], size: tuple[int, int]) -> OutputKind:
    varies = len({one.shape for one in tensors}) > 1
    tensor = max(tensors, key=lambda one: one.size)  # a detector's output may differ in length between pictures
    if not tensor.size:
        return OutputKind("tensor", f"empty for every picture, of shape {list(tensor.shape)}")
    tensors = [one for one in tensors if one.size]
    sides = [side for side in tensor.shape if side != 1]
    if tensor.size == 1 and not varies:
        return OutputKind("regression", "one number for each picture")
    is_map = tensor.ndim == 4 and min(tensor.shape[1:3]) >= _SHORTEST  # such as EAST's map of geometry
    if tensor.shape and tensor.shape[-1] in range(4, 8) and len(sides) >= 2 and not is_map and _hold_corners(tensors):
        shares = max(float(np.abs(one).max()) for one in tensors) <= _FARTHEST
        # The values don't show whether x or y comes first, so the framework's convention is assumed.
        corners: Literal["xyxy", "yxyx"] = "yxyx" if shares else "xyxy"
        reason = f"rows of {tensor.shape[-1]} numbers, of which four are corners, assumed to be {corners} "
        return OutputKind("boxes", f"{reason}{'shares' if shares else 'pixels'}", corners=corners, shares=shares)
    if not np.issubdtype(tensor.dtype, np.floating) and tensor.dtype.itemsize > 1:
        return OutputKind("tensor", f"whole numbers of shape {list(tensor.shape)}")
    if len(sides) == 2 and tensor.ndim == 3 and _are_distributions(tensors):
        return OutputKind("scores", f"{sides[0]} rows of {sides[1]} numbers that sum to 1, such as a line's characters")
    if len(sides) <= 1 and varies:
        return OutputKind("tensor", "a row of numbers whose length differs between pictures")
    if len(sides) == 1:
        return _find_kind_of_row(np.concatenate([one.reshape(1, -1) for one in tensors]).astype(np.float64))
    return _find_kind_of_map(tensors, size)


def _are_distributions(tensors: Sequence[np.ndarray]) -> bool:
    """Return whether every row along the last axis is a probability distribution over enough classes."""
    if tensors[0].shape[-1] < MIN_CLASSES or not np.issubdtype(tensors[0].dtype, np.floating):
        return False
    return all(float(one.min()) >= 0 and np.allclose(one.sum(axis=-1), 1, atol=_CLOSE) for one in tensors)


def _find_kind_of_row(rows: np.ndarray) -> OutputKind:
    """Return the kind of an output that is one vector per picture; ``rows`` has those of several frames."""
    count = rows.shape[1]
    if rows.min() >= 0 and np.allclose(rows.sum(axis=1), 1, atol=_CLOSE):
        return OutputKind("scores", f"{count} numbers that sum to 1")
    if count < MIN_CLASSES:
        return OutputKind("tensor", f"only {count} numbers")
    if np.allclose(np.linalg.norm(rows, axis=1), 1, atol=_CLOSE):
        return OutputKind("embedding", f"a vector of {count} numbers whose length is 1")
    if count in _VECTORS:
        return OutputKind("embedding", f"a vector of {count} numbers, a usual length of embeddings")
    return OutputKind("scores", f"a row of {count} numbers, assumed to be class scores")


def _find_kind_of_map(tensors: Sequence[np.ndarray], size: tuple[int, int]) -> OutputKind:
    tensor = max(tensors, key=lambda one: one.size)
    shape = tensor.shape[1:] if tensor.ndim == 4 else (*tensor.shape[1:], 1)
    if len(shape) != 3 or not np.issubdtype(tensor.dtype, np.floating):
        return OutputKind("tensor", f"numbers of shape {list(tensor.shape)}")
    if any(one.shape[0] != 1 for one in tensors):
        return OutputKind("tensor", f"several maps of {list(tensor.shape[1:])} for a picture, such as one of each box")
    channels, places = (shape[0], shape[1:]) if shape[0] < shape[2] else (shape[2], shape[:2])
    if min(places) < _SHORTEST or any(side * _COARSEST < wanted for side, wanted in zip(places, size, strict=True)):
        return OutputKind("tensor", f"a table of {list(tensor.shape)}, too coarse for a map of the picture")
    low, high = (
        float(pick(one)) for pick, one in ((min, [t.min() for t in tensors]), (max, [t.max() for t in tensors]))
    )
    if channels == 1 and low >= -_CLOSE and high <= 1 + _CLOSE:
        return OutputKind("regions", f"a map of the picture with numbers from {low:.2g} to {high:.2g}")
    if channels == 1:
        return OutputKind(
            "tensor", f"a map with numbers from {low:.3g} to {high:.3g}, such as depth, and no probabilities"
        )
    return OutputKind("tensor", f"{channels} maps, such as those of a pose, and no exclusive classes")


def _hold_corners(tensors: Sequence[np.ndarray]) -> bool:
    """Return whether four numbers of each row are the corners of a box, in all frames.

    That is taken to be so where the third and fourth number aren't less than the first and second.
    """
    rows = np.concatenate([one.reshape(-1, one.shape[-1]) for one in tensors])
    rows = rows[:, 3:] if rows.shape[1] == 7 else rows[:, :4]
    return bool(len(rows)) and float(((rows[:, 2] >= rows[:, 0]) & (rows[:, 3] >= rows[:, 1])).mean()) > 0.99
