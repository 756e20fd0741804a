"""Initial weights from a graph trained here before, for a network with additional layers."""

import keras
import numpy as np
import pytest

from danmatte_workbench.training.deeplab import architecture, initialise
from danmatte_workbench.training.deeplab.export import export

SIDE = 33


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, dict[str, initialise.Kernel]]:
    keras.utils.set_random_seed(4)
    network = architecture.build((SIDE, SIDE))
    path = tmp_path_factory.mktemp("graph") / "frozen_inference_graph.pb"
    export(network, path)
    return network, initialise.read_graph(path)


def logits(network: keras.Model) -> np.ndarray:
    pixels = np.random.default_rng(1).uniform(-1, 1, (1, SIDE, SIDE, 3)).astype(np.float32)
    return np.asarray(network(pixels))


def test_all_weights_can_be_read_from_an_exported_graph(
    known: tuple[keras.Model, dict[str, initialise.Kernel]],
) -> None:
    network, weights = known
    again = architecture.build((SIDE, SIDE))
    assert initialise.go_on_from(again, weights) == []
    assert all(
        np.array_equal(one, other) for one, other in zip(network.get_weights(), again.get_weights(), strict=True)
    )


def test_a_new_layer_does_not_change_the_outputs_initially(
    known: tuple[keras.Model, dict[str, initialise.Kernel]],
) -> None:
    network, weights = known
    older = {name: kernel for name, kernel in weights.items() if name != "decoder-middle"}
    again = architecture.build((SIDE, SIDE))
    assert initialise.go_on_from(again, older) == ["decoder-middle"]
    network.get_layer("decoder-middle").set_weights([0 * weight for weight in weights["decoder-middle"]])
    assert np.array_equal(logits(again), logits(network))


def test_enlarging_in_two_steps_equals_enlarging_once() -> None:
    features = np.random.default_rng(2).normal(size=(1, 5, 3, 4)).astype(np.float32)
    twice = architecture.Enlarge((17, 9))(architecture.Enlarge((9, 5))(features))
    assert np.allclose(twice, architecture.Enlarge((17, 9))(features), atol=1e-5)
