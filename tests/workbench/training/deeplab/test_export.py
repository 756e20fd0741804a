"""The exported graph has the official names and the network's decisions, and works in the workbench."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from danmatte_workbench.configuration import configure
from danmatte_workbench.graph import conversion, probing
from danmatte_workbench.runtimes import openvino, tensorflow
from danmatte_workbench.runtimes.frozen import read_graph
from danmatte_workbench.training.deeplab.export import export
from tests.workbench import tiny
from tests.workbench.training.deeplab.conftest import SIDE


@pytest.fixture(scope="module")
def graph(network: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "frozen_inference_graph.pb"
    export(network, path)
    return path


def test_the_graph_has_the_official_names(graph: Path) -> None:
    operations = {node.name: node.op for node in read_graph(graph).node}
    assert operations["ImageTensor"] == "Placeholder"
    assert operations["MobilenetV2/Conv/Conv2D"] == "Conv2D"
    assert operations["MobilenetV2/expanded_conv_16/depthwise/depthwise"] == "DepthwiseConv2dNative"
    assert operations["ArgMax"] == "ArgMax"
    assert "SemanticPredictions" in operations


def test_the_graph_is_frozen(graph: Path) -> None:
    definition = read_graph(graph)
    assert not {"VarHandleOp", "ReadVariableOp", "PartitionedCall"} & {node.op for node in definition.node}
    assert not definition.library.function
    weights = {node.name: node.op for node in definition.node}
    convolutions = [node for node in definition.node if node.op in ("Conv2D", "DepthwiseConv2dNative")]
    assert {weights[node.input[1]] for node in convolutions} == {"Const"}


def test_the_graph_gives_the_classes_of_the_network(graph: Path, network: keras.Model) -> None:
    run = tensorflow.make_runner(graph, feed="ImageTensor:0", fetch="ArgMax:0")
    pixels = tiny.scene(1, SIDE, SIDE)[0][None]
    logits = network(pixels.astype(np.float32) / 127.5 - 1)
    large = tf.compat.v1.image.resize_bilinear(logits, (SIDE, SIDE), align_corners=True)
    assert (run(pixels) == tf.argmax(large, axis=3).numpy()).mean() >= 0.999


@pytest.mark.parametrize("size", [(SIDE, SIDE), (48, 20), (100, 130)])
def test_the_output_has_the_size_of_the_picture(graph: Path, size: tuple[int, int]) -> None:
    run = tensorflow.make_runner(graph, feed="ImageTensor:0", fetch="SemanticPredictions:0")
    answer = run(tiny.scene(1, *size)[0][None])
    assert answer.shape == (1, *size)
    assert answer.dtype == np.int32


def test_the_workbench_detects_the_ports_and_normalisation_of_the_graph(graph: Path) -> None:
    found = probing.inspect(graph, (SIDE, SIDE))
    assert (found.port, found.node, found.answer) == ("0:MobilenetV2/Conv/Conv2D", "ArgMax", "SemanticPredictions:0")
    assert (found.colour, found.person) == ("RGB", 1)
    assert found.mean + found.scale == pytest.approx((127.5,) * 6, abs=0.01)


def test_the_cut_graph_gives_the_same_classes(graph: Path, network: keras.Model, tmp_path: Path) -> None:
    model = conversion.cut(graph, inputs="0:MobilenetV2/Conv/Conv2D", output="ArgMax", shape=(1, SIDE, SIDE, 3))
    run = openvino.make_runner(openvino.save(model, tmp_path / "graph.xml").path, configure(precision="f32"))
    pixels = tiny.scene(1, SIDE, SIDE)[0][None]
    stock = tensorflow.make_runner(graph, feed="ImageTensor:0", fetch="ArgMax:0")(pixels)
    assert (run(pixels.astype(np.float32) / 127.5 - 1).reshape(stock.shape) == stock).mean() >= 0.999


def test_exporting_twice_gives_the_same_bytes_and_creates_the_folder(
    graph: Path, network: keras.Model, tmp_path: Path
) -> None:
    export(network, tmp_path / "new/again.pb")
    assert (tmp_path / "new/again.pb").read_bytes() == graph.read_bytes()


def test_every_convolution_has_its_official_name(graph: Path, network: keras.Model) -> None:
    names = {node.name: node.op for node in read_graph(graph).node}
    for layer in network.layers:
        if hasattr(layer, "kernel_size"):
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            name = f"{layer.name.replace('-', '/')}/{'depthwise' if depthwise else 'Conv2D'}"
            assert names[name] == ("DepthwiseConv2dNative" if depthwise else "Conv2D")


def test_names_are_unique_and_every_reference_exists(graph: Path) -> None:
    nodes = read_graph(graph).node
    names = [node.name for node in nodes]
    assert len(set(names)) == len(names)
    assert not any("-" in name for name in names)
    for node in nodes:
        assert {reference.split(":")[0] for reference in node.input} <= set(names)
        assert not any(reference.startswith("^") for reference in node.input)


def test_weights_feed_their_operations_directly(graph: Path) -> None:
    nodes = {node.name: node for node in read_graph(graph).node}
    for node in nodes.values():
        if node.op in ("Conv2D", "DepthwiseConv2dNative", "BiasAdd") and not node.name.startswith("aspp_add"):
            assert nodes[node.input[1].split(":")[0]].op == "Const", node.name


def test_the_graph_contains_only_nodes_that_the_output_needs(graph: Path) -> None:
    nodes = {node.name: node for node in read_graph(graph).node}
    fed = {reference.split(":")[0] for node in nodes.values() for reference in node.input}
    (answer,) = set(nodes) - fed
    needed, left = set(), [answer]
    while left:
        name = left.pop()
        if name not in needed:
            needed.add(name)
            left += [reference.split(":")[0] for reference in nodes[name].input]
    assert needed == set(nodes)
    assert nodes[answer].input == ["SemanticPredictions"]
    assert not any("_output_shapes" in node.attr for node in nodes.values())
