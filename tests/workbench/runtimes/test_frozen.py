"""TensorFlow graphs of all kinds are read as one frozen graph, or cause an error that says why not."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from danmatte_workbench.errors import InputError
from danmatte_workbench.reading import ReadOptions
from danmatte_workbench.runtimes.frozen import freeze_to_file, is_frozen, read_graph
from tests.workbench import graphs, own_graphs, tiny


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write_keras(tmp_path_factory.mktemp("keras") / "a.keras")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write_saved(tmp_path_factory.mktemp("saved") / "a")


@pytest.fixture
def pb(tmp_path: Path) -> Path:
    (tmp_path / "a.pb").write_bytes(tiny.frozen(tiny.PLAIN))
    return tmp_path / "a.pb"


@pytest.mark.parametrize("kind", ["keras_file", "saved"])
def test_variables_become_constants(kind: str, request: pytest.FixtureRequest) -> None:
    kinds = {node.op for node in read_graph(request.getfixturevalue(kind)).node}
    assert "Const" in kinds
    assert not kinds & {"VarHandleOp", "ReadVariableOp", "VariableV2"}
    assert {"Conv2D", "DepthwiseConv2dNative"} <= kinds


@pytest.mark.parametrize("kind", ["keras_file", "saved"])
def test_stored_output_shapes_are_removed(kind: str, request: pytest.FixtureRequest) -> None:
    assert not any("_output_shapes" in node.attr for node in read_graph(request.getfixturevalue(kind)).node)


def test_a_graph_is_cached_until_its_file_changes(pb: Path) -> None:
    first = read_graph(pb)
    assert read_graph(pb) is first
    pb.write_bytes(tiny.frozen(tiny.COARSE))
    os.utime(pb, ns=(1, 1))  # an older time also counts as a change
    assert read_graph(pb) is not first


def test_a_frozen_file_is_used_directly_and_not_deleted(pb: Path) -> None:
    with freeze_to_file(pb) as file:
        assert file == pb
    assert pb.exists()


def test_other_formats_are_frozen_to_a_temporary_file(keras_file: Path) -> None:
    with freeze_to_file(keras_file) as file:
        assert (file.name, is_frozen(file)) == ("a.pb", True)
        again = tf.compat.v1.GraphDef.FromString(file.read_bytes())
        assert again == read_graph(keras_file)
    assert not file.exists()
    assert keras_file.exists()


@pytest.mark.parametrize(
    ("name", "frozen"), [("a.pb", True), ("a.keras", False), ("a.H5", False), ("a.tflite", True), ("", False)]
)
def test_frozen_graphs_are_recognised_by_their_path(tmp_path: Path, name: str, frozen: bool) -> None:
    assert is_frozen(tmp_path / name) is frozen


def test_the_inner_file_of_a_saved_model_is_refused_with_its_folder(saved: Path) -> None:
    with pytest.raises(InputError, match=rf"saved_model\.pb: .*for a SavedModel, give its folder, {saved}"):
        read_graph(saved / "saved_model.pb")


def test_an_empty_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.pb"
    path.write_bytes(tf.compat.v1.GraphDef(versions={"producer": 1}).SerializeToString())
    with pytest.raises(InputError, match=r"empty\.pb: isn't a frozen TensorFlow graph: it has no nodes"):
        read_graph(path)


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + bytes(40), b"\x89HDF\r\n\x1a\n"])
def test_a_file_that_is_not_a_keras_model_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: TensorFlow can't read it as a Keras model: \S"):
        read_graph(tmp_path / name)


def test_a_missing_graph_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.pb: can't be read \(No such file or directory\)"):
        read_graph(tmp_path / "no.pb")


class Two(tf.Module):
    """A model with two signatures, neither of which is the default."""

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 3))])
    def one(self, image: tf.Tensor) -> tf.Tensor:
        return 2 * image

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 3))])
    def other(self, image: tf.Tensor) -> tf.Tensor:
        return 3 * image


def test_a_single_signature_is_used_and_one_of_two_must_be_chosen(tmp_path: Path) -> None:
    model = Two()
    tf.saved_model.save(model, str(tmp_path / "single"), signatures={"any": model.one})
    assert read_graph(tmp_path / "single").node
    tf.saved_model.save(model, str(tmp_path / "double"), signatures={"b": model.one, "a": model.other})
    with pytest.raises(InputError, match=r"double: has the signatures a, b; choose one with --signature$"):
        read_graph(tmp_path / "double")


def test_a_keras_model_keeps_the_names_of_its_inputs_and_outputs(tmp_path: Path) -> None:
    import keras

    inputs = [keras.Input((8, 8, 3), batch_size=1, name=name) for name in ("left", "right")]
    total = keras.layers.Add(name="total")(inputs)
    keras.Model(inputs, {"sum": total, "first": inputs[0] * 2}).save(tmp_path / "two.keras")
    nodes = {node.name: node.op for node in read_graph(tmp_path / "two.keras").node}
    assert [name for name, kind in nodes.items() if kind == "Placeholder"] == ["left", "right"]
    assert {"sum", "first"} <= nodes.keys()


def test_a_signature_is_chosen_by_name_and_its_outputs_keep_theirs(tmp_path: Path) -> None:
    model = Two()
    signatures = {"b": model.one, "a": model.other}
    tf.saved_model.save(model, str(tmp_path / "double"), signatures=signatures)
    for name, output in (("a", "output_0"), ("b", "output_0")):
        nodes = {node.name for node in read_graph(tmp_path / "double", ReadOptions(signature=name)).node}
        assert output in nodes
    with pytest.raises(InputError, match=r"double: has no signature serve; known: a, b$"):
        read_graph(tmp_path / "double", ReadOptions(signature="serve"))


def test_a_frozen_input_becomes_a_constant_of_its_type(tmp_path: Path) -> None:
    path = own_graphs.write_switched(tmp_path / "switched.pb")
    frozen = {node.name: node for node in read_graph(path, ReadOptions(freeze=(("training", False),))).node}
    # The constant may be folded into its reader. Only the picture remains as input, and there are no branches.
    assert [name for name, node in frozen.items() if node.op == "Placeholder"] == ["photo"]
    assert not {node.op for node in frozen.values()} & {"Switch", "Merge"}
    assert "Relu" in {node.op for node in frozen.values()}
    with pytest.raises(InputError, match=r"has no input trainig; did you mean 'training'\?"):
        read_graph(path, ReadOptions(freeze=(("trainig", False),)))
    with pytest.raises(InputError, match="input training takes bool, received 3"):
        read_graph(path, ReadOptions(freeze=(("training", 3),)))


def test_variables_take_their_values_from_a_checkpoint(tmp_path: Path) -> None:
    expected = own_graphs.write_meta(tmp_path / "model")
    for path, options in (
        (tmp_path / "model.meta", ReadOptions()),
        (tmp_path / "model.pb", ReadOptions(checkpoint=tmp_path / "model")),
    ):
        nodes = {node.name: node for node in read_graph(path, options).node}
        values = [tf.make_ndarray(node.attr["value"].tensor) for node in nodes.values() if node.op == "Const"]
        assert any(value.shape == expected.shape and np.array_equal(value, expected) for value in values)
        assert not {"VariableV2", "VarHandleOp"} & {node.op for node in nodes.values()}
    with pytest.raises(InputError, match=r"found no checkpoint .*other\.index"):
        read_graph(tmp_path / "model.pb", ReadOptions(checkpoint=tmp_path / "other"))


@pytest.mark.parametrize("shape_given", ["by an input", "by a build", "by a call", "by an inner model"])
def test_a_sequential_model_is_read_with_its_input_shape(tmp_path: Path, shape_given: str) -> None:
    import keras

    model = keras.Sequential([keras.layers.Conv2D(2, 3, name="maps")])
    if shape_given == "by an input":
        model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="maps")])
    elif shape_given == "by a build":
        model.build((None, 8, 8, 3))
    elif shape_given == "by a call":
        model(np.zeros((1, 8, 8, 3), np.float32))
    else:
        model = keras.Sequential([keras.Input((8, 8, 3)), keras.Sequential([model], name="maps")])
    model.save(tmp_path / "row.keras")
    definition = read_graph(tmp_path / "row.keras")
    assert definition.node[-1].name.startswith("maps")
    pictures = [node for node in definition.node if node.op == "Placeholder"]
    assert [side.size for side in pictures[0].attr["shape"].shape.dim] == [1, 8, 8, 3]


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_sequential_model_without_an_input_shape_requires_one(tmp_path: Path) -> None:
    import keras

    keras.Sequential([keras.layers.ReLU(max_value=0.5)]).save(tmp_path / "row.keras")
    with pytest.raises(
        InputError, match=r"row\.keras: the file doesn't state a picture size; .*--input_shape \[1,H,W,3\]"
    ):
        read_graph(tmp_path / "row.keras")
    definition = read_graph(tmp_path / "row.keras", ReadOptions(shape=(1, 8, 8, 3)))
    assert [node.op for node in definition.node].count("Placeholder") == 1
