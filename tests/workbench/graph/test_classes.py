"""One channel becomes two classes, whatever nodes follow it."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.graph.classes import widen_to_two_classes
from tests.workbench.small_graphs import Chain, answer, kinds, noise


def probability(logits: np.ndarray) -> np.ndarray:
    """Return the second class's probability."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares[:, 1] / shares.sum(axis=1)


def widen(model: ov.Model) -> ov.Model:
    assert widen_to_two_classes(model)
    return model


@pytest.mark.parametrize("bias", [True, False])
def test_the_second_class_has_the_probability_of_the_original_output(bias: bool) -> None:
    chain = Chain().conv(4, "stem", side=3).relu().conv(1, "last", side=3, bias=bias)
    chain.value = ops.sigmoid(chain.value)
    before, picture = answer(chain.model(), noise(chain.model())), noise(chain.model())
    after = answer(widen(chain.model()), picture)
    assert after.shape == (1, 2, 9, 9)
    assert not after[:, 0].any()
    assert probability(after) == pytest.approx(before[:, 0], abs=1e-5)


def test_the_last_convolution_is_widened_and_none_is_added() -> None:
    model = widen(Chain().conv(4, "stem").conv(1, "last").model())
    assert kinds(model).count("Convolution") == 2


def test_a_channel_not_made_by_a_convolution_gets_one() -> None:
    chain = Chain().conv(4, "stem")
    chain.value = ops.reduce_mean(chain.value, np.array([1]), keep_dims=True)
    before = answer(chain.model(), noise(chain.model()))
    after = answer(widen(chain.model()), noise(chain.model()))
    assert after[:, 1] == pytest.approx(before[:, 0], abs=1e-5)
    assert not after[:, 0].any()


def test_widening_keeps_resizes_and_removes_reshapes_and_sigmoids() -> None:
    chain = Chain().conv(1, "last").resize(18, 18)
    chain.value = ops.squeeze(ops.sigmoid(chain.value), np.array([1]))
    model = widen(chain.model())
    assert answer(model, noise(model)).shape == (1, 2, 18, 18)
    assert not {"Sigmoid", "Squeeze"} & set(kinds(model))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_graph_of_several_channels_is_not_widened(classes: int) -> None:
    model = Chain().conv(classes, "last").model()
    before = answer(model, noise(model))
    assert not widen_to_two_classes(model)
    assert np.array_equal(answer(model, noise(model)), before)


def test_class_numbers_are_not_widened() -> None:
    chain = Chain().conv(3, "last")
    chain.value = ops.topk(chain.value, np.int32(1), 1, "max", "none").output(1).get_node()
    chosen = chain.value.output(1)
    model = ov.Model([ops.result(chosen)], [chain.picture], "chosen")
    assert not widen_to_two_classes(model)


def test_an_output_without_spatial_axes_is_not_widened() -> None:
    chain = Chain().conv(1, "last")
    chain.value = ops.reduce_mean(chain.value, np.array([2, 3]), keep_dims=False)
    assert not widen_to_two_classes(chain.model())
