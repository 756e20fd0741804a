"""Loss of a candidate compared with its source: over all pictures, and in each kind of scene."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP
from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.agreement import (
    TensorScore,
    measure_disagreement,
    measure_iou_drop,
    measure_mask_disagreement,
    measure_top1,
)
from danmatte_workbench.metrics.base import CONFIDENCE, USUAL, Metric, Reach, Score

TOP1 = "top1"


@dataclass(frozen=True)
class KindLoss:
    """Loss in the pictures of one kind of scene."""

    kind: str
    loss: Measurement


@dataclass(frozen=True)
class Accuracy:
    """Measurements of a candidate.

    measurements: first the metric that the budget limits, then the others. kinds: that metric in each kind of scene in
    which it can be measured; empty unless there are at least two kinds.
    """

    measurements: tuple[Measurement, ...]
    kinds: tuple[KindLoss, ...] = ()

    @property
    def metrics(self) -> frozenset[str]:
        """Return the names of the measured metrics."""
        return frozenset(item.metric for item in self.measurements)

    @property
    def worst(self) -> KindLoss | None:
        """Return the kind with the largest loss; None without kinds."""
        return max(self.kinds, key=lambda item: item.loss.value, default=None)


@dataclass(frozen=True)
class ScoredFrames:
    """Scores of a candidate and of its source on the same frames.

    own: the source's scores; None where the source's outputs are used as the truth. kinds: kind of scene by frame name.
    scenes: scene by frame name; frames that look alike share a scene.
    """

    scores: Sequence[Score | TensorScore]
    own: Sequence[Score] | None
    kinds: Mapping[str, str]
    scenes: Mapping[str, str] = field(default_factory=dict)

    def measure(self, host: Host, *, confidence: float = CONFIDENCE, anew: bool = False) -> Accuracy:
        """Measure the loss. Raises InputError if no frame can be measured.

        anew: whether the interval of the overall loss predicts the loss on another set of as many frames, instead of
        the loss on an unlimited number. That set has the same sampling error, so the interval is wider by the square
        root of two.
        """
        masks = [score for score in self.scores if isinstance(score, Score)]
        figures = [self._measure_loss(range(len(self.scores)), host, Reach(confidence, math.sqrt(2) if anew else 1.0))]
        if masks and self.own is not None:
            metrics = (metric for metric in Metric.all.values() if metric.of_candidates)
            figures += [
                metric.measure(masks, host, self.scenes) for metric in metrics if any(map(metric.counts, masks))
            ]
        elif not masks:
            tensors = [score for score in self.scores if isinstance(score, TensorScore)]
            figures += [top1] if (top1 := measure_top1(tensors, TOP1, host)) else []
        places: dict[str, list[int]] = {}
        for place, name in enumerate([score.name for score in self.scores]):
            if name in self.kinds:
                places.setdefault(self.kinds[name], []).append(place)
        found = []
        for kind in sorted(places) if len(places) > 1 else ():
            try:
                found.append(KindLoss(kind, self._measure_loss(places[kind], host, USUAL)))
            except InputError:  # the pictures of this kind show no people
                continue
        return Accuracy(tuple(figures), tuple(found))

    def _measure_loss(self, places: Sequence[int], host: Host, reach: Reach) -> Measurement:
        chosen = [self.scores[place] for place in places]
        tensors = [score for score in chosen if isinstance(score, TensorScore)]
        if tensors or not chosen:
            return measure_disagreement(tensors, DISAGREEMENT, host, reach=reach)
        masks = [score for score in chosen if isinstance(score, Score)]
        if self.own is None:
            return measure_mask_disagreement(masks, IOU_DROP, host, reach=reach, scenes=self.scenes)
        own = [self.own[place] for place in places]
        return measure_iou_drop(own, masks, IOU_DROP, host, reach=reach, scenes=self.scenes)
