"""Graphs on disk: digest, format and files."""

import hashlib
import tempfile
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte_workbench.artifact import detect_format, digest, list_graph_files, resolve_graph_path
from danmatte_workbench.errors import InputError
from tests.workbench import graphs, tiny


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


@pytest.mark.parametrize(
    ("name", "way_on"),
    [
        ("graph.onnx.gz", "is an archive; unpack it first"),
        (
            "net.pt",
            r"is a PyTorch model; export it to ONNX \(torch\.onnx\.export\) where the model's code is available",
        ),
        ("net.PTH", "is a PyTorch model"),
        ("weights.safetensors", "contains weights without their graph"),
        ("net.mlpackage", "is a Core ML model"),
        ("graph.bin", "contains the weights of an IR; give the .xml file next to it"),
        ("graph.pbtxt", "is a graph in text format"),
    ],
)
def test_of_formats_that_others_write_the_way_on_is_told(tmp_path: Path, name: str, way_on: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=rf"{name}: {way_on}"):
        detect_format(tmp_path / name)


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


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_a_digest_is_that_of_all_bytes_one_after_another(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        assert digest(*paths) == hashlib.sha256(b"".join(contents)).hexdigest()


def test_a_byte_order_mark_and_blanks_may_precede_an_ir(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    for start in (b"\xef\xbb\xbf<net/>", b"\r\n\t <net/>", b"<net/>"):
        path.write_bytes(start)
        assert detect_format(path) == "ir"


def test_what_a_file_begins_with_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(b"buy milk and bread")
    with pytest.raises(InputError, match=r"a\.tflite: isn't a TFLite model: it begins with b'buy milk'$"):
        detect_format(tmp_path / "a.tflite")


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.xml").mkdir()
    with pytest.raises(InputError, match=r"a\.xml: isn't a SavedModel: the folder has no saved_model\.pb$"):
        detect_format(tmp_path / "a.xml")


def test_a_saved_model_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"saved_model\.pb: isn't a SavedModel: it begins with b'hello'$"):
        detect_format(tmp_path)


def test_a_path_that_is_no_saved_model_is_meant_as_it_is(tmp_path: Path) -> None:
    for name in ("a.pb", "saved_model.pb"):
        assert resolve_graph_path(tmp_path / name) == tmp_path / name, "there is no such file"


def test_external_data_of_onnx_belongs_to_the_graph(tmp_path: Path) -> None:
    for name in ("m.onnx", "m.onnx_data", "n.onnx", "m.onnx.bak"):
        (tmp_path / name).write_bytes(b"x")
    assert list_graph_files(tmp_path / "m.onnx") == (tmp_path / "m.onnx", tmp_path / "m.onnx_data")
    assert list_graph_files(tmp_path / "n.onnx") == (tmp_path / "n.onnx",)


@pytest.mark.parametrize("location", ["weights.bin", f"{'w' * 150}.bin", "weights/gewicht-ä.bin"])
def test_an_onnx_graph_whose_weights_lie_elsewhere_changes_with_them(tmp_path: Path, location: str) -> None:
    model = onnx.load(graphs.write_onnx(tmp_path / "plain.onnx"))
    path, weights = tmp_path / "graph.onnx", tmp_path / location
    weights.parent.mkdir(exist_ok=True)
    onnx.save(model, path, save_as_external_data=True, location=location, size_threshold=0)
    assert list_graph_files(path) == (path, weights)
    before = digest(*list_graph_files(path))
    weights.write_bytes(bytes(weights.stat().st_size))
    assert digest(*list_graph_files(path)) != before


@pytest.mark.parametrize("location", [b"../other.bin", b"/other.bin", b"missing.bin", b"\xff\xfe", b""])
def test_a_location_outside_the_graphs_folder_is_none_of_its_files(tmp_path: Path, location: bytes) -> None:
    path = tmp_path / "models/graph.onnx"
    path.parent.mkdir()
    (tmp_path / "other.bin").touch()
    path.write_bytes(b"\x08\x08\x0a\x08location\x12" + bytes([len(location)]) + location)
    assert list_graph_files(path) == (path,)
