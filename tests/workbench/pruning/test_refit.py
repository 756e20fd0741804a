"""The pruned graph is fitted to the whole graph's values, using its own inputs."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.graph.layers import replace_constant
from danmatte_workbench.pruning.refit import find_fit_target, refit
from tests.workbench.small_graphs import Chain, answer, named


def pictures(seed: int, count: int = 8) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1, (1, 3, 9, 9)).astype(np.float32) for _ in range(count)]


def plain() -> ov.Model:
    return Chain().conv(12, "wide", side=3).relu().conv(4, "narrow").model()


def residual(*, activated: bool = False) -> ov.Model:
    chain = Chain().conv(6, "stem", side=3).relu()
    start = chain.value
    chain.conv(12, "widen").relu().conv(6, "narrow")
    chain.value = ops.add(start, chain.value)
    chain.value.set_friendly_name("sum")
    if activated:
        chain.relu()
    return chain.conv(2, "last").model()


def error(model: ov.Model, whole: ov.Model) -> float:
    return float(np.mean([np.square(answer(model, seen) - answer(whole, seen)).mean() for seen in pictures(99)]))


def damaged(model: ov.Model, name: str, noise: float = 0.3) -> ov.Model:
    """Return a copy with noise on the kernel of that name."""
    copy = model.clone()
    node = named(copy, name)
    values = node.input_value(1).get_node().get_data()
    rng = np.random.default_rng(5)
    replace_constant(node, (values + rng.normal(0, noise, values.shape)).astype(np.float32))
    return copy


def test_refitting_keeps_a_correct_graph() -> None:
    whole = plain()
    model = whole.clone()
    assert refit(model, whole, {}, pictures(0)) == 1
    assert error(model, whole) < 1e-8


@pytest.mark.parametrize("make", [plain, residual], ids=["plain", "residual"])
def test_refitting_repairs_a_damaged_pointwise_kernel(make) -> None:
    whole = make()
    model = damaged(whole, "narrow")
    before = error(model, whole)
    refit(model, whole, {}, pictures(0))
    assert error(model, whole) < 0.01 * before


def test_later_layers_compensate_for_errors_of_earlier_ones() -> None:
    """The 3×3 kernel isn't fitted; the pointwise one after it compensates for channels of half the magnitude."""
    whole = plain()
    model = whole.clone()
    for name in ("wide", "wide/bias"):
        node = named(model, name)
        replace_constant(node, node.input_value(1).get_node().get_data() * np.float32(0.5))
    before = error(model, whole)
    refit(model, whole, {}, pictures(0))
    assert error(model, whole) < 0.02 * before


def test_only_the_kept_rows_are_fitted() -> None:
    whole = Chain().conv(12, "wide").relu().conv(4, "narrow").model()
    model = whole.clone()
    kept = np.array([0, 1, 4, 5, 8, 11])
    for name, axis in (("wide", 0), ("narrow", 1)):
        node = named(model, name)
        replace_constant(node, node.input_value(1).get_node().get_data().take(kept, axis=axis))
    bias = named(model, "wide/bias")
    replace_constant(bias, bias.input_value(1).get_node().get_data().take(kept, axis=1))
    model.validate_nodes_and_infer_types()
    before = error(model, whole)
    assert refit(model, whole, {"wide": kept, "narrow": np.arange(4)}, pictures(0)) == 2
    assert error(model, whole) < before


def test_a_graph_without_pointwise_convolutions_is_not_refitted() -> None:
    whole = Chain().conv(4, "first", side=3).model()
    assert refit(whole.clone(), whole, {}, pictures(0)) == 0


def test_the_same_pictures_give_the_same_weights() -> None:
    whole = plain()
    first, second = (damaged(whole, "narrow") for _ in range(2))
    for model in (first, second):
        refit(model, whole, {}, pictures(0))
    kernels = [named(model, "narrow").input_value(1).get_node().get_data() for model in (first, second)]
    assert np.array_equal(*kernels)


def test_the_end_of_a_residual_block_is_fitted_to_the_sum() -> None:
    model = residual()
    target = find_fit_target(named(model, "narrow"))
    assert target is not None
    assert target.aim.get_friendly_name() == "sum"
    assert target.beside is not None
    inner = find_fit_target(named(model, "widen"))
    assert inner is not None
    assert (inner.aim.get_friendly_name(), inner.low, inner.high) == ("widen/bias", 0.0, np.inf)


def test_a_sum_followed_by_an_activation_is_not_a_fit_target() -> None:
    model = residual(activated=True)
    target = find_fit_target(named(model, "narrow"))
    assert target is not None
    assert target.beside is None
    assert target.aim.get_friendly_name() == "narrow/bias"


def test_a_fit_target_before_a_clamp_has_two_bounds() -> None:
    model = Chain().conv(4, "first").clamp(6.0).conv(2, "last").model()
    target = find_fit_target(named(model, "first"))
    assert target is not None
    assert (target.low, target.high) == (0.0, 6.0)


@pytest.mark.parametrize(
    "make",
    [lambda: Chain().conv(4, "first", side=3), lambda: Chain().conv(4, "first", bias=False)],
    ids=["larger kernel", "no bias"],
)
def test_nodes_that_cannot_be_fitted_have_no_target(make) -> None:
    model = make().model()
    assert find_fit_target(named(model, "first")) is None
    assert find_fit_target(named(model, "picture")) is None
