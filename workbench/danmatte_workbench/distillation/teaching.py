"""Training of a smaller graph on the outputs of the graph that it was made from, on frames without labels.

The targets are the teacher's output (Hinton, Vinyals, Dean: "Distilling the knowledge in a neural network", 2015), and
its features wherever both graphs still have the same channels (Romero et al.: "FitNets", 2015).
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import openvino as ov

from danmatte_workbench.distillation.student import Student
from danmatte_workbench.distillation.views import LabelledView, mix_truth
from danmatte_workbench.graph.fusing import FeaturePair, pair_block_ends
from danmatte_workbench.graph.layers import extract, find_logits, index_by_name
from danmatte_workbench.processes.silence import silence_stderr
from danmatte_workbench.runtimes.openvino import compile_model

with silence_stderr():
    import tensorflow as tf

Sampler: TypeAlias = Callable[[np.random.Generator], LabelledView]  # views have the teacher's input size
Batch: TypeAlias = tuple[np.ndarray, list[np.ndarray]]  # pictures and target outputs
Made = TypeVar("Made")
WARM_UP = 50  # steps
OVERLAP = 0.5  # weight of the overlap relative to the cross-entropy
SMOOTHING = 4.0  # places added to numerator and denominator of the overlap, for pictures without people
CLIP = 5.0  # maximum norm of the gradients
SAVES = 16  # number of times that the state is saved during a distillation
BETAS = (0.9, 0.999)
FRESH_BETAS = (0.9, 0.99)  # for kernels that start at random
MEMORY = 0.995  # decay of the running mean of the weights, per step
AHEAD = 4  # batches prepared in advance


@dataclass(frozen=True)
class Distillation:
    """The options of a distillation.

    steps, batch: optimizer steps, and pictures in each. rate: the peak learning rate.
    features: the weight of the features' errors, which decreases to 0, because only the output counts in the end.
    eight_bits: the share of the steps, at the end, in which the student computes as its INT8 version will.
    truth: the share of the ground truth in the target, for views with one.
    answering: False to train features only, with constant weight and kernels that start at random. Each then has a
        learning rate that depends on its number of inputs, and the result is the running mean of the weights.
    """

    steps: int
    batch: int
    rate: float
    features: float
    eight_bits: float
    truth: float
    seed: int
    answering: bool = True

    def compute_rate(self, step: int) -> float:
        """Return the learning rate: a linear warm-up, then a cosine decay."""
        if step < WARM_UP:
            return self.rate * (step + 1) / WARM_UP
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, self.steps - WARM_UP)))


def teach(
    model: ov.Model,
    teacher: ov.Model,
    sample: Sampler,
    options: Distillation,
    checkpoint: Path | None,
    pairs: tuple[FeaturePair, ...] | None = None,
) -> tuple[dict[str, np.ndarray], str]:
    """Train a copy of ``model`` on the outputs of ``teacher``; return its weights by node name, and a description.

    pairs: the inner maps to match; None to find them by order and channels.
    checkpoint: an .npz file for the state. If training is interrupted, the next call continues from it and ends with
        the same weights as without the interruption.

    Raises InputError for a graph without gradients here.
    """
    tf.config.experimental.enable_op_determinism()  # same input, same digest
    pairs = pair_block_ends(model, teacher) if pairs is None else pairs
    student = Student(model, tuple(pair.student for pair in pairs), tf.bfloat16 if options.answering else tf.float32)
    state = _AdamState(student, fresh=not options.answering)
    first = state.load(checkpoint) if checkpoint else 0
    take_plain = _make_training_step(student, state, options)
    take_rounded = _make_training_step(student.simulate_eight_bits(), state, options)
    losses: list[float] = []
    stretch = max(1, options.steps // SAVES)
    ask = _make_teacher(teacher, pairs)

    def make_batch(number: int) -> Batch:
        # Each step has a separate generator, so that a resumed run uses the same views.
        rng = np.random.default_rng((options.seed, number))
        pictures, answers = zip(
            *(_make_example(ask, sample(rng), student, options) for _ in range(options.batch)), strict=True
        )
        return np.concatenate(pictures), [np.concatenate(part) for part in zip(*answers, strict=True)]

    batches = prefetch(make_batch, range(first, options.steps))
    for number, (pictures, answers) in enumerate(batches, start=first):
        take_step = take_rounded if number >= (1 - options.eight_bits) * options.steps else take_plain
        losses.append(float(take_step(pictures, answers, options.compute_rate(number), number)))
        if (number + 1) % stretch == 0 or number + 1 == options.steps:
            if checkpoint:
                state.save(checkpoint, number + 1)
            print(f"distil: step {number + 1} of {options.steps}, loss {np.mean(losses[-stretch:]):.4f}", flush=True)
    ended = f", loss {np.mean(losses[:stretch]):.4f} → {np.mean(losses[-stretch:]):.4f}" if losses else ""
    state.settle()
    return student.read_weights(), f"{options.steps} steps of {options.batch} views, {len(pairs)} inner maps{ended}"


def prefetch(make: Callable[[int], Made], numbers: Iterable[int]) -> Iterator[Made]:
    """Yield ``make(number)`` for each of the numbers, in order, computed a few ahead in a separate thread.

    An error in ``make`` is raised when its value is due. The thread ends with the iterator.
    """
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        try:
            for number in numbers:
                waiting.append(pool.submit(make, number))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _make_training_step(student: Student, state: "_AdamState", options: Distillation) -> Callable[..., tf.Tensor]:
    @tf.function(reduce_retracing=True)
    def run(
        pictures: tf.Tensor, answers: list[tf.Tensor], rate: tf.Tensor, number: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits, *features = student(pictures)
            loss = compute_answer_loss(logits, answers[0]) if options.answering else 0.0
            for mine, right in zip(features, answers[1:], strict=True):
                # Relative to the map's variance, so that maps of different magnitude have the same weight.
                spread = tf.reduce_mean(tf.math.reduce_variance(right, axis=[0, 1, 2]))
                loss += weight / len(features) * tf.reduce_mean(tf.square(mine - right)) / spread
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, state.weights), CLIP)
        state.apply(gradients, rate, number)
        return loss

    def take_step(pictures: tf.Tensor, answers: list[tf.Tensor], rate: float, number: int) -> tf.Tensor:
        weight = options.features * (1 - number / options.steps if options.answering else 1.0)
        return run(pictures, answers, tf.constant(rate), tf.constant(float(number)), tf.constant(weight))

    return take_step


def compute_answer_loss(logits: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Return the cross-entropy of all places, plus 1 − soft overlap of each picture (Milletari et al., 2016).

    With cross-entropy alone, small people would be sacrificed for large ones, because they have few pixels.
    """
    entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=right, logits=logits))
    mine = tf.sigmoid(logits)
    both = tf.reduce_sum(mine * right, axis=[1, 2, 3])
    either = tf.reduce_sum(mine * mine + right * right, axis=[1, 2, 3])
    return entropy + OVERLAP * tf.reduce_mean(1 - (2 * both + SMOOTHING) / (either + SMOOTHING))


class _AdamState:
    """The weights, Adam's two moments (Kingma, Ba: "Adam", 2015), and the running mean of ``fresh`` weights.

    The state can be stored. Fresh kernels with many inputs take smaller steps, because all their weights may change in
    the same direction (Yang, Hu et al.: "Tensor Programs V", 2022). keras.optimizers.Adam has neither a learning rate
    for each variable nor a running mean with a short start, and its checkpoints depend on Keras' version. The update
    itself is TensorFlow's own kernel in both cases.
    """

    def __init__(self, student: Student, *, fresh: bool) -> None:
        self.weights = list(student.variables.values())
        self._paces = [pace if fresh else 1.0 for pace in student.paces.values()]
        self._betas = FRESH_BETAS if fresh else BETAS
        self._means = [tf.Variable(weight) for weight in self.weights] if fresh else []
        self._first = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]
        self._second = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]
        self._all = [*self.weights, *self._first, *self._second, *self._means]

    def apply(self, gradients: list[tf.Tensor], rate: tf.Tensor, number: tf.Tensor) -> None:
        """Apply one step of Adam."""
        moments = zip(self._first, self._second, gradients, self._paces, strict=True)
        for weight, (first, second, gradient, pace) in zip(self.weights, moments, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=self._betas[0] ** (number + 1),
                beta2_power=self._betas[1] ** (number + 1),
                lr=rate * pace,
                beta1=self._betas[0],
                beta2=self._betas[1],
                epsilon=1e-7,
                grad=gradient,
            )
        memory = tf.minimum(MEMORY, (1 + number) / (10 + number))  # shorter at first, to forget the start
        for mean, weight in zip(self._means, self.weights, strict=False):
            mean.assign(memory * mean + (1 - memory) * weight)

    def settle(self) -> None:
        """Set fresh weights to their running mean (Polyak, Juditsky, 1992)."""
        for mean, weight in zip(self._means, self.weights, strict=False):
            weight.assign(mean)

    def load(self, checkpoint: Path) -> int:
        """Restore the state from the checkpoint, if it exists; return the number of completed steps."""
        if not checkpoint.exists():
            return 0
        with np.load(checkpoint) as kept:
            for number, variable in enumerate(self._all):
                variable.assign(kept[f"v{number}"])
            return int(kept["step"])

    def save(self, checkpoint: Path, step: int) -> None:
        """Write the state atomically."""
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        unfinished = checkpoint.with_suffix(".part.npz")
        values = {f"v{number}": variable.numpy() for number, variable in enumerate(self._all)}
        np.savez(unfinished, step=step, **values)
        unfinished.replace(checkpoint)


def _make_example(
    ask: Callable[[np.ndarray], list[np.ndarray]], view: LabelledView, student: Student, options: Distillation
) -> Batch:
    """Return the picture as the student takes it, the target probability, (1, h, w, 1), and the target features."""
    picture = view.picture
    if picture.shape[1:3] != student.size:
        picture = cv2.resize(picture[0], student.size[::-1], interpolation=cv2.INTER_AREA)[None]
    logits, *features = ask(view.picture)
    if not options.answering:
        return picture, [np.zeros(0, np.float32), *features]
    belief = 1 / (1 + np.exp(-move_corners(logits[0], student.places)[..., 0]))
    right = mix_truth(view.truth, belief, options.truth)
    return picture, [right[None, ..., None], *features]


def move_corners(logits: np.ndarray, places: tuple[int, int]) -> np.ndarray:
    """Resample logits, (h, w, 1), to other numbers of rows and columns; corners stay corners, as with align_corners."""
    if logits.shape[:2] == places:
        return logits
    rows, columns = (
        np.linspace(0, old - 1, new, dtype=np.float32) for old, new in zip(logits.shape, places, strict=False)
    )
    across, down = np.meshgrid(columns, rows)
    return cv2.remap(logits, across, down, cv2.INTER_LINEAR).reshape(*places, 1)


def _make_teacher(teacher: ov.Model, pairs: tuple[FeaturePair, ...]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return a function from a picture to the teacher's logits and the paired features, float32 NHWC."""
    nodes = index_by_name(teacher)
    steps = (1, *(pair.step for pair in pairs))
    asked = (find_logits(teacher), *(nodes[pair.teacher] for pair in pairs))
    run = compile_model(extract(teacher, [node.output(0) for node in asked], "teacher"))

    def ask(picture: np.ndarray) -> list[np.ndarray]:
        answers = run(picture)
        places = (answers[number][:, :, ::step, ::step] for number, step in enumerate(steps))
        return [np.ascontiguousarray(values.transpose(0, 2, 3, 1)) for values in places]

    return ask
