"""``workbench describe``: the written description reads back as the detected source."""

import dataclasses
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench import source
from danmatte_workbench.cli import main
from danmatte_workbench.graph import probing
from tests.workbench import graphs, own_graphs

MAY_DIFFER = {"notes", "name", "digest"}


def assert_same(read: source.Source, found: source.Source) -> None:
    for field in dataclasses.fields(found):
        if field.name not in MAY_DIFFER | {"kinds"}:
            assert getattr(read, field.name) == getattr(found, field.name), field.name
    assert [kind.kind for kind in read.kinds] == [kind.kind for kind in found.kinds]


@pytest.mark.parametrize("write", [graphs.write_onnx, graphs.write_classifier, graphs.write_detector])
def test_a_written_description_reads_back_as_the_detected_source(
    write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "graph.onnx")
    assert main(["describe", str(path)]) == 0
    assert f"workbench optimize {tmp_path / 'model.toml'}" in capsys.readouterr().out
    read, found = source.read(tmp_path / "model.toml"), probing.inspect(path)
    assert_same(read, found)
    assert (read.name, read.digest) == (found.name, found.digest)
    assert source.find(str(tmp_path / "model.toml"), tmp_path) == tmp_path / "model.toml"
    text = (tmp_path / "model.toml").read_text()
    assert all(f"# {note}" in text for note in found.notes)


def test_a_graph_read_with_flags_is_saved_beside_its_description(tmp_path: Path) -> None:
    path = own_graphs.write_signatures(tmp_path / "saved")
    words = ["--signature", "embed", "--output", str(tmp_path / "out/model.toml")]
    assert main(["describe", str(path), *words]) == 0
    read = source.read(tmp_path / "out/model.toml")
    assert read.path == tmp_path / "out/saved.pb"
    assert read.answers == ("embedding:0",)


def test_the_original_of_a_graph_read_with_flags_is_unchanged(tmp_path: Path) -> None:
    path = own_graphs.write_switched(tmp_path / "switched.pb")
    before = path.read_bytes()
    assert main(["describe", str(path), "--freeze", "training=false"]) == 0
    assert path.read_bytes() == before
    assert source.read(tmp_path / "model.toml").path == tmp_path / "switched-as-read.pb"


def test_an_ir_read_with_flags_is_unchanged_and_its_copy_not_overwritten(tmp_path: Path) -> None:
    picture, gain = ops.parameter([1, 32, 32, 3], np.float32), ops.parameter([1], np.float32)
    gain.output(0).set_names({"gain"})
    ov.save_model(ov.Model([ops.result(ops.multiply(picture, gain))], [picture, gain], "m"), tmp_path / "graph.xml")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    words = ["describe", str(tmp_path / "graph.xml"), "--freeze", "gain=0.5"]
    assert main(words) == 0
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert source.read(tmp_path / "model.toml").path == tmp_path / "graph-as-read.xml"
    # Describing again leaves an identical copy; a different file isn't overwritten.
    assert main([*words, "--output", str(tmp_path / "again.toml")]) == 0
    assert source.read(tmp_path / "again.toml").digest == source.read(tmp_path / "model.toml").digest
    assert main([*words[:-1], "gain=0.25", "--output", str(tmp_path / "other.toml")]) == 2
    assert not (tmp_path / "other.toml").exists()


def test_no_graph_is_saved_if_the_description_already_exists(tmp_path: Path) -> None:
    path = own_graphs.write_signatures(tmp_path / "saved")
    (tmp_path / "model.toml").write_text("mine")
    assert main(["describe", str(path), "--signature", "embed"]) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.toml", "saved"]


def test_an_existing_description_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = graphs.write_onnx(tmp_path / "graph.onnx")
    (tmp_path / "model.toml").write_text("mine")
    assert main(["describe", str(path)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert (tmp_path / "model.toml").read_text() == "mine"


def test_a_description_with_a_given_meaning_can_be_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = graphs.write_classifier(tmp_path / "graph.onnx")
    assert main(["describe", str(path), "--meaning", "embedding", "--output", "-"]) == 0
    assert 'meaning = ["embedding"]' in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [path]
    assert main(["describe", str(path), "--size", "16:9"]) == 2


def test_a_size_that_cannot_be_published_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = graphs.write_onnx(tmp_path / "free.onnx", side=None)
    assert main(["describe", str(free), "--size", "7x9"]) == 2
    assert "--size: expected sides of 16 to 4096, received 7x9" in capsys.readouterr().err
    small = graphs.write_onnx(tmp_path / "small.onnx", side=8)
    for words in (["describe", str(small)], ["optimize", str(small), "--store", str(tmp_path / "store")]):
        assert main(words) == 2
        assert (
            "small.onnx: takes pictures of 8×8; published versions need sides of 16 to 4096 pixels"
            in capsys.readouterr().err
        )
