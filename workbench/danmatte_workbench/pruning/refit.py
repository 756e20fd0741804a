"""The graph that is left after pruning, fitted layer by layer to what the whole one computed.

From the first pointwise convolution to the last, each sees what really reaches it now and is fitted to the whole
graph's own values, by least squares; so it also makes up for what went wrong before it (He, Zhang, Sun: "Channel
pruning for accelerating very deep neural networks", ICCV 2017). At the end of a residual block that is the sum.
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

PLACES = 400  # looked at in each frame, for each convolution
TRUST = 3e-3  # of the mean second moment: how far the fit may leave what was there
PASSES = 2  # values that an activation cuts off don't count; which they are changes with the fit


@dataclass(frozen=True)
class FitTarget:
    """A pointwise convolution, its bias, and what it is fitted to: ``aim``, the bias's output or the sum that takes it.

    beside: the other summand. low, high: bounds beyond which the activation that follows takes all values for the same.
    """

    convolution: ov.Node
    bias: ov.Node
    aim: ov.Node
    beside: ov.Output | None = None
    low: float = -np.inf
    high: float = np.inf


def refit(model: ov.Model, whole: ov.Model, rows: dict[str, np.ndarray], pictures: Sequence[np.ndarray]) -> int:
    """Fit ``model``, in place, to ``whole``; return the number of convolutions that were fitted.

    Both have the same node names; ``rows`` says which of the whole graph's channels each convolution still makes.
    """
    targets = [target for node in model.get_ordered_ops() if (target := find_fit_target(node)) is not None]
    nodes = index_by_name(whole)
    aims = _sample_values([nodes[target.aim.get_friendly_name()].output(0) for target in targets], whole, pictures)
    for target, aim in zip(targets, aims, strict=True):
        # Looked at one by one, after those before it were fitted: it has to make do with what reaches it now.
        outputs = [target.convolution.input_value(0), *([target.beside] if target.beside is not None else [])]
        inputs, *beside = _sample_values(outputs, model, pictures)
        name = target.convolution.get_friendly_name()
        wanted = aim[:, rows[name]] if name in rows else aim
        _fit(target, inputs, wanted - beside[0] if beside else wanted)
    return len(targets)


def find_fit_target(node: ov.Node) -> FitTarget | None:
    """What the node is fitted to, if it is a pointwise convolution with a bias."""
    if node.get_type_name() != "Convolution" or list(node.input_value(1).get_shape()[2:]) != [1, 1]:
        return None
    bias = find_bias(node)
    if bias is None or not is_constant(node.input_value(1)):
        return None
    after = find_only_reader(bias)
    if after is None or after.get_type_name() != "Add":
        low, high = _read_bounds(after)
        return FitTarget(node, bias, bias, None, low, high)
    # The end of a residual block: what counts is the sum, if the other summand is a map of the same size. A sum that is
    # cut off below isn't fitted as one: the cut would have to be taken out of the difference of two maps.
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
    """Each output's values at the same random places of all pictures, (places, channels) float32."""
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
    """Change the convolution's kernel and bias, in place, towards ``wanted`` (places, outputs).

    Ridge regression on the difference to what it makes now, so that a weight that no place tells anything about stays.
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
        # Where both are cut off on the same side, any value is right: the one that is there already is taken.
        aim = np.where((wanted <= target.low) & (made <= target.low), made, wanted)
        aim = np.where((wanted >= target.high) & (made >= target.high), made, aim)
        weights = weights + np.linalg.solve(moment + trust * np.eye(len(moment)), seen.T @ (aim - made))
    replace_constant(target.convolution, weights[:-1].T[:, :, None, None].astype(np.float32))
    replace_constant(target.bias, weights[-1].reshape(1, -1, 1, 1).astype(np.float32))
