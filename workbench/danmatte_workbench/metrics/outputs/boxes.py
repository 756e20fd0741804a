"""Boxes: average precision of a candidate against the source's detections."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.kinds import find_selection
from danmatte_workbench.metrics.outputs.base import WHOLE, Answer, OutputMeasure, Sample

SURE = 0.3  # minimum score of a detection
OVERLAPS = np.arange(0.5, 0.951, 0.05)  # IoU thresholds of COCO's average precision
_COLUMNS = range(4, 8)


class Detections(NamedTuple):
    """Boxes, (n, 4), with their scores and classes, (n,) each."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


class BoxesMeasure(OutputMeasure):
    """The larger of: 1 − average precision with the source's detections as truth, and the mean score difference.

    Precision is averaged over IoU thresholds from 0.5 to 0.95, so that slightly moved boxes count as a loss. The score
    difference is that of matched boxes. Outputs with as many numbers as there are boxes are taken as the boxes' scores
    and classes and are measured together with them. If an output selects boxes, as non-maximum suppression does, the
    selected boxes are the detections.
    """

    kind = "boxes"
    limit = 15.0
    about = "average precision against the source's detections, over IoU 0.5 to 0.95"

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        super().__init__(source, place)
        self._selection = find_selection(source)
        if self._selection:
            # Measured once: at the output with the boxes or, if there is none, at the output that selects them.
            table, pool = self._selection
            self._has_boxes = place == (table if pool is None else pool)
        else:
            self._has_boxes = is_box_table(source[0][place].shape)
        self._beside = find_outputs_beside(source, place) if self._has_boxes and not self._selection else ()
        self._centred = _are_centred(source, place) if self._has_boxes and source[0][place].shape[-1] > 3 else False
        found = [self._read(answer) for answer in source] if self._has_boxes else []
        if found and not any((each.scores >= SURE).any() for each in found):
            raise InputError(
                f"the source finds no box with a score of {SURE} or more in these frames; expected frames with objects"
            )

    def sample(self, source: Answer, candidate: Answer) -> Sample:
        if not self._has_boxes:
            return 0.0, 0.0, 0.0
        before = self._read(source)
        truth = Detections(*(part[before.scores >= SURE] for part in before))
        found = self._read(candidate)
        if not len(truth.boxes):
            return 0.0, 0.0, float((found.scores >= SURE).any())
        precisions = [compute_precision(truth, found, overlap) for overlap in OVERLAPS]
        pairs = _match(truth, found, float(OVERLAPS[0]))
        differences = [min(1.0, abs(found.scores[a] - truth.scores[b])) for a, b in pairs]
        return 1.0, 1 - float(np.mean(precisions)), float(np.mean(differences)) if differences else 1.0

    def _read(self, answer: Answer) -> Detections:
        if self._selection:
            return read_selected(answer, *self._selection, centred=self._centred)
        return read_detections(answer, self._place, self._beside, centred=self._centred)

    @classmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        counted = samples[..., 0].sum(axis=1)
        lost = np.where(counted > 0, samples[..., 1].sum(axis=1) / np.where(counted > 0, counted, 1), 0.0)
        return np.asarray(WHOLE * np.maximum(lost, samples[..., 2].mean(axis=1)))


def is_box_table(shape: tuple[int, ...]) -> bool:
    """Return whether a tensor of this shape can hold boxes: rows of 4 to 7 numbers."""
    return len(shape) >= 2 and shape[-1] in _COLUMNS


def find_outputs_beside(source: Sequence[Answer], place: int) -> tuple[int, ...]:
    """Return the places of the outputs that have as many numbers as the table at ``place`` has rows, for every frame.

    Return none if no frame has more than one row, because then any single number would match, such as a count of boxes.
    """
    rows = [len(answer[place].reshape(-1, answer[place].shape[-1])) for answer in source]
    if max(rows) < 2:
        return ()
    others = (number for number in range(len(source[0])) if number != place)
    return tuple(number for number in others if [answer[number].size for answer in source] == rows)


def read_detections(answer: Answer, place: int, beside: Sequence[int], *, centred: bool) -> Detections:
    """Return the boxes at ``place`` with their scores and classes.

    These are further columns of the rows, or the outputs at the places ``beside``. Boxes without scores get a score of
    1. Rows that aren't finite are ignored.
    """
    rows = (
        answer[place].reshape(-1, answer[place].shape[-1]).astype(np.float64)
        if answer[place].ndim
        else np.empty((0, 4))
    )
    extra = rows[:, 4:]
    if rows.shape[1] == 7:  # OpenVINO's DetectionOutput: picture, class, score, box
        rows, extra = rows[:, 3:], rows[:, [2, 1]]
    boxes = rows[:, :4]
    others = (answer[number].reshape(-1).astype(np.float64) for number in beside)
    columns = [*extra.T, *(column for column in others if len(column) == len(boxes))]
    scores = next((column for column in columns if _are_chances(column)), np.ones(len(boxes)))
    classes = next((column for column in columns if column is not scores and _are_whole(column)), np.zeros(len(boxes)))
    if centred:
        boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    return Detections(boxes[good], scores[good], classes[good])


def read_selected(answer: Answer, table: int, pool: int | None, *, centred: bool) -> Detections:
    """Return the boxes of output ``pool`` that output ``table`` selects; its rows are picture, class and box.

    Their scores come from an output of shape (1, classes, boxes); without one, all scores are 1. Without a pool, the
    number of a box replaces its position: boxes are the same if their numbers are.
    """
    rows = answer[table].astype(np.int64)
    if pool is None:
        left = rows[:, 2:].astype(np.float64)
        boxes = np.concatenate([left, np.zeros_like(left), left + 1, np.ones_like(left)], axis=1)
    else:
        boxes = _to_corners(answer[pool].reshape(-1, 4)[rows[:, 2]].astype(np.float64), centred=centred)
    count = answer[pool].shape[1] if pool is not None else -1
    tables = [one for place, one in enumerate(answer) if place not in (table, pool) and one.shape[-1:] == (count,)]
    scores = np.ones(len(rows))
    if tables and tables[0].ndim == 3 and rows[:, 1].max(initial=0) < tables[0].shape[1]:
        scores = tables[0][0, rows[:, 1], rows[:, 2]].astype(np.float64)
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    return Detections(boxes[good], scores[good], rows[good, 1].astype(np.float64))


def _to_corners(boxes: np.ndarray, *, centred: bool) -> np.ndarray:
    """Return corners, the smaller first, because non-maximum suppression accepts any two opposite corners."""
    if centred:
        boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    return np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)


def _are_centred(source: Sequence[Answer], place: int) -> bool:
    """Return whether rows are centre and size: read as corners, many would be inverted, and no size is negative."""
    rows = np.concatenate([answer[place].reshape(-1, answer[place].shape[-1]) for answer in source])
    rows = rows[:, 3:] if rows.shape[1] == 7 else rows[:, :4]
    if not len(rows) or float(rows[:, 2:4].min()) < 0:
        return False
    return float(((rows[:, 2] < rows[:, 0]) | (rows[:, 3] < rows[:, 1])).mean()) > 0.1


def _are_chances(column: np.ndarray) -> bool:
    return bool(len(column)) and bool(((column >= 0) & (column <= 1)).all()) and not _are_whole(column)


def _are_whole(column: np.ndarray) -> bool:
    return bool((column == np.round(column)).all())


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU of each pair of boxes, (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (first, second)]
    either = areas[0][:, None] + areas[1][None] - both
    return np.where(either > 0, both / np.where(either > 0, either, 1), 0.0)


def _match(truth: Detections, found: Detections, overlap: float) -> list[tuple[int, int]]:
    """Return pairs of a found box and a true one, where found boxes in order of score take the best true one left."""
    shares = _overlap(found.boxes, truth.boxes) * (found.classes[:, None] == truth.classes[None])
    pairs: list[tuple[int, int]] = []
    for number in np.argsort(-found.scores, kind="stable") if len(truth.boxes) else ():
        place = int(shares[number].argmax())
        if shares[number, place] >= overlap:
            pairs.append((int(number), place))
            shares[:, place] = -1.0  # already matched
    return pairs


def compute_precision(truth: Detections, found: Detections, overlap: float) -> float:
    """Return average precision: the mean over true boxes of the precision at which each is found, or 0 if it isn't."""
    hits = {number for number, _ in _match(truth, found, overlap)}
    right, gained = 0, 0.0
    for count, number in enumerate(np.argsort(-found.scores, kind="stable"), 1):
        if int(number) in hits:
            right += 1
            gained += right / count
    return gained / len(truth.boxes)
