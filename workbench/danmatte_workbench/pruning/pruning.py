"""Removal of channels from an OpenVINO graph where it saves most time for the accuracy that it costs.

The cost is the loss that `importance` predicts, weighted by how much such a loss changes the graph's output, which is
measured for each space. The saving is in milliseconds, timed layer by layer in 8 bits. No labels and no gradients are
needed.

Later layers can compensate for channels removed early, which this cost doesn't take into account. Therefore spaces can
also be tried: a block of their channels is removed, the whole graph is refitted, and the change of its output counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import openvino as ov

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import CONVOLUTIONS, extract, find_bias, index_by_name, replace_constant
from danmatte_workbench.pruning.channels import ChannelMap, keep_channels
from danmatte_workbench.pruning.importance import BLOCK, Mixer, RemovalOrder, damp, rank_channels
from danmatte_workbench.pruning.latency_model import LatencyModel
from danmatte_workbench.pruning.refit import refit
from danmatte_workbench.runtimes.openvino import compile_model

PLACES = 1000  # sampled in each frame, for each convolution
PROBES = 24  # frames on which a space's influence on the output is measured
PROBED = 0.5  # share of a space's channels that are removed for that measurement
FEW = 0.005  # share of the output's places; people smaller than that have less weight


def prune(
    model: ov.Model,
    pictures: Sequence[np.ndarray],
    share: float,
    milliseconds: Mapping[str, float],
    *,
    stages: int = 1,
    tried: int = 0,
) -> str:
    """Remove channels that take ``share`` of the milliseconds, in place; return a description of the result.

    milliseconds: by the convolution's name.
    stages: after each stage, the remaining graph is refitted to the whole one and analysed again.
    tried: the number of spaces, those whose blocks save most, that are tried; this takes about half a minute each.

    The block of channels with the least loss for the time it saves is always removed first. Raises InputError if no
    channels, or not enough, can be removed.
    """
    whole = model.clone()
    convolutions = [node for node in model.get_ordered_ops() if node.get_type_name() in CONVOLUTIONS]
    names = [node.get_friendly_name() for node in convolutions]
    milliseconds = {name: milliseconds[name] for name in names if name in milliseconds}
    before, total = _count_channels(model), sum(milliseconds.values())
    rows: dict[str, np.ndarray] = {}
    for stage in range(stages):
        target = total * (1 - share * (stage + 1) / stages)
        pruner = _Pruner(model, pictures, milliseconds)
        kept, milliseconds = pruner.choose(target, tried)
        for name, columns in _select_rows(pruner.channels, kept).items():
            rows[name] = rows[name][columns] if name in rows else columns
        pruner.remove(model, kept)
        refit(model, whole, rows, pictures)
    left = sum(milliseconds.values())
    return f"channels {before} → {_count_channels(model)}, convolutions {total:.1f} ms → about {left:.1f} ms"


class _Pruner:
    """A graph before channels are removed: its spaces, the removal order of each, and the time of each layer."""

    def __init__(self, model: ov.Model, pictures: Sequence[np.ndarray], milliseconds: Mapping[str, float]) -> None:
        self.channels = ChannelMap(model)
        # A space needs a block to remove and another to keep, because kernels process channels in blocks.
        spaces = {number: space for number, space in self.channels.find_prunable().items() if space.width >= 2 * BLOCK}
        if not spaces:
            raise InputError(
                "no channels can be pruned: none are between one convolution and pointwise convolutions only"
            )
        self._model = model
        self._probes = pictures[:PROBES]
        self._mixers = read_mixers(model, {name for space in spaces.values() for name in space.mixers}, pictures)
        self._orders = {
            number: rank_channels(self.channels, number, space.mixers, self._mixers) for number, space in spaces.items()
        }
        self._latency = LatencyModel(self.channels, milliseconds)
        self._widths = {number: space.width for number, space in spaces.items()}

    def choose(self, target: float, tried: int) -> tuple[dict[int, np.ndarray], dict[str, float]]:
        """Return the channels to keep of each space for a total time of ``target``, and the new times of the
        convolutions.
        """
        weights = {number: self._weigh(number, PROBED) for number in self._orders}

        def save_first_block(number: int) -> float:
            fewer = {**self._widths, number: self._widths[number] - BLOCK}
            return self._latency.predict_space(number, self._widths) - self._latency.predict_space(number, fewer)

        most = sorted(self._widths, key=save_first_block, reverse=True)[:tried]
        measured = {number: self._weigh(number, None) for number in most}
        gone = allocate(
            self._widths,
            self._orders,
            correct_estimates(weights, measured),
            self._latency,
            self._latency.predict_total({}) - target,
        )
        kept = {number: self._orders[number].list_kept(count) for number, count in gone.items() if count}
        return kept, self._latency.predict_layers({number: self._widths[number] - gone[number] for number in gone})

    def _weigh(self, number: int, share: float | None) -> float:
        """Return how much a unit of the mixers' loss in this space alone changes the graph's output.

        With a ``share``, that share of the channels is removed and only their mixers are refitted. With None, one block
        is removed and the whole graph is refitted, which is slow but includes what all later layers can compensate for.
        """
        order = self._orders[number]
        gone = BLOCK if share is None else min(int(share * len(order.order)), len(order.loss) - 1)
        kept = {number: order.list_kept(gone)}
        trial = self._model.clone()
        self.remove(trial, kept)
        if share is None:
            refit(trial, self._model, _select_rows(self.channels, kept), self._probes)
        changes = map(compute_change, self._answer(trial), self._right_answers)
        return float(np.mean(list(changes))) / max(float(order.loss[gone]), 1e-12)

    @cached_property
    def _right_answers(self) -> list[np.ndarray]:
        return self._answer(self._model)

    def _answer(self, model: ov.Model) -> list[np.ndarray]:
        run = compile_model(model)
        return [run(picture)[0].copy() for picture in self._probes]

    def remove(self, model: ov.Model, kept: Mapping[int, np.ndarray]) -> None:
        """Remove channels, in place, and refit the mixers to their former outputs by least squares."""
        nodes = index_by_name(model)
        for name, mixer in self._mixers.items():
            lane = self.channels.get_input_lane(name)
            if not any(self.channels.resolve(run.space) in kept for run in lane):
                continue
            columns = self.channels.select_columns(lane, kept)
            inputs = np.append(columns, len(mixer.moment) - 1)  # the last input is the constant
            moment = damp(mixer.moment)
            fitted = np.linalg.solve(moment[np.ix_(inputs, inputs)], moment[inputs] @ mixer.weights.T).T
            kernel = nodes[name].input_value(1).get_node().get_data().copy()
            kernel[:, columns, 0, 0] = fitted[:, :-1]
            replace_constant(nodes[name], kernel.astype(np.float32))
            if (bias := find_bias(nodes[name])) is not None:
                shape = bias.input_value(1).get_node().get_data().shape
                column = fitted[:, -1].reshape(shape if np.prod(shape) > 1 else (1, -1, 1, 1))
                replace_constant(bias, column.astype(np.float32))
        keep_channels(model, self.channels, kept)


def _count_channels(model: ov.Model) -> int:
    convolutions = (node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution")
    return sum(int(node.get_output_shape(0)[1]) for node in convolutions)


def _select_rows(channels: ChannelMap, kept: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the channels that each convolution still creates."""
    return {name: channels.select_columns(lane, kept) for name, lane in channels.list_makers()}


def read_mixers(model: ov.Model, names: set[str], pictures: Iterable[np.ndarray]) -> dict[str, Mixer]:
    """Return the named pointwise convolutions with second moments of their inputs, and of a constant one.

    The moments are sums over random places of all pictures. Raises InputError if there are no pictures.
    """
    nodes = {name: node for name, node in index_by_name(model).items() if name in names}
    watched = compile_model(extract(model, [node.input_value(0) for node in nodes.values()], "watched"))
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
        raise InputError("prune: expected calibration frames, found none")
    mixers = {}
    for (name, node), moment in zip(nodes.items(), moments, strict=True):
        kernel = node.input_value(1).get_node().get_data()[:, :, 0, 0]
        bias = find_bias(node)
        column = np.zeros(len(kernel)) if bias is None else bias.input_value(1).get_node().get_data().reshape(-1)
        weights = np.column_stack([kernel, np.broadcast_to(column, len(kernel))]).astype(np.float64)
        mixers[name] = Mixer(name, weights, moment)
    return mixers


def correct_estimates(weights: Mapping[int, float], measured: Mapping[int, float]) -> dict[int, float]:
    """Return the measured weights of tried spaces, and the other estimates scaled by the median ratio of both."""
    ratios = [value / max(weights[number], 1e-30) for number, value in measured.items()]
    ratio = float(np.median(ratios)) if ratios else 1.0
    return {number: measured.get(number, weight * ratio) for number, weight in weights.items()}


def compute_change(answer: np.ndarray, right: np.ndarray) -> float:
    """Return the relative squared change of the output; a small person counts almost as much as a large one."""
    return float(np.square(answer - right).sum() / (np.square(right).sum() + FEW * right.size))


def allocate(
    widths: Mapping[int, int],
    orders: Mapping[int, RemovalOrder],
    weights: Mapping[int, float],
    latency: LatencyModel,
    wanted: float,
) -> dict[int, int]:
    """Return how many channels to remove from each space, in blocks.

    Blocks with the least loss for the time that they save are removed first. ``wanted`` is the number of milliseconds
    to save. The choice is greedy: what a block saves depends on the blocks already removed from its neighbours, so
    prices are recomputed after each. Raises InputError if all spaces together can't save that much.
    """
    left = dict(widths)

    def price(number: int) -> tuple[float, float, int]:
        """Return loss per millisecond saved, milliseconds saved, and the number of channels removed then."""
        gone = widths[number] - left[number]
        after = gone + (left[number] % BLOCK or BLOCK)
        loss = orders[number].loss
        if after >= len(loss):
            return np.inf, 0.0, gone
        fewer = {**left, number: widths[number] - after}
        saved = latency.predict_space(number, left) - latency.predict_space(number, fewer)
        lost = weights[number] * float(loss[after] - loss[gone])
        return (lost / saved if saved > 0 else np.inf), saved, after

    while wanted > 0:
        best = min(widths, key=lambda number: price(number)[0])
        cost, saved, after = price(best)
        if not np.isfinite(cost):
            raise InputError(f"prune: can't remove the last {wanted:.2g} ms: no space has {BLOCK} channels to remove")
        left[best] = widths[best] - after
        wanted -= saved
    return {number: widths[number] - left[number] for number in widths}
