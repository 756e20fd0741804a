"""Refitting of a pruned graph, layer by layer, to the values that the whole graph computed.

From the first pointwise convolution to the last, each is fitted by least squares from its present inputs to the whole
graph's values. So it also corrects errors of the layers before it (He, Zhang, Sun: "Channel pruning for accelerating
very deep neural networks", ICCV 2017). At the end of a residual block, the value that counts is the sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov

from danmatte_workbench.graph.layers import (
    extract,
    find_bias,
    find_only_reader,
    index_by_name,
    is_constant,
    replace_constant,
)
from danmatte_workbench.runtimes.openvino import compile_model

PLACES = 400  # sampled in each frame, for each convolution
TRUST = 3e-3  # ridge penalty on changes, as a share of the mean second moment
PASSES = 2  # values that the activation cuts off are ignored, and which ones these are changes with the fit


@dataclass(frozen=True)
class FitTarget:
    """A pointwise convolution, its bias, and the node that it is fitted to.

    aim: the bias, or the sum that reads it.
    beside: the other operand of that sum.
    low, high: the range of the activation that follows; values outside it are equivalent to its ends.
    """

    convolution: ov.Node
    bias: ov.Node
    aim: ov.Node
    beside: ov.Output | None = None
    low: float = -np.inf
    high: float = np.inf


def refit(model: ov.Model, whole: ov.Model, rows: dict[str, np.ndarray], pictures: Sequence[np.ndarray]) -> int:
    """Fit ``model`` to ``whole``, in place; return the number of fitted convolutions.

    Both have the same node names. ``rows`` are the whole graph's channels that each convolution still creates.
    """
    targets = [target for node in model.get_ordered_ops() if (target := find_fit_target(node)) is not None]
    nodes = index_by_name(whole)
    aims = _sample_values([nodes[target.aim.get_friendly_name()].output(0) for target in targets], whole, pictures)
    for target, aim in zip(targets, aims, strict=True):
        # Sampled after the earlier layers were fitted, because their new outputs are this layer's inputs.
        outputs = [target.convolution.input_value(0), *([target.beside] if target.beside is not None else [])]
        inputs, *beside = _sample_values(outputs, model, pictures)
        name = target.convolution.get_friendly_name()
        wanted = aim[:, rows[name]] if name in rows else aim
        _fit(target, inputs, wanted - beside[0] if beside else wanted)
    return len(targets)


def find_fit_target(node: ov.Node) -> FitTarget | None:
    """Return what the node is fitted to if it is a pointwise convolution with a bias; None otherwise."""
    if node.get_type_name() != "Convolution" or list(node.input_value(1).get_shape()[2:]) != [1, 1]:
        return None
    bias = find_bias(node)
    if bias is None or not is_constant(node.input_value(1)):
        return None
    after = find_only_reader(bias)
    if after is None or after.get_type_name() != "Add":
        low, high = _read_bounds(after)
        return FitTarget(node, bias, bias, None, low, high)
    # At the end of a residual block, the sum is fitted if the other operand is a map of the same size. A sum whose
    # activation has a lower bound isn't, because the bound would apply to a difference of two maps.
    beside = next(
        (value for value in after.input_values() if value.get_node().get_friendly_name() != bias.get_friendly_name()),
        None,
    )
    same = beside is not None and list(beside.get_shape()) == list(after.get_output_shape(0))
    low, _ = _read_bounds(find_only_reader(after))
    if beside is None or not same or is_constant(beside) or np.isfinite(low):
        return FitTarget(node, bias, bias)
    return FitTarget(node, bias, after, beside, *_read_bounds(find_only_reader(after)))


def _read_bounds(activation: ov.Node | None) -> tuple[float, float]:
    if activation is None:
        return -np.inf, np.inf
    if activation.get_type_name() == "Clamp":
        attributes = activation.get_attributes()
        return float(attributes["min"]), float(attributes["max"])
    return (0.0, np.inf) if activation.get_type_name() == "Relu" else (-np.inf, np.inf)


def _sample_values(outputs: Sequence[ov.Output], model: ov.Model, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return each output's values at the same random places of all pictures, (places, channels) float32."""
    run = compile_model(extract(model, outputs, "seen"))
    values: list[list[np.ndarray]] = [[] for _ in outputs]
    for number, picture in enumerate(pictures):
        answers = run(picture)
        for place, some in enumerate(values):
            flat = answers[place][0].reshape(answers[place].shape[1], -1)
            chosen = np.random.default_rng(number).permutation(flat.shape[1])[:PLACES]
            some.append(flat[:, chosen].T.astype(np.float32))
    return [np.concatenate(some) for some in values]


def _fit(target: FitTarget, inputs: np.ndarray, wanted: np.ndarray) -> None:
    """Change the convolution's kernel and bias towards ``wanted`` (places, outputs), in place.

    It is a ridge regression on the difference from the present output, so weights without evidence stay unchanged.
    """
    kernel = target.convolution.input_value(1).get_node().get_data()
    bias = target.bias.input_value(1).get_node().get_data()
    column = np.broadcast_to(bias.reshape(-1), len(kernel))
    weights = np.column_stack([kernel[:, :, 0, 0], column]).astype(np.float64).T
    seen = np.column_stack([inputs, np.ones(len(inputs), np.float32)]).astype(np.float64)
    moment = seen.T @ seen
    trust = TRUST * np.trace(moment) / len(moment)
    for _ in range(PASSES if np.isfinite(target.low) else 1):
        made = seen @ weights
        # Where the activation cuts off both values on the same side, any value is right, so the present one is kept.
        aim = np.where((wanted <= target.low) & (made <= target.low), made, wanted)
        aim = np.where((wanted >= target.high) & (made >= target.high), made, aim)
        weights = weights + np.linalg.solve(moment + trust * np.eye(len(moment)), seen.T @ (aim - made))
    replace_constant(target.convolution, weights[:-1].T[:, :, None, None].astype(np.float32))
    replace_constant(target.bias, weights[-1].reshape(1, -1, 1, 1).astype(np.float32))
