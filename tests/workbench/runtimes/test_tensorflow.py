"""Frozen graphs: their structure, and running them."""

from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.anatomy import Anatomy
from danmatte_workbench.runtimes import tensorflow
from danmatte_workbench.runtimes.frozen import read_graph
from danmatte_workbench.source import Source
from tests.workbench import tiny


def test_the_picture_the_first_convolution_and_the_decision_are_found(plain: Source) -> None:
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
def test_what_is_no_graph_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.pb").write_bytes(content)
    with pytest.raises(InputError, match=r"no\.pb: isn't a frozen TensorFlow graph"):
        read_graph(tmp_path / "no.pb")


def test_a_folder_without_files_is_no_graph(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_graph(tmp_path)


@pytest.mark.parametrize(("feed", "fetch"), [("Nothing:0", "ArgMax:0"), ("ImageTensor:0", "Nothing:0")])
def test_an_unknown_tensor_is_an_input_error(plain: Source, feed: str, fetch: str) -> None:
    with pytest.raises(InputError, match="Nothing"):
        tensorflow.make_runner(plain.path, feed=feed, fetch=fetch)(np.zeros(plain.shape, np.uint8))


def test_a_picture_of_the_wrong_shape_is_an_input_error(plain: Source) -> None:
    run = tensorflow.make_runner(plain.path, feed=plain.picture, fetch=plain.answer)
    with pytest.raises(InputError, match=tiny.GRAPH):
        run(np.zeros((1, 5, 5, 4), np.uint8))


def test_an_unknown_port_is_an_input_error(plain: Source) -> None:
    with pytest.raises(InputError, match="has no node Conv"):
        tensorflow.find_feeding_tensor(plain.path, "0:Conv")
