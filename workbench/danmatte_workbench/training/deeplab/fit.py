"""Fine-tuning in stages, with a fixed seed and checkpoints from which a killed run resumes."""

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from danmatte_workbench.training.deeplab import architecture
from danmatte_workbench.training.deeplab.architecture import Widths
from danmatte_workbench.training.deeplab.augment import FULL_WEIGHT
from danmatte_workbench.training.deeplab.scenes import Scenes

FRESH_GAIN = 5.0  # factor of the learning rate of new layers
NOBODY = 0.04  # share of a picture without people that the loss takes for a person already found
PREFETCH = 6
KEEP = 150  # steps between the running means that are stored
WARM_UP = 100  # steps


@dataclass(frozen=True)
class Stage:
    """Training at one crop size: steps of ``batch`` crops, with a learning rate that falls from ``peak`` as a cosine.

    side: of the crops, in pixels. horizon: step at which the rate would reach 0; the last step if it is 0. whole, lean:
    as in ``augment.View``. share: the stage's share in the final mean of weights; what counts there is the mean of the
    running means stored from step ``settled`` on. frozen: last bottleneck whose weights stay fixed, because edges and
    textures are learned already and training them takes half of the time; −1 is the first convolution. averaging: decay
    of the running mean per step.
    """

    name: str
    side: int
    batch: int
    steps: int
    peak: float
    horizon: int = 0
    whole: float = 0.0
    lean: float = 0.08
    share: float = 0.0
    settled: int = 0
    frozen: int = 5
    averaging: float = 0.998


STAGES = (
    Stage("crops", side=321, batch=16, steps=600, peak=3e-4, horizon=1800),
    Stage(
        "frames",
        side=513,
        batch=8,
        steps=1200,
        peak=2e-4,
        horizon=1400,
        whole=0.4,
        lean=0.12,
        share=0.8,
        settled=600,
    ),
)
STUDENT = Stage("student", side=449, batch=8, steps=600, peak=1.5e-4, whole=0.5, lean=0.12, frozen=-1, averaging=0.995)
LABELS_BESIDE_TEACHER = 0.5  # weight of the loss against the labels if there is a teacher
UNTRUSTED = 0.3  # of a label's full weight: labels of less don't overrule the teacher
SMOOTH = 50.0  # pixels added to intersection and union
TOO_FAR = 0.5  # difference from a trusted label at which the teacher's probability counts as wrong


@dataclass(frozen=True)
class InitialWeights:
    """Start of a stage: weights, names of new layers, and widths of layers."""

    weights: list[np.ndarray]
    fresh: list[str] = field(default_factory=list)
    widths: Widths = field(default_factory=dict)


class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW with a learning rate that is ``FRESH_GAIN`` times as high for new layers."""

    def __init__(self, fresh: list[str], **options: object) -> None:
        super().__init__(**options)
        self._fresh = frozenset(fresh)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        known = self._trainable_variables[self._get_variable_index(variable)]
        layer = known.path.split("/")[-2]
        gain = FRESH_GAIN if layer in self._fresh else 1.0
        super().update_step(gradient, variable, ops.cast(learning_rate, known.dtype) * gain)


def matte_loss(truth: Any, logits: Any) -> Any:
    """Return weighted cross-entropy against a soft target plus the mean of the pictures' soft Jaccard distances.

    truth: (batch, h, w, 2) target and weight, see ``augment.look``; logits: (batch, h, w, 2).
    The Jaccard term gives small and large people the same weight, as mean IoU over pictures does. A picture without
    people is treated as if it had a person already found, so that false positives there cost as much as elsewhere.
    """
    truth = ops.cast(truth, "float32")
    target, weight = truth[..., 0] / 255.0, truth[..., 1] / FULL_WEIGHT
    margin = ops.cast(logits[..., 1] - logits[..., 0], "float32")
    entropy = ops.relu(margin) - margin * target + ops.softplus(-ops.abs(margin))
    entropy = ops.sum(entropy * weight) / ops.maximum(ops.sum(weight), 1.0)
    trusted = ops.cast(weight >= 1.0, "float32")
    person = ops.sigmoid(margin) * trusted
    target = target * trusted
    both = ops.sum(person * target, axis=(1, 2))
    either = ops.sum(person + target - person * target, axis=(1, 2))
    labelled = ops.sum(trusted, axis=(1, 2))
    smooth = ops.where(ops.sum(target, axis=(1, 2)) > 40.0, 10.0, NOBODY * labelled + 10.0)
    distance = ops.sum(1.0 - (both + smooth) / (either + smooth))
    return entropy + distance / ops.maximum(ops.sum(ops.cast(labelled > 0.0, "float32")), 1.0)


def teacher_loss(truth: Any, logits: Any, taught: Any) -> Any:
    """Return cross-entropy against the teacher's probabilities plus the mean soft Jaccard distance from them.

    truth: as for ``matte_loss``; logits, taught: (batch, h, w, 2), the network's and the teacher's. Pixels at which a
    trusted label contradicts the teacher are ignored.
    """
    target, weight = ops.cast(truth[..., 0], "float32") / 255.0, ops.cast(truth[..., 1], "float32") / FULL_WEIGHT
    right = ops.sigmoid(taught[..., 1] - taught[..., 0])
    counted = ops.cast((ops.abs(right - target) < TOO_FAR) | (weight < UNTRUSTED), "float32")
    margin = ops.cast(logits[..., 1] - logits[..., 0], "float32")
    entropy = ops.relu(margin) - margin * right + ops.softplus(-ops.abs(margin))
    entropy = ops.sum(entropy * counted) / ops.maximum(ops.sum(counted), 1.0)
    person = ops.sigmoid(margin) * counted
    right = right * counted
    both = ops.sum(person * right, axis=(1, 2))
    either = ops.sum(person + right, axis=(1, 2)) - both
    return entropy + ops.mean(1.0 - (both + SMOOTH) / (either + SMOOTH))


@keras.saving.register_keras_serializable("danmatte")
class TaughtModel(keras.Model):
    """A network trained with labels and with a teacher that gets the same pictures."""

    def __init__(self, inputs: Any, outputs: Any, teacher: keras.Model) -> None:
        super().__init__(inputs, outputs)
        teacher.trainable = False
        self._teacher = teacher

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
        """Return the loss against the labels and the teacher."""
        taught = ops.cast(self._teacher(x, training=False), "float32")
        return LABELS_BESIDE_TEACHER * matte_loss(y, y_pred) + teacher_loss(y, y_pred, taught)


def views(scenes: Scenes, stage: Stage, seed: int, start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches from step ``start`` on, prepared in a thread; the batch of a step doesn't depend on ``start``."""

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        stage_key = sum(stage.name.encode())
        rngs = (np.random.default_rng([seed, stage_key, step, item]) for item in range(stage.batch))
        pixels, truth = zip(*(scenes.draw(stage.side, stage.lean, stage.whole, rng) for rng in rngs), strict=True)
        return np.stack(pixels).astype(np.float32) / 127.5 - 1, np.stack(truth)

    with ThreadPoolExecutor(1) as maker:
        ahead = deque(maker.submit(batch, start + step) for step in range(PREFETCH))
        for step in range(start + PREFETCH, stage.steps + PREFETCH):
            yield ahead.popleft().result()
            ahead.append(maker.submit(batch, step))


class Checkpoint:
    """A training run's file of weights, their running mean and the optimizer's state, replaced atomically."""

    def __init__(self, path: Path, trainer: keras.Model) -> None:
        self._path = path
        self._trainer = trainer
        self._trainer.optimizer.build(trainer.trainable_variables)

    def _variables(self) -> list[keras.Variable]:
        # The optimizer's variables include the iteration, the moments and, with use_ema, the running mean.
        return [*self._trainer.trainable_variables, *self._trainer.optimizer.variables]

    def save(self, step: int) -> None:
        """Write the state after ``step`` steps."""
        unfinished = self._path.with_suffix(".part.npz")
        arrays: dict[str, Any] = {f"v{number}": np.asarray(v) for number, v in enumerate(self._variables())}
        np.savez(unfinished, step=step, **arrays)
        unfinished.replace(self._path)

    def restore(self) -> int:
        """Restore the state; return the number of steps done, 0 if there is no checkpoint."""
        if not self._path.exists():
            return 0
        with np.load(self._path) as stored:
            for number, variable in enumerate(self._variables()):
                variable.assign(stored[f"v{number}"])
            return int(stored["step"])


def run_stage(
    stage: Stage,
    initial: InitialWeights,
    scenes: Scenes,
    folder: Path,
    seed: int,
    teacher: keras.Model | None = None,
) -> list[np.ndarray]:
    """Train one stage from ``initial``; return the running mean of the weights at its end.

    A finished stage is read from ``folder``, and a stopped one resumes from its checkpoint there. teacher: a network
    for the same pictures, whose outputs are targets in addition to the labels.
    """
    done = folder / f"{stage.name}.weights.npz"
    if done.exists():
        return _read(done)
    network = architecture.build((stage.side, stage.side), initial.widths)
    network.set_weights(initial.weights)
    freeze(network, stage.frozen)
    trainer = _trainer(network, stage, initial.fresh, teacher)
    checkpoint = Checkpoint(folder / f"{stage.name}.checkpoint.npz", trainer)
    start = checkpoint.restore()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    recent: deque[float] = deque(maxlen=100)
    with Progress(*columns) as progress, (folder / f"{stage.name}.log").open("a") as log:
        task = progress.add_task(stage.name, total=stage.steps, completed=start)
        for step, (pixels, truth) in enumerate(views(scenes, stage, seed, start), start=start + 1):
            recent.append(float(trainer.train_on_batch(pixels, truth)))
            progress.update(task, advance=1, description=f"{stage.name} loss {np.mean(recent):.4f}")
            if step % 100 == 0 or step == stage.steps:
                checkpoint.save(step)
                log.write(f"{step}\t{np.mean(recent):.5f}\n")
                log.flush()
            if step % KEEP == 0:
                _write(_running_mean(network, trainer), folder / f"{stage.name}-{step}.weights.npz")
    _write(_running_mean(network, trainer), done)
    return _read(done)


def average_kept(stage: Stage, folder: Path) -> list[np.ndarray]:
    """Return the mean of the running means that a finished stage stored from step ``settled`` on."""
    steps = [step for step in range(KEEP, stage.steps + 1, KEEP) if step >= stage.settled]
    kept = [_read(folder / f"{stage.name}-{step}.weights.npz") for step in steps]
    return [np.mean(weights, axis=0) for weights in zip(*kept, strict=True)]


def freeze(network: keras.Model, last: int) -> None:
    """Make the layers up to bottleneck ``last`` untrainable; −1 is the first convolution."""
    for layer in network.layers:
        match = re.match(r"MobilenetV2-(?:Conv$|expanded_conv_?(\d*)-)", layer.name)
        if match and (-1 if match[1] is None else int(match[1] or 0)) <= last:
            layer.trainable = False


def _trainer(network: keras.Model, stage: Stage, fresh: list[str], teacher: keras.Model | None) -> keras.Model:
    """Return ``network`` with logits enlarged to its input's size, compiled for ``stage``."""
    logits = architecture.Enlarge((stage.side, stage.side), dtype="float32")(network.output)
    trainer = keras.Model(network.input, logits) if teacher is None else TaughtModel(network.input, logits, teacher)
    schedule = keras.optimizers.schedules.CosineDecay(
        stage.peak / 100,
        (stage.horizon or stage.steps) - WARM_UP,
        alpha=0.0,
        warmup_target=stage.peak,
        warmup_steps=WARM_UP,
    )
    optimizer = LayerwiseAdamW(
        fresh,
        learning_rate=schedule,
        weight_decay=1e-4,
        global_clipnorm=5.0,
        use_ema=True,
        ema_momentum=stage.averaging,
    )
    trainer.compile(optimizer=optimizer, loss=matte_loss, jit_compile=False)
    return trainer


def _running_mean(network: keras.Model, trainer: keras.Model) -> list[np.ndarray]:
    """Return the network's weights, with the running mean in place of the trained ones."""
    means = trainer.optimizer._model_variables_moving_average
    by_path = {v.path: np.asarray(mean) for v, mean in zip(trainer.trainable_variables, means, strict=True)}
    return [by_path.get(v.path, np.asarray(v)) for v in network.weights]


def _read(path: Path) -> list[np.ndarray]:
    with np.load(path) as stored:
        return [stored[f"w{number}"] for number in range(len(stored.files))]


def _write(weights: list[np.ndarray], path: Path) -> None:
    unfinished = path.with_suffix(".part.npz")
    np.savez(unfinished, **{f"w{number}": value for number, value in enumerate(weights)})  # type: ignore[arg-type]
    unfinished.replace(path)
