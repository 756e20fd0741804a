"""Frozen graphs: their structure, and running them."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.anatomy import Anatomy
from danmatte_workbench.runtimes import tensorflow
from danmatte_workbench.runtimes.frozen import read_graph
from danmatte_workbench.source import Source
from tests.workbench import tiny


def test_picture_first_convolution_and_decision_are_found(plain: Source) -> None:
    found = Anatomy.from_tensorflow(plain.path)
    assert [node.name for node in found.find_kinds({"Placeholder"})] == ["ImageTensor"]
    assert (found.find_first_convolution("ImageTensor"), found.find_decision()) == (
        "0:MobilenetV2/Conv/Conv2D",
        "ArgMax",
    )
    assert tensorflow.read_static_shape(plain.path, "ImageTensor") == (1, -1, -1, 3)
    assert not tensorflow.takes_floats(plain.path, "ImageTensor")
    assert {node.name for node in found.nodes} == {name for name, _, _ in tensorflow.read_nodes(plain.path)}


def test_a_graph_runs_from_pixels_to_classes(plain: Source) -> None:
    run = tensorflow.make_runner(plain.path, feed=plain.picture, fetch=plain.answer)
    pixels, truth = tiny.scene(3)
    answer = run(pixels[None])
    assert answer.shape == (1, 96, 128)
    assert ((answer[0] == 1) == (truth == 255)).mean() > 0.97


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x01"])
def test_a_file_that_is_not_a_graph_raises_an_input_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.pb").write_bytes(content)
    with pytest.raises(InputError, match=r"no\.pb: isn't a frozen TensorFlow graph"):
        read_graph(tmp_path / "no.pb")


def test_a_folder_without_files_raises_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_graph(tmp_path)


@pytest.mark.parametrize(("feed", "fetch"), [("Nothing:0", "ArgMax:0"), ("ImageTensor:0", "Nothing:0")])
def test_an_unknown_tensor_raises_an_input_error(plain: Source, feed: str, fetch: str) -> None:
    with pytest.raises(InputError, match="Nothing"):
        tensorflow.make_runner(plain.path, feed=feed, fetch=fetch)(np.zeros(plain.shape, np.uint8))


def test_a_picture_of_the_wrong_shape_raises_an_input_error(plain: Source) -> None:
    run = tensorflow.make_runner(plain.path, feed=plain.picture, fetch=plain.answer)
    with pytest.raises(InputError, match=tiny.GRAPH):
        run(np.zeros((1, 5, 5, 4), np.uint8))


def test_an_unknown_port_raises_an_input_error(plain: Source) -> None:
    with pytest.raises(InputError, match="has no node Conv"):
        tensorflow.find_feeding_tensor(plain.path, "0:Conv")


def write(path: Path, *, first: bool = False, control: bool = False) -> Path:
    """Write a graph that doubles a float picture, splits it, and adds the second and third part."""
    graph = tf.Graph()
    with graph.as_default():
        picture = tf.compat.v1.placeholder(tf.float32, (1, 3, 4, 4) if first else (1, 4, 4, 3), name="photo")
        checked = tf.no_op(name="checked")
        with graph.control_dependencies([checked] if control else []):
            double = tf.multiply(picture, 2.0, name="double")
        _, second, third = tf.split(double, 3, axis=1 if first else 3, name="split")
        tf.add(second, third, name="sum")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def numbers() -> np.ndarray:
    return np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)


@pytest.mark.parametrize("first", [True, False])
def test_bytes_are_cast_and_transposed_to_the_layout_of_the_graph(tmp_path: Path, first: bool) -> None:
    run = tensorflow.make_runner(write(tmp_path / "a.pb", first=first), feed="photo:0", fetch="sum:0")
    found = run(numbers())
    expected = 2 * (numbers()[..., 1:2].astype(np.float32) + numbers()[..., 2:3])
    assert np.array_equal(np.moveaxis(found, 1, -1) if first else found, expected)


def test_several_tensors_are_fetched_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pb")
    run = tensorflow.make_runner_of_all(path, feed="photo:0", fetches=("split:2", "double:0"), threads=1)
    third, double = run(numbers())
    assert (third.shape, double.shape) == ((1, 4, 4, 1), (1, 4, 4, 3))
    assert np.array_equal(third[..., 0], double[..., 2])


def test_a_part_of_the_graph_can_be_run_alone(tmp_path: Path) -> None:
    run = tensorflow.make_runner(write(tmp_path / "a.pb"), feed="double:0", fetch="sum:0")
    assert run(np.ones((1, 4, 4, 3)))[0, 0, 0, 0] == 2


def test_control_dependencies_are_not_listed_as_inputs(tmp_path: Path) -> None:
    nodes = {
        name: (kind, feeding) for name, kind, feeding in tensorflow.read_nodes(write(tmp_path / "a.pb", control=True))
    }
    assert nodes["double"][0] == "Mul"
    assert "checked" not in nodes["double"][1]
    assert "photo" in nodes["double"][1]
    assert nodes["sum"] == ("AddV2", ("split", "split"))


def test_the_feeding_tensor_is_found_with_its_output_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pb")
    assert tensorflow.find_feeding_tensor(path, "0:sum") == "split:1"
    assert tensorflow.find_feeding_tensor(path, "1:sum") == "split:2"
    assert tensorflow.find_feeding_tensor(path, "0:double") == "photo:0"


@pytest.mark.parametrize("first", [True, False])
def test_a_placeholder_declares_its_shape_and_its_type(tmp_path: Path, first: bool) -> None:
    path = write(tmp_path / "a.pb", first=first)
    assert tensorflow.read_static_shape(path, "photo") == ((1, 3, 4, 4) if first else (1, 4, 4, 3))
    assert tensorflow.takes_floats(path, "photo")


def test_the_version_of_the_library_is_read() -> None:
    assert tensorflow.read_versions() == {"tensorflow": tf.__version__}
