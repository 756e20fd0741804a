"""A smaller graph taught by the one it was cut out of, on frames without labels.

The teacher's own answer is the target (Hinton, Vinyals, Dean: "Distilling the knowledge in a neural network", 2015),
and so are its features wherever both graphs still have the same channels (Romero et al.: "FitNets", 2015).
"""

import math
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import tensorflow as tf
from openvino import opset13 as ops

from danmatte_workbench.distillation.student import Student, before_decision
from danmatte_workbench.distillation.views import View, believed
from danmatte_workbench.graph.fusing import Pair, alike

Views = Callable[[np.random.Generator], View]  # of the size that the teacher takes
Ask = Callable[[np.ndarray], list[np.ndarray]]
WARM_UP = 50  # steps
OVERLAP = 0.5  # what a picture's overlap counts for beside its pixels
NOBODY = 4.0  # places that a mask must have to count as one
CLIP = 5.0  # the gradients' norm
SAVES = 16  # of the state, in the course of a lesson
BETAS = (0.9, 0.999)
FRESH_BETAS = (0.9, 0.99)  # of kernels that start at random
MEMORY = 0.995  # of the running mean of the weights, a step
AHEAD = 4  # batches prepared in advance


@dataclass(frozen=True)
class Lesson:
    """How long and how fast: optimizer steps, pictures in each, the peak learning rate, what features count for.

    Features count ever less, and nothing in the end: what the graph is for is its answer.

    In the last ``eight_bits`` of the steps, a share, the pupil computes as its INT8 version will. Where a view's
    truth is known, it is a share ``truth`` of what is to be answered.

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

    def rate_at(self, step: int) -> float:
        """Up in a line, then down as a cosine."""
        if step < WARM_UP:
            return self.rate * (step + 1) / WARM_UP
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, self.steps - WARM_UP)))


def teach(
    model: ov.Model,
    teacher: ov.Model,
    views: Views,
    lesson: Lesson,
    notebook: Path | None,
    pairs: tuple[Pair, ...] | None = None,
) -> tuple[dict[str, np.ndarray], str]:
    """Teach a copy of ``model`` what ``teacher`` answers; return its weights by node name, and what was done in words.

    ``pairs`` are the inner maps that are to be alike, found by themselves where they aren't given. ``notebook`` (.npz)
    keeps the state: called again, the lesson goes on where it was stopped.
    """
    tf.config.experimental.enable_op_determinism()
    pairs = alike(model, teacher) if pairs is None else pairs
    student = Student(model, tuple(pair.mine for pair in pairs), tf.bfloat16 if lesson.answering else tf.float32)
    state = _State(student, fresh=not lesson.answering)
    first = state.read(notebook) if notebook else 0
    steppers = {False: _stepper(student, state, lesson), True: _stepper(student.in_eight_bits(), state, lesson)}
    losses: list[float] = []
    stretch = max(1, lesson.steps // SAVES)
    for number, (pictures, answers) in enumerate(_prepared(teacher, student, pairs, views, lesson, first), start=first):
        step = steppers[number >= (1 - lesson.eight_bits) * lesson.steps]
        losses.append(float(step(pictures, answers, lesson.rate_at(number), number)))
        if (number + 1) % stretch == 0 or number + 1 == lesson.steps:
            if notebook:
                state.write(notebook, number + 1)
            print(f"lesson {number + 1} of {lesson.steps}: loss {np.mean(losses[-stretch:]):.4f}", flush=True)
    ended = f", loss {np.mean(losses[:stretch]):.4f} → {np.mean(losses[-stretch:]):.4f}" if losses else ""
    state.settle()
    return student.learned(), f"{lesson.steps} lessons of {lesson.batch} views, {len(pairs)} inner maps{ended}"


def _stepper(student: Student, state: "_State", lesson: Lesson) -> Callable[..., tf.Tensor]:
    @tf.function(reduce_retracing=True)
    def run(
        pictures: tf.Tensor, answers: list[tf.Tensor], rate: tf.Tensor, number: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits, *features = student(pictures)
            loss = _wrong(logits, answers[0]) if lesson.answering else 0.0
            for mine, right in zip(features, answers[1:], strict=True):
                spread = tf.reduce_mean(tf.math.reduce_variance(right, axis=[0, 1, 2]))
                loss += weight / len(features) * tf.reduce_mean(tf.square(mine - right)) / spread
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, state.weights), CLIP)
        state.apply(gradients, rate, number)
        return loss

    def step(pictures: tf.Tensor, answers: list[tf.Tensor], rate: float, number: int) -> tf.Tensor:
        weight = lesson.features * (1 - number / lesson.steps if lesson.answering else 1.0)
        return run(pictures, answers, tf.constant(rate), tf.constant(float(number)), tf.constant(weight))

    return step


def _wrong(logits: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Every place's cross-entropy, and each picture's overlap beside it."""
    entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=right, logits=logits))
    return entropy + OVERLAP * tf.reduce_mean(_missed(tf.sigmoid(logits), right))


def _missed(mine: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """1 − the soft overlap of each picture's masks: a small figure counts like a large one (Milletari et al., 2016)."""
    both = tf.reduce_sum(mine * right, axis=[1, 2, 3])
    either = tf.reduce_sum(mine * mine + right * right, axis=[1, 2, 3])
    return 1 - (2 * both + NOBODY) / (either + NOBODY)


class _State:
    """The weights, Adam's two moments (Kingma, Ba: "Adam", 2015) and fresh weights' running mean, on disk between runs.

    Of ``fresh`` kernels, one that sums many inputs takes smaller steps: all of its weights may lean the same way at
    once (Yang, Hu et al.: "Tensor Programs V", 2022).
    """

    def __init__(self, student: Student, *, fresh: bool) -> None:
        self.weights = list(student.variables.values())
        self._paces = [pace if fresh else 1.0 for pace in student.paces.values()]
        self._betas = FRESH_BETAS if fresh else BETAS
        self._means = [tf.Variable(weight) for weight in self.weights] if fresh else []
        self._first = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]
        self._second = [tf.Variable(tf.zeros_like(weight)) for weight in self.weights]

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

    def read(self, notebook: Path) -> int:
        """Take what the notebook has; return the number of steps done."""
        if not notebook.exists():
            return 0
        with np.load(notebook) as kept:
            for number, variable in enumerate(self._all()):
                variable.assign(kept[f"v{number}"])
            return int(kept["step"])

    def write(self, notebook: Path, step: int) -> None:
        """Whole or not at all."""
        notebook.parent.mkdir(parents=True, exist_ok=True)
        unfinished = notebook.with_suffix(".part.npz")
        values = {f"v{number}": variable.numpy() for number, variable in enumerate(self._all())}
        np.savez(unfinished, step=step, **values)
        unfinished.replace(notebook)

    def _all(self) -> list[tf.Variable]:
        return [*self.weights, *self._first, *self._second, *self._means]


def _prepared(
    teacher: ov.Model, pupil: Student, pairs: tuple[Pair, ...], views: Views, lesson: Lesson, first: int
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Batches from step ``first`` on, pictures and what to answer, made in a thread of their own."""
    ask = _teacher(teacher, pairs)
    ready: queue.Queue[tuple[np.ndarray, list[np.ndarray]] | BaseException] = queue.Queue(AHEAD)
    over = threading.Event()

    def work() -> None:
        try:
            for number in range(first, lesson.steps):
                rng = np.random.default_rng((lesson.seed, number))
                batch = [_one(ask, views(rng), pupil, lesson) for _ in range(lesson.batch)]
                pictures, answers = zip(*batch, strict=True)
                _offer(
                    ready,
                    (np.concatenate(pictures), [np.concatenate(part) for part in zip(*answers, strict=True)]),
                    over,
                )
        except BaseException as error:  # noqa: BLE001  raised again where the batches are awaited
            _offer(ready, error, over)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        for _ in range(first, lesson.steps):
            batch = ready.get()
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        over.set()
        thread.join()


def _offer(ready: "queue.Queue[Any]", item: object, over: threading.Event) -> None:
    """Put it into the queue as soon as there is room, unless the lesson is over."""
    while not over.is_set():
        try:
            ready.put(item, timeout=1)
        except queue.Full:
            continue
        break


def _one(ask: Ask, view: View, pupil: Student, lesson: Lesson) -> tuple[np.ndarray, list[np.ndarray]]:
    """The picture as the pupil takes it; the probability that it should answer, (1, h, w, 1), and the features."""
    logits, *features = ask(view.picture)
    if not lesson.answering:
        return _seen(view.picture, pupil.size), [np.zeros(0, np.float32), *features]
    belief = 1 / (1 + np.exp(-_placed(logits[0], pupil.places)[..., 0]))
    right = believed(view.truth, belief, lesson.truth)
    return _seen(view.picture, pupil.size), [right[None, ..., None], *features]


def _placed(logits: np.ndarray, places: tuple[int, int]) -> np.ndarray:
    """Logits, (h, w, 1), at another number of places; corners stay corners."""
    if logits.shape[:2] == places:
        return logits
    rows, columns = (
        np.linspace(0, old - 1, new, dtype=np.float32) for old, new in zip(logits.shape, places, strict=False)
    )
    across, down = np.meshgrid(columns, rows)
    return cv2.remap(logits, across, down, cv2.INTER_LINEAR).reshape(*places, 1)


def _seen(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The teacher's picture at the size that the pupil takes."""
    if picture.shape[1:3] == size:
        return picture
    return cv2.resize(picture[0], size[::-1], interpolation=cv2.INTER_AREA)[None]


def _teacher(teacher: ov.Model, pairs: tuple[Pair, ...]) -> Ask:
    """A function from a picture to the teacher's logits and the paired features, float32 NHWC."""
    nodes = {node.get_friendly_name(): node for node in teacher.get_ordered_ops()}
    steps = (1, *(pair.step for pair in pairs))
    asked = (before_decision(teacher), *(nodes[pair.right] for pair in pairs))
    results = [ops.result(node.output(0)) for node in asked]
    run = ov.compile_model(
        ov.Model(results, teacher.get_parameters(), "teacher"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    def ask(picture: np.ndarray) -> list[np.ndarray]:
        answers = run(picture)
        places = (answers[number][:, :, ::step, ::step] for number, step in enumerate(steps))
        return [np.ascontiguousarray(values.transpose(0, 2, 3, 1)) for values in places]

    return ask
