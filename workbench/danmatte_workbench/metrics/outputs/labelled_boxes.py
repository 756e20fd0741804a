"""Boxes in labelled pictures: average precision lost."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.labels import LabelledBox
from danmatte_workbench.metrics.outputs.base import WHOLE, Answer, Sample
from danmatte_workbench.metrics.outputs.boxes import OVERLAPS, SURE, BoxesMeasure, Detections, compute_precision

# Detectors differ in the order of a box's coordinates and in the offset of their class numbers. Every combination is
# computed, and the one with which the source is most precise is used.
_ORDERS = ((0, 1, 2, 3), (1, 0, 3, 2))
_OFFSETS = (0, -1)


class LabelledBoxesMeasure(BoxesMeasure):
    """Points of average precision lost against the labels, over IoU thresholds from 0.5 to 0.95."""

    kind = "labelled boxes"
    limit = 2.0
    about = "average precision lost against the pictures' own boxes, over IoU 0.5 to 0.95"

    def sample(self, source: Answer, candidate: Answer) -> Sample:
        if not self._has_boxes:
            return self._tell_nothing()
        found = self._read(source)
        sure = Detections(*(part[found.scores >= SURE] for part in found))
        return self._compare(self._read(source), self._read(candidate), sure, sides=(1.0, 1.0))

    def sample_labelled(
        self, source: Answer, candidate: Answer, boxes: Sequence[LabelledBox], size: tuple[int, int]
    ) -> Sample:
        """Return the sample of a frame with these boxes: 1, then precision of source and candidate for each order
        and offset.

        size: (height, width) of the graph's input, to which boxes in pixels refer.
        """
        if not self._has_boxes:
            return self._tell_nothing()
        table = np.array(boxes, np.float64).reshape(-1, 5)
        truth = Detections(table[:, :4], np.ones(len(table)), table[:, 4])
        before, after = self._read(source), self._read(candidate)
        shares = not len(before.boxes) or float(np.abs(before.boxes).max()) <= 2
        return self._compare(before, after, truth, sides=(1.0, 1.0) if shares else (float(size[0]), float(size[1])))

    @classmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        counted = samples[..., 0].sum(axis=1)
        precision = samples[..., 1:].sum(axis=1) / np.where(counted > 0, counted, 1)[:, None]
        source, candidate = precision[:, ::2], precision[:, 1::2]
        best = source.argmax(axis=1)[:, None]
        lost = np.take_along_axis(source, best, axis=1) - np.take_along_axis(candidate, best, axis=1)
        return np.asarray(WHOLE * np.maximum(lost[:, 0], 0))

    def _compare(self, before: Detections, after: Detections, truth: Detections, sides: tuple[float, float]) -> Sample:
        """Return a frame's sample; boxes are divided by ``sides``, (height, width), to get shares of the picture."""
        if not len(truth.boxes):
            return self._tell_nothing()
        found = [1.0]
        for order in _ORDERS:
            divisors = np.array([sides[1], sides[0]] * 2)
            for offset in _OFFSETS:
                right = truth._replace(classes=truth.classes + offset)
                for side in (before, after):
                    read = side._replace(boxes=side.boxes[:, order] / divisors)
                    found.append(float(np.mean([compute_precision(right, read, overlap) for overlap in OVERLAPS])))
        return tuple(found)

    def _tell_nothing(self) -> Sample:
        return (0.0,) * (1 + 2 * len(_ORDERS) * len(_OFFSETS))
