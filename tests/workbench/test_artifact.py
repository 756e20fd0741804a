"""What is known of a graph on disk: digest, format and files."""

import hashlib
from pathlib import Path

import pytest

from danmatte_workbench.artifact import detect_format, digest, list_graph_files, resolve_graph_path
from danmatte_workbench.errors import InputError
from tests.workbench import tiny


def test_the_digest_runs_over_all_files_in_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"x" * 2**21)
    second.write_bytes(b"y")
    assert digest(first, second) == hashlib.sha256(b"x" * 2**21 + b"y").hexdigest()
    assert digest(first, second) != digest(second, first)


def test_an_ir_has_its_weights_beside_it() -> None:
    assert list_graph_files(Path("m/graph.xml")) == (Path("m/graph.xml"), Path("m/graph.bin"))
    assert list_graph_files(Path("m/graph.pb")) == (Path("m/graph.pb"),)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: can't be read"):
        digest(tmp_path / "nothing")


GOOD = {
    "a.pb": b"\x0a\x05hello",
    "a.keras": b"PK\x03\x04...",
    "a.h5": b"\x89HDF\r\n\x1a\n",
    "a.tflite": b"\x20\0\0\0TFL3",
    "a.ONNX": b"\x08\x08",
    "a.xml": b'\n <?xml version="1.0"?>',
}


@pytest.mark.parametrize(
    ("name", "found"), list(zip(GOOD, ["frozen", "keras", "keras", "tflite", "onnx", "ir"], strict=True))
)
def test_a_format_is_told_by_name_and_beginning(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    assert detect_format(tmp_path / name) == found


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("content", [b"buy milk\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b""])
def test_a_text_or_a_picture_is_no_graph_whatever_it_is_called(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: isn't "):
        detect_format(tmp_path / name)


def test_a_graph_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.pb: no such file"):
        detect_format(tmp_path / "no.pb")


def test_an_unknown_suffix_lists_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("buy milk")
    with pytest.raises(InputError, match=r"notes\.txt: isn't a frozen TensorFlow graph \(\.pb\), a SavedModel"):
        detect_format(tmp_path / "notes.txt")


def test_a_folder_without_a_saved_model_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"isn't a SavedModel: the folder has no saved_model\.pb"):
        detect_format(tmp_path)


def test_a_saved_model_is_meant_by_its_file_too(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    assert resolve_graph_path(tmp_path / "saved_model.pb") == tmp_path
    assert detect_format(resolve_graph_path(tmp_path / "saved_model.pb")) == "savedmodel"


def test_a_graphs_files_are_all_that_it_is_made_of(tmp_path: Path) -> None:
    for name in ("m.xml", "m.bin", "n.onnx", "n.onnx.data", "s/saved_model.pb", "s/variables/v.index"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list_graph_files(tmp_path / "m.xml") == (tmp_path / "m.xml", tmp_path / "m.bin")
    assert list_graph_files(tmp_path / "n.onnx") == (tmp_path / "n.onnx", tmp_path / "n.onnx.data")
    assert [file.name for file in list_graph_files(tmp_path / "s")] == ["saved_model.pb", "v.index"]
    assert list_graph_files(tiny_file := tmp_path / tiny.GRAPH) == (tiny_file,)
