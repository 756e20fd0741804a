"""A smaller graph taught by the one it was cut out of, on frames without labels.

The teacher's own answer is the target (Hinton, Vinyals, Dean: "Distilling the knowledge in a neural network", 2015),
and so are its features wherever both graphs still have the same channels (Romero et al.: "FitNets", 2015).
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

Sampler: TypeAlias = Callable[[np.random.Generator], LabelledView]  # of the size that the teacher takes
Batch: TypeAlias = tuple[np.ndarray, list[np.ndarray]]  # pictures, and what to answer to each
Made = TypeVar("Made")
WARM_UP = 50  # steps
OVERLAP = 0.5  # what a picture's overlap counts for beside its pixels
NOBODY = 4.0  # places that a mask must have to count as one
CLIP = 5.0  # the gradients' norm
SAVES = 16  # of the state, in the course of a distillation
BETAS = (0.9, 0.999)
FRESH_BETAS = (0.9, 0.99)  # of kernels that start at random
MEMORY = 0.995  # of the running mean of the weights, a step
AHEAD = 4  # batches prepared in advance


@dataclass(frozen=True)
class Distillation:
    """How long and how fast: optimizer steps, pictures in each, the peak learning rate, what features count for.

    Features count ever less, and nothing in the end: what the graph is for is its answer.

    In the last ``eight_bits`` of the steps, a share, the student computes as its INT8 version will. Where a view's
    truth is known, it is a share ``truth`` of the target.

    Not ``answering``, only features are learned, and count the same to the end, by kernels that start at random: each
    at a pace that goes by its inputs, and the running mean of the weights is what stays.
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
        """The learning rate: up in a line over the first steps, then down as a cosine."""
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
    """Teach a copy of ``model`` what ``teacher`` answers; return its weights by node name, and what was done in words.

    ``pairs`` are the inner maps that should become alike, found by order and channels where they aren't given.
    ``checkpoint`` (.npz) keeps the state: called again, training goes on where it was stopped, and ends with the same
    weights as if it hadn't been. Raises InputError for a graph that has no gradients here.
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
        # A generator of each step's own, so that a resumed run sees what it would have seen.
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
    """What ``make`` gives for each of the numbers, in order, made a few ahead in a thread of its own.

    An error in ``make`` is raised where its value is awaited. The thread ends with the iterator.
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
                # Beside the map's own variance: maps differ in size, and each should count alike.
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
    """Every place's cross-entropy, and each picture's 1 − soft overlap beside it (Milletari et al., 2016).

    By places alone, small figures are given up for large ones: their few pixels hardly count.
    """
    entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=right, logits=logits))
    mine = tf.sigmoid(logits)
    both = tf.reduce_sum(mine * right, axis=[1, 2, 3])
    either = tf.reduce_sum(mine * mine + right * right, axis=[1, 2, 3])
    return entropy + OVERLAP * tf.reduce_mean(1 - (2 * both + NOBODY) / (either + NOBODY))


class _AdamState:
    """The weights, Adam's two moments (Kingma, Ba: "Adam", 2015) and fresh weights' running mean, on disk between runs.

    Of ``fresh`` kernels, one that sums many inputs takes smaller steps: all of its weights may lean the same way at
    once (Yang, Hu et al.: "Tensor Programs V", 2022). keras.optimizers.Adam has neither a pace for each variable nor a
    running mean that starts short, and its checkpoints would hold an optimizer of one Keras version; the update itself
    is TensorFlow's own kernel either way.
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
        """One step of Adam."""
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
        memory = tf.minimum(MEMORY, (1 + number) / (10 + number))  # short at first: the start is soon forgotten
        for mean, weight in zip(self._means, self.weights, strict=False):
            mean.assign(memory * mean + (1 - memory) * weight)

    def settle(self) -> None:
        """Let fresh weights be their running mean (Polyak, Juditsky, 1992)."""
        for mean, weight in zip(self._means, self.weights, strict=False):
            weight.assign(mean)

    def load(self, checkpoint: Path) -> int:
        """Take the state that the checkpoint has; return the number of steps done."""
        if not checkpoint.exists():
            return 0
        with np.load(checkpoint) as kept:
            for number, variable in enumerate(self._all):
                variable.assign(kept[f"v{number}"])
            return int(kept["step"])

    def save(self, checkpoint: Path, step: int) -> None:
        """Write the state, whole or not at all."""
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        unfinished = checkpoint.with_suffix(".part.npz")
        values = {f"v{number}": variable.numpy() for number, variable in enumerate(self._all)}
        np.savez(unfinished, step=step, **values)
        unfinished.replace(checkpoint)


def _make_example(
    ask: Callable[[np.ndarray], list[np.ndarray]], view: LabelledView, student: Student, options: Distillation
) -> Batch:
    """The picture as the student takes it; the probability that it should answer, (1, h, w, 1), and the features."""
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
    """Logits, (h, w, 1), at another number of rows and columns; corners stay corners, as align_corners has them."""
    if logits.shape[:2] == places:
        return logits
    rows, columns = (
        np.linspace(0, old - 1, new, dtype=np.float32) for old, new in zip(logits.shape, places, strict=False)
    )
    across, down = np.meshgrid(columns, rows)
    return cv2.remap(logits, across, down, cv2.INTER_LINEAR).reshape(*places, 1)


def _make_teacher(teacher: ov.Model, pairs: tuple[FeaturePair, ...]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A function from a picture to the teacher's logits and the paired features, float32 NHWC."""
    nodes = index_by_name(teacher)
    steps = (1, *(pair.step for pair in pairs))
    asked = (find_logits(teacher), *(nodes[pair.teacher] for pair in pairs))
    run = compile_model(extract(teacher, [node.output(0) for node in asked], "teacher"))

    def ask(picture: np.ndarray) -> list[np.ndarray]:
        answers = run(picture)
        places = (answers[number][:, :, ::step, ::step] for number, step in enumerate(steps))
        return [np.ascontiguousarray(values.transpose(0, 2, 3, 1)) for values in places]

    return ask
