"""``workbench sweep``: the points of a graph, as a table and as JSON."""

import argparse
import json
from pathlib import Path

import pytest

from danmatte_workbench.artifact import Artifact, Port
from danmatte_workbench.benchmark.space import Point
from danmatte_workbench.commands import sweep
from danmatte_workbench.configuration import Setting
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.publish import publish
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.source import Source
from tests.workbench import facts, inner, tiny
from tests.workbench.benchmark.test_space import point
from tests.workbench.conftest import Build


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    sweep.add(parser)
    return sweep.run(parser.parse_args([str(word) for word in words]))


def test_a_sweep_of_an_ir_is_printed_and_written_as_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, labelled: Dataset
) -> None:
    graph = inner.write(tmp_path / "graph.xml")
    target = tmp_path / "sweep.json"
    assert run(graph.path, "--seconds", "6", "--data", labelled.origins[0], "--json", target) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("threads: ")
    assert "best throughput: " in printed
    written = json.loads(target.read_text("utf-8"))
    assert written["graph"]["digest"] == graph.digest
    assert written["points"][0]["throughput"]["value"] > 0
    assert all(curve["axis"] in ("batch", "threads") for curve in written["curves"])


def test_a_published_version_is_swept_in_its_precision(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, plain: Source, built: Build
) -> None:
    tiny.write(tmp_path / "models/tiny", tiny.PLAIN)
    publish(facts.trial("float", artifact=built(tiny.PLAIN)), plain, tmp_path / "models")
    target = tmp_path / "sweep.json"
    assert run("tiny/1", "--models", tmp_path / "models", "--seconds", "1", "--json", target) == 0
    assert json.loads(target.read_text("utf-8"))["base"]["precision"] == "f32"
    with pytest.raises(InputError, match=r"tiny: expected an IR \(\.xml\) or a published version; .* tiny/1"):
        run("tiny", "--models", tmp_path / "models")


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (("missing.xml",), InputError, r"missing\.xml: no such file"),
        (("{graph}", "--device", "GUP"), MachineError, r"did you mean 'GPU'\?"),
        (("{graph}", "--precision", "f31"), InputError, "precision: expected f32 or bf16 or f16"),
        (("{graph}", "--data", "{graph}"), InputError, "expected a folder of pictures or a video"),
    ],
)
def test_an_invalid_argument_is_refused_before_the_sweep(
    tmp_path: Path, words: tuple[str, ...], error: type[Exception], says: str
) -> None:
    graph = inner.write(tmp_path / "graph.xml")
    with pytest.raises(error, match=says):
        run(*(word.format(graph=graph.path) for word in words))


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_impossible_seconds_are_refused(capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run("graph.xml", f"--seconds={seconds}")
    assert ended.value.code == 2
    assert f"expected seconds above 0, received '{seconds}'" in capsys.readouterr().err


def test_a_graph_with_an_input_of_dynamic_size_is_refused(tmp_path: Path) -> None:
    model = openvino.read(inner.write(tmp_path / "graph.xml").path)
    model.reshape([1, -1, -1, 3])
    loose = openvino.save(model, tmp_path / "loose.xml")
    with pytest.raises(InputError, match=r"loose\.xml: expected an input of a fixed shape, found \[1, -1, -1, 3\]"):
        run(loose.path)


@pytest.mark.parametrize(("dtype", "low", "high"), [("u8", 0, 255), ("f32", 0.0, 1.0)], ids=["pixels", "normalised"])
def test_without_frames_reproducible_noise_of_the_inputs_shape_is_used(dtype: str, low: float, high: float) -> None:
    artifact = Artifact(Path("x.xml"), "", (Port("x", (1, 8, 9, 3), dtype),))
    once, again = (sweep._make_pictures(artifact, None) for _ in range(2))
    assert len(once) == sweep.PICTURES
    assert {picture.shape for picture in once} == {(1, 8, 9, 3)}
    assert all((a == b).all() for a, b in zip(once, again, strict=True))
    assert low <= min(picture.min() for picture in once) < max(picture.max() for picture in once) <= high


def test_frames_are_refused_for_a_graph_that_takes_no_pictures(labelled: Dataset) -> None:
    artifact = Artifact(Path("x.xml"), "", (Port("x", (1, 3, 8, 8), "f32"),))
    with pytest.raises(
        InputError, match=r"--data: expected a graph with an input of \[1, H, W, 3\], x\.xml has \[1, 3, 8, 8\]"
    ):
        sweep._make_pictures(artifact, labelled.origins[0])


def test_points_are_printed_from_the_fastest_to_the_slowest_and_the_unmeasured_last() -> None:
    slow, fast = point(Setting(1, 1, 1, 1), 0.5), point(Setting(4, 1, 1, 1), 2.0, agreed=False)
    table = sweep._make_table((slow, Point(Setting(8, 1, 1, 1), None, "no time"), fast), Path("x.xml"))
    batches, notes = (list(table.columns[number].cells) for number in (0, 8))
    assert batches == ["4", "1", "8"]
    assert notes == ["disagree", "", "no time"]
