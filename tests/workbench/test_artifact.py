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


def test_the_digest_covers_all_files_in_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"x" * 2**21)
    second.write_bytes(b"y")
    assert digest(first, second) == hashlib.sha256(b"x" * 2**21 + b"y").hexdigest()
    assert digest(first, second) != digest(second, first)


def test_the_files_of_an_ir_include_its_weights() -> None:
    assert list_graph_files(Path("m/graph.xml")) == (Path("m/graph.xml"), Path("m/graph.bin"))
    assert list_graph_files(Path("m/graph.pb")) == (Path("m/graph.pb"),)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
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
def test_a_format_is_detected_by_name_and_first_bytes(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    assert detect_format(tmp_path / name) == found


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("content", [b"buy milk\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b""])
def test_a_text_or_picture_with_the_suffix_of_a_graph_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: isn't "):
        detect_format(tmp_path / name)


def test_a_missing_graph_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.pb: no such file"):
        detect_format(tmp_path / "no.pb")


def test_an_unknown_suffix_is_reported_with_the_known_formats(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("buy milk")
    with pytest.raises(InputError, match=r"notes\.txt: isn't a frozen TensorFlow graph \(\.pb\), a SavedModel"):
        detect_format(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("name", "advice"),
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
def test_formats_that_cannot_be_read_are_refused_with_advice(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=rf"{name}: {advice}"):
        detect_format(tmp_path / name)


def test_a_folder_without_a_saved_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"isn't a SavedModel: the folder has no saved_model\.pb"):
        detect_format(tmp_path)


def test_the_path_of_saved_model_pb_resolves_to_its_folder(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    assert resolve_graph_path(tmp_path / "saved_model.pb") == tmp_path
    assert detect_format(resolve_graph_path(tmp_path / "saved_model.pb")) == "savedmodel"


def test_the_files_of_a_graph_include_weights_and_variables(tmp_path: Path) -> None:
    for name in ("m.xml", "m.bin", "n.onnx", "n.onnx.data", "s/saved_model.pb", "s/variables/v.index"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list_graph_files(tmp_path / "m.xml") == (tmp_path / "m.xml", tmp_path / "m.bin")
    assert list_graph_files(tmp_path / "n.onnx") == (tmp_path / "n.onnx", tmp_path / "n.onnx.data")
    assert [file.name for file in list_graph_files(tmp_path / "s")] == ["saved_model.pb", "v.index"]
    assert list_graph_files(tiny_file := tmp_path / tiny.GRAPH) == (tiny_file,)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_a_digest_equals_that_of_the_concatenated_files(contents: list[bytes]) -> None:
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


def test_a_refused_file_is_reported_with_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(b"buy milk and bread")
    with pytest.raises(InputError, match=r"a\.tflite: isn't a TFLite model: it begins with b'buy milk'$"):
        detect_format(tmp_path / "a.tflite")


def test_a_folder_named_like_an_ir_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").mkdir()
    with pytest.raises(InputError, match=r"a\.xml: isn't a SavedModel: the folder has no saved_model\.pb$"):
        detect_format(tmp_path / "a.xml")


def test_a_saved_model_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"saved_model\.pb: isn't a SavedModel: it begins with b'hello'$"):
        detect_format(tmp_path)


def test_a_path_that_is_not_a_saved_model_is_returned_unchanged(tmp_path: Path) -> None:
    for name in ("a.pb", "saved_model.pb"):
        assert resolve_graph_path(tmp_path / name) == tmp_path / name, "there is no such file"


def test_the_files_of_an_onnx_graph_include_its_external_data(tmp_path: Path) -> None:
    for name in ("m.onnx", "m.onnx_data", "n.onnx", "m.onnx.bak"):
        (tmp_path / name).write_bytes(b"x")
    assert list_graph_files(tmp_path / "m.onnx") == (tmp_path / "m.onnx", tmp_path / "m.onnx_data")
    assert list_graph_files(tmp_path / "n.onnx") == (tmp_path / "n.onnx",)


@pytest.mark.parametrize("location", ["weights.bin", f"{'w' * 150}.bin", "weights/gewicht-ä.bin"])
def test_the_digest_of_an_onnx_graph_covers_its_external_weights(tmp_path: Path, location: str) -> None:
    model = onnx.load(graphs.write_onnx(tmp_path / "plain.onnx"))
    path, weights = tmp_path / "graph.onnx", tmp_path / location
    weights.parent.mkdir(exist_ok=True)
    onnx.save(model, path, save_as_external_data=True, location=location, size_threshold=0)
    assert list_graph_files(path) == (path, weights)
    before = digest(*list_graph_files(path))
    weights.write_bytes(bytes(weights.stat().st_size))
    assert digest(*list_graph_files(path)) != before


@pytest.mark.parametrize("location", [b"../other.bin", b"/other.bin", b"missing.bin", b"\xff\xfe", b""])
def test_missing_or_outside_locations_of_external_data_are_ignored(tmp_path: Path, location: bytes) -> None:
    path = tmp_path / "models/graph.onnx"
    path.parent.mkdir()
    (tmp_path / "other.bin").touch()
    path.write_bytes(b"\x08\x08\x0a\x08location\x12" + bytes([len(location)]) + location)
    assert list_graph_files(path) == (path,)
