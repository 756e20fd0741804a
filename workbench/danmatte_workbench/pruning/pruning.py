"""Channels taken out of an OpenVINO graph where they save most time for what they cost.

What it costs: the loss that `courses` foretells, weighed by how much such a loss moves the graph's own answer,
measured space by space. What it saves: milliseconds, measured layer by layer in 8 bits. No labels, no gradients.

All that follows can make up for what goes early, which that measure doesn't see. So spaces can be tried as well: a
block of their channels is taken out, the whole graph is fitted, and its answer counts.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.pruning.channels import Map, keep
from danmatte_workbench.pruning.importance import BLOCK, Course, Mixer, course, damped
from danmatte_workbench.pruning.latency_model import Clock
from danmatte_workbench.pruning.refit import refit

PLACES = 1000  # looked at in each frame, for each convolution
PROBES = 24  # frames on which a space's share in the answer is measured
PROBED = 0.5  # of a space's channels are away for that
FEW = 0.005  # of the answer's places: figures below that count for less
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


def prune(
    model: ov.Model,
    pictures: Sequence[np.ndarray],
    share: float,
    milliseconds: Mapping[str, float],
    *,
    stages: int = 1,
    tried: int = 0,
) -> str:
    """Take out ``share`` of the ``milliseconds`` (by convolution's name), in place; return in words what went.

    Always the block of channels that loses least for the time it saves, in one or more stages: after each, what is left
    is fitted to the whole graph, and looked at anew. The ``tried`` spaces whose blocks save most are tried, half a
    minute each or so. Raises InputError where there are none, or not enough.
    """
    whole = model.clone()
    rows: dict[str, np.ndarray] = {}
    before, total = _channels(model), sum(_times(model, milliseconds).values())
    for stage in range(stages):
        target = total * (1 - share * (stage + 1) / stages)
        milliseconds = _stage(model, pictures, target, milliseconds, rows, tried)
        refit(model, whole, rows, pictures)
    left = sum(_times(model, milliseconds).values())
    return f"{before} channels are {_channels(model)}, {total:.1f} ms of convolutions about {left:.1f}"


def _stage(
    model: ov.Model,
    pictures: Sequence[np.ndarray],
    target: float,
    milliseconds: Mapping[str, float],
    rows: dict[str, np.ndarray],
    tried: int,
) -> Mapping[str, float]:
    """Bring the graph, in place, down to ``target`` milliseconds; return what each convolution takes then.

    ``rows`` is brought up to date, too: which of the whole graph's channels each convolution still makes.
    """
    chart = Map(model)
    spaces = {number: space for number, space in chart.spaces().items() if space.width >= 2 * BLOCK}
    if not spaces:
        raise InputError("no channels lie between one convolution and only pointwise ones, so there are none to prune")
    mixers = _mixers(model, {name for space in spaces.values() for name in space.mixers}, pictures)
    courses = {number: course(chart, number, space.mixers, mixers) for number, space in spaces.items()}
    weights = _importance(model, chart, mixers, courses, pictures[:PROBES])
    clock = Clock(chart, _times(model, milliseconds))
    widths = {number: space.width for number, space in spaces.items()}
    most = sorted(widths, key=lambda number: _saved(clock, widths, number), reverse=True)[:tried]
    found = {number: _tried(model, chart, mixers, courses[number], number, pictures[:PROBES]) for number in most}
    weights = _corrected(weights, found)
    gone = _allocate(widths, courses, weights, clock, clock.total({}) - target)
    kept = {number: courses[number].kept(count) for number, count in gone.items() if count}
    for name, columns in _left(chart, kept).items():
        rows[name] = rows[name][columns] if name in rows else columns
    _remove(model, chart, mixers, kept)
    return clock.each({number: widths[number] - count for number, count in gone.items()})


def _channels(model: ov.Model) -> int:
    return sum(
        int(node.get_output_shape(0)[1]) for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"
    )


def _times(model: ov.Model, milliseconds: Mapping[str, float]) -> dict[str, float]:
    """Those of the graph's convolutions."""
    names = (node.get_friendly_name() for node in model.get_ordered_ops() if "Convolution" in node.get_type_name())
    return {name: milliseconds[name] for name in names if name in milliseconds}


def _mixers(model: ov.Model, names: set[str], pictures: Iterable[np.ndarray]) -> dict[str, Mixer]:
    """The named convolutions with second moments of their inputs and of a constant one, over places of all pictures."""
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops() if node.get_friendly_name() in names}
    results = [ops.result(node.input_value(0)) for node in nodes.values()]
    watched = ov.compile_model(ov.Model(results, model.get_parameters(), "watched"), "CPU", FLOAT32)
    rng = np.random.default_rng(0)
    moments = [np.zeros((int(node.input_value(0).get_shape()[1]) + 1,) * 2) for node in nodes.values()]
    for picture in pictures:
        answers = watched(picture)
        for number, moment in enumerate(moments):
            values = answers[number][0].reshape(len(moment) - 1, -1)
            places = rng.choice(values.shape[1], min(PLACES, values.shape[1]), replace=False)
            inputs = np.vstack([values[:, places], np.ones(len(places))]).astype(np.float64)
            moment += inputs @ inputs.T
    if not any(moment.any() for moment in moments):
        raise InputError("no frames to prune on")
    return {
        name: Mixer(name, _weights(node), moment) for (name, node), moment in zip(nodes.items(), moments, strict=True)
    }


def _weights(node: ov.Node) -> np.ndarray:
    """The pointwise convolution with its bias as a last column: (outputs, channels + 1) float64."""
    kernel = node.input_value(1).get_node().get_data()[:, :, 0, 0]
    bias = _bias(node)
    column = np.zeros(len(kernel)) if bias is None else bias.input_value(1).get_node().get_data().reshape(-1)
    return np.column_stack([kernel, np.broadcast_to(column, len(kernel))]).astype(np.float64)


def _bias(node: ov.Node) -> ov.Node | None:
    """The addition of a constant that follows the convolution, if one does."""
    consumers = list(node.output(0).get_target_inputs())
    consumer: ov.Node | None = consumers[0].get_node() if len(consumers) == 1 else None
    if consumer is None or consumer.get_type_name() != "Add":
        return None
    return consumer if consumer.input_value(1).get_node().get_type_name() == "Constant" else None


def _importance(
    model: ov.Model,
    chart: Map,
    mixers: Mapping[str, Mixer],
    courses: Mapping[int, Course],
    pictures: Sequence[np.ndarray],
) -> dict[int, float]:
    """Per space: the change of the graph's answer for each unit of its mixers' loss, measured alone."""
    right = _answers(model, pictures)
    found = {}
    for number, order in courses.items():
        gone = min(int(PROBED * len(order.order)), len(order.loss) - 1)
        trial = model.clone()
        _remove(trial, chart, mixers, {number: order.kept(gone)})
        changes = [_change(a, b) for a, b in zip(_answers(trial, pictures), right, strict=True)]
        found[number] = float(np.mean(changes)) / max(float(order.loss[gone]), 1e-12)
    return found


def _saved(clock: Clock, widths: Mapping[int, int], number: int) -> float:
    """Milliseconds that a space's first block takes."""
    return clock.of(number, widths) - clock.of(number, {**widths, number: widths[number] - BLOCK})


def _tried(
    model: ov.Model,
    chart: Map,
    mixers: Mapping[str, Mixer],
    order: Course,
    number: int,
    pictures: Sequence[np.ndarray],
) -> float:
    """What `_importance` measures, with one block gone and everything fitted to that."""
    kept = {number: order.kept(BLOCK)}
    trial = model.clone()
    _remove(trial, chart, mixers, kept)
    refit(trial, model, _left(chart, kept), pictures)
    changes = [_change(a, b) for a, b in zip(_answers(trial, pictures), _answers(model, pictures), strict=True)]
    return float(np.mean(changes)) / max(float(order.loss[BLOCK]), 1e-12)


def _corrected(weights: Mapping[int, float], found: Mapping[int, float]) -> dict[int, float]:
    """What was found, where spaces were tried; the others' estimates by the median of how much those were out."""
    ratio = float(np.median([value / max(weights[number], 1e-30) for number, value in found.items()])) if found else 1.0
    return {number: found.get(number, weight * ratio) for number, weight in weights.items()}


def _left(chart: Map, kept: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Which of its channels each convolution still makes."""
    return {name: chart.columns(lane, kept) for name, lane in chart.makers()}


def _change(answer: np.ndarray, right: np.ndarray) -> float:
    """The squared change, beside what there is: a small figure counts almost like a large one."""
    return float(np.square(answer - right).sum() / (np.square(right).sum() + FEW * right.size))


def _answers(model: ov.Model, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    run = ov.compile_model(model, "CPU", FLOAT32)
    return [run(picture)[0].copy() for picture in pictures]


def _allocate(
    widths: Mapping[int, int],
    courses: Mapping[int, Course],
    weights: Mapping[int, float],
    clock: Clock,
    wanted: float,
) -> dict[int, int]:
    """How many channels each space gives up, in blocks, the least loss for the time saved first.

    ``wanted`` is the milliseconds to be saved.
    """
    left = dict(widths)

    def offer(number: int) -> tuple[float, float, int]:
        """Loss for each millisecond saved, milliseconds saved, and channels gone then."""
        gone = widths[number] - left[number]
        after = gone + (left[number] % BLOCK or BLOCK)
        loss = courses[number].loss
        if after >= len(loss):
            return np.inf, 0.0, gone
        saved = clock.of(number, left) - clock.of(number, {**left, number: widths[number] - after})
        lost = weights[number] * float(loss[after] - loss[gone])
        return (lost / saved if saved > 0 else np.inf), saved, after

    while wanted > 0:
        best = min(widths, key=lambda number: offer(number)[0])
        price, saved, after = offer(best)
        if not np.isfinite(price):
            raise InputError(f"{wanted:.2g} ms more than can be taken out: no space has {BLOCK} channels to spare")
        left[best] = widths[best] - after
        wanted -= saved
    return {number: widths[number] - left[number] for number in widths}


def _remove(model: ov.Model, chart: Map, mixers: Mapping[str, Mixer], kept: Mapping[int, np.ndarray]) -> None:
    """Take channels out, in place; the mixers fit their former outputs with what is left, by least squares."""
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    for name, mixer in mixers.items():
        lane = chart.input_lane(name)
        if not any(chart.of(segment.space) in kept for segment in lane):
            continue
        columns = chart.columns(lane, kept)
        inputs = np.append(columns, len(mixer.moment) - 1)
        moment = damped(mixer.moment)
        fitted = np.linalg.solve(moment[np.ix_(inputs, inputs)], moment[inputs] @ mixer.weights.T).T
        kernel = nodes[name].input_value(1).get_node().get_data().copy()
        kernel[:, columns, 0, 0] = fitted[:, :-1]
        _replace(nodes[name], kernel)
        if (bias := _bias(nodes[name])) is not None:
            shape = bias.input_value(1).get_node().get_data().shape
            _replace(bias, fitted[:, -1].reshape(shape if np.prod(shape) > 1 else (1, -1, 1, 1)))
    keep(model, chart, kept)


def _replace(node: ov.Node, values: np.ndarray) -> None:
    constant = ops.constant(np.ascontiguousarray(values, dtype=np.float32))
    node.input(1).replace_source_output(constant.output(0))
