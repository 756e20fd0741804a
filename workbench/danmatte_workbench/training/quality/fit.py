"""Training of the judge on counts and scores; it takes seconds on a CPU and is reproducible by its seed."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from danmatte_workbench.training.quality import architecture
from danmatte_workbench.training.quality.samples import GROUP, Samples, to_scores

_ORDER_OF_ALL, _ORDER_OF_LADDERS = 0.5, 8.0  # weights beside the error in points
TOLERATED = 8.0  # points of error above which the loss is linear instead of quadratic


@dataclass(frozen=True)
class Plan:
    """Options of the training; the learning rate falls from ``peak`` as a cosine."""

    epochs: int = 60
    batch: int = 512  # samples, in whole groups
    peak: float = 3e-3
    averaging: float = 0.99  # decay of the running mean of the weights per step


@dataclass(frozen=True)
class Figures:
    """Accuracy of scores on pictures that weren't used for training.

    spearman, pearson: rank and linear correlation over all samples. mean_error: in points. in_order: share of the pairs
    of one ladder that are in the right order.
    """

    spearman: float
    pearson: float
    mean_error: float
    in_order: float
    samples: int


def measure_loss(truth: Any, predicted: Any) -> Any:
    """Return the Huber loss in points plus penalties for pairs in the wrong order.

    Pairs of one ladder have a much higher weight than pairs of all samples.
    truth, predicted: (groups, GROUP) scores.
    """
    error = ops.abs(predicted - truth)
    huber = ops.where(error < TOLERATED, 0.5 * error**2 / TOLERATED, error - 0.5 * TOLERATED)
    everywhere = _misorder(ops.reshape(truth, (1, -1)), ops.reshape(predicted, (1, -1)))
    return ops.mean(huber) + _ORDER_OF_ALL * everywhere + _ORDER_OF_LADDERS * _misorder(truth, predicted)


def _misorder(truth: Any, predicted: Any) -> Any:
    """Return the mean number of points by which pairs within each row are too close or in the wrong order."""
    wanted = truth[:, :, None] - truth[:, None, :]
    received = predicted[:, :, None] - predicted[:, None, :]
    return ops.mean(ops.relu(ops.minimum(ops.abs(wanted), TOLERATED) - ops.sign(wanted) * received))


def fit(samples: Samples, *, plan: Plan, seed: int) -> keras.Model:
    """Train a judge on the samples and return it."""
    counts = samples.counts
    keras.utils.set_random_seed(seed)
    judge = architecture.build_judge(counts.shape[1])
    judge.get_layer("normalise").adapt(counts)
    steps = plan.epochs * max(1, len(counts) // plan.batch)
    warm_up = steps // 20
    schedule = keras.optimizers.schedules.CosineDecay(
        plan.peak / 20, steps - warm_up, warmup_target=plan.peak, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=1e-3, global_clipnorm=5.0, use_ema=True, ema_momentum=plan.averaging
    )
    # Each item of a batch is a whole group.
    given = keras.Input((GROUP, counts.shape[1]))
    scores = judge(ops.reshape(given, (-1, counts.shape[1])))
    trainer = keras.Model(given, ops.reshape(scores, (-1, GROUP)))
    trainer.compile(optimizer=optimizer, loss=measure_loss, jit_compile=False)
    rows = counts.reshape(-1, GROUP, counts.shape[1])
    trainer.fit(
        rows,
        to_scores(samples.decibels).reshape(-1, GROUP),
        batch_size=plan.batch // GROUP,
        epochs=plan.epochs,
        verbose=0,
    )
    return judge


def check(judge: keras.Model, samples: Samples) -> Figures:
    """Return the judge's accuracy on samples that weren't used for training."""
    truth, scores = to_scores(samples.decibels), np.asarray(judge(samples.counts))[:, 0]
    ranks = np.stack([np.argsort(np.argsort(values)) for values in (truth, scores)]).astype(np.float64)
    ladders, given = scores.reshape(-1, GROUP), truth.reshape(-1, GROUP)
    above, better = (values[:, :, None] > values[:, None, :] for values in (ladders, given))
    return Figures(
        spearman=float(np.asarray(np.corrcoef(ranks))[0, 1]),
        pearson=float(np.asarray(np.corrcoef(truth, scores))[0, 1]),
        mean_error=float(np.abs(truth - scores).mean()),
        in_order=float(above[better].mean()),
        samples=len(truth),
    )
