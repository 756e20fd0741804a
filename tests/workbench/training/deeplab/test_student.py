"""A student initially computes the same as the pruned graph."""

import keras
import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import architecture, initialise
from danmatte_workbench.training.deeplab.initialise import Kernel
from danmatte_workbench.training.deeplab.student import FIRST, LAST, carve, find_layer, split_decision
from tests.workbench.training.deeplab.conftest import SIDE

ORDER = ("MobilenetV2-expanded_conv_1-expand", "MobilenetV2-expanded_conv_1-depthwise")
REMOVED = 16  # channels of the first inner space


@pytest.fixture(scope="module")
def known(network: keras.Model) -> dict[str, Kernel]:
    layers = [layer for layer in network.layers if layer.get_weights()]
    return {layer.name: Kernel(*layer.get_weights()) for layer in layers}


def convert(known: dict[str, Kernel]) -> list[Kernel]:
    """Return kernels as after conversion: pixel normalisation folded into the first, one logit in the last."""
    kernels = dict(known)
    first, (kernel, bias) = kernels[FIRST], kernels[LAST]
    kernels[FIRST] = Kernel(first.kernel / 127.5, first.bias - 1)
    kernels[LAST] = Kernel(kernel[..., 1:] - kernel[..., :1], bias[1:] - bias[:1])
    return list(kernels.values())


def narrow(known: dict[str, Kernel]) -> dict[str, Kernel]:
    """Return the kernels without the last channels of the first expanded space."""
    kept = dict(known)
    for name in ORDER:
        axis = 2 if name.endswith("depthwise") else 3
        kept[name] = Kernel(np.take(known[name].kernel, range(96 - REMOVED), axis), known[name].bias[:-REMOVED])
    project = "MobilenetV2-expanded_conv_1-project"
    kept[project] = Kernel(known[project].kernel[:, :, :-REMOVED], known[project].bias)
    return kept


def test_a_student_with_pruned_kernels_computes_the_same_as_the_pruned_network(
    network: keras.Model, known: dict[str, Kernel]
) -> None:
    carved = carve(known, convert(known), convert(narrow(known)))
    widths = {name: kernel.shape[-1] for name, (kernel, _) in carved.items() if not name.endswith("depthwise")}
    assert widths[ORDER[0]] == 96 - REMOVED
    student = architecture.build((SIDE, SIDE), widths)
    assert initialise.go_on_from(student, carved) == []
    # The whole network with the missing channels silenced computes the same.
    silenced = keras.models.clone_model(network)
    silenced.set_weights(network.get_weights())
    layer = silenced.get_layer("MobilenetV2-expanded_conv_1-project")
    kernel, bias = layer.get_weights()
    kernel[:, :, -REMOVED:] = 0
    layer.set_weights([kernel, bias])
    pixels = np.random.default_rng(1).uniform(-1, 1, (1, SIDE, SIDE, 3)).astype(np.float32)
    mine, whole = (model(pixels).numpy() for model in (student, silenced))
    assert np.allclose(mine[..., 1] - mine[..., 0], whole[..., 1] - whole[..., 0], atol=1e-4)


def test_a_split_decision_has_the_margin_of_the_single_logit(known: dict[str, Kernel]) -> None:
    one = convert(known)[-1]
    two = split_decision(one)
    assert np.allclose(two.kernel[..., 1:] - two.kernel[..., :1], one.kernel)
    assert np.allclose(two.bias[1] - two.bias[0], one.bias)


def test_kernels_of_a_different_graph_are_refused(known: dict[str, Kernel]) -> None:
    whole = convert(known)
    with pytest.raises(InputError, match="expected the same convolutions"):
        carve(known, whole, whole[:-1])
    with pytest.raises(InputError, match="no layer with this kernel"):
        find_layer(known, Kernel(whole[3].kernel + 1, whole[3].bias))
    doubled = [whole[0], whole[1], *whole[1:-2], whole[-1]]
    with pytest.raises(InputError, match="aren't in the converted graph: decoder-conv1_pointwise"):
        carve(known, doubled, doubled)


def test_channels_pruned_from_the_first_kernel_are_removed_from_the_student(known: dict[str, Kernel]) -> None:
    whole = convert(known)
    kept = [1, 4, 30]
    pruned = [Kernel(whole[0].kernel[..., kept], whole[0].bias[kept]), *whole[1:]]
    first = carve(known, whole, pruned)[FIRST]
    assert np.array_equal(first.kernel, known[FIRST].kernel[..., kept])
    assert np.array_equal(first.bias, known[FIRST].bias[kept])
    with pytest.raises(InputError, match="first kernel of the pruned graph isn't a part"):
        carve(known, whole, [Kernel(pruned[0].kernel + 1, pruned[0].bias), *whole[1:]])
