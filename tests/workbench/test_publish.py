"""Publishing: atomic, with consecutive version numbers."""

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from danmatte.contract import artifact
from danmatte_workbench import publish as publishing
from danmatte_workbench.artifact import Port, digest
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.answers import choose_telling, store_answers
from danmatte_workbench.experiment.trial import LevelAccuracy, Trial
from danmatte_workbench.kinds import OutputKind
from danmatte_workbench.metrics.accuracy import KindLoss
from danmatte_workbench.publish import publish
from danmatte_workbench.runtimes.isa_levels import find_highest
from danmatte_workbench.source import Source
from tests.workbench import facts, tiny
from tests.workbench.conftest import Build, Describe


@pytest.fixture
def winner(built: Build) -> Trial:
    return facts.trial("float", facts.measured("throughput", 90), artifact=built(tiny.PLAIN))


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def test_a_version_has_its_three_files_and_their_digests(winner: Trial, plain: Source, tmp_path: Path) -> None:
    folder = publish(winner, plain, tmp_path)
    assert folder == tmp_path / "tiny/1"
    assert sorted(path.name for path in folder.iterdir()) == ["graph.bin", "graph.xml", "manifest.json"]
    for name, stored in manifest(folder)["files"].items():
        assert stored == {"sha256": digest(folder / name), "size_bytes": (folder / name).stat().st_size}


def test_a_manifest_records_source_recipe_grid_and_host(winner: Trial, plain: Source, tmp_path: Path) -> None:
    stored = manifest(publish(winner, plain, tmp_path))
    assert stored["recipe"]["source"] == {"name": tiny.GRAPH, "digest": plain.digest}
    assert stored["recipe"]["digest"] == winner.candidate.recipe.digest
    assert stored["outputs"][0]["grid"] == {"step_y": 2.0, "step_x": 2.0, "offset_y": 0.0, "offset_x": 0.0}
    assert stored["measurements"][0]["host"]["cpu"] == facts.HOST.cpu


def test_version_numbers_continue_after_the_highest(winner: Trial, plain: Source, tmp_path: Path) -> None:
    for name in ("9", "007", "latest", ".hidden"):
        (tmp_path / "tiny" / name).mkdir(parents=True)
    (tmp_path / "tiny" / "12").touch()
    assert [publish(winner, plain, tmp_path).name for _ in range(2)] == ["13", "14"]


def test_two_publishers_at_once_both_succeed(
    winner: Trial, plain: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both choose the same number before either one's folder is in place."""
    meeting, choose, met = threading.Barrier(2), artifact.choose_version, threading.local()

    def next_together(home: Path) -> int:
        number = choose(home)
        if not hasattr(met, "once"):
            met.once = meeting.wait(30)
        return number

    monkeypatch.setattr(artifact, "choose_version", next_together)
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: publish(winner, plain, tmp_path), range(2)))
    assert sorted(folder.name for folder in folders) == ["1", "2"]
    assert [manifest(folder)["version"] for folder in folders] == [int(folder.name) for folder in folders]
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir()) == ["1", "2"]


def test_a_version_becomes_visible_only_when_it_is_complete(
    winner: Trial, plain: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before a version is in place, everything is written, but nothing is visible."""
    seen = []
    rename = Path.rename

    def observe(source: Path, target: Path) -> Path:
        seen.append([path.name for path in (tmp_path / "tiny").iterdir() if not path.name.startswith(".")])
        assert len(list(source.iterdir())) == 3
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", observe)
    publish(winner, plain, tmp_path)
    assert seen == [[]]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_interrupted_publication_leaves_no_files(
    winner: Trial, plain: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(publishing, "_describe", fail)
    with pytest.raises((MachineError, KeyboardInterrupt)):
        publish(winner, plain, tmp_path)
    assert list((tmp_path / "tiny").iterdir()) == []


def test_an_unwritable_folder_raises_a_machine_error(winner: Trial, plain: Source, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="file"):
        publish(winner, plain, tmp_path / "file")


def test_a_graph_without_a_persons_probability_is_refused(describe: Describe, built: Build, tmp_path: Path) -> None:
    uncut = facts.trial("uncut", artifact=built(tiny.PLAIN, "uncut"))
    with pytest.raises(InputError, match="uncut: its output isn't the probability of a person; add the head step"):
        publish(uncut, describe(tiny.PLAIN), tmp_path)
    assert list((tmp_path / "tiny").iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "Big", "", "a" * 65, "a/b", ".hidden"])
def test_an_invalid_model_name_is_refused(winner: Trial, plain: Source, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="model name: expected lower-case letters"):
        publish(winner, dataclasses.replace(plain, name=name), tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_manifest_records_the_instruction_sets_of_its_confirmation(
    winner: Trial, plain: Source, tmp_path: Path
) -> None:
    lost = facts.measured("iou_drop", 0.2, low=0.1, high=0.3)
    compared = dataclasses.replace(winner, levels=(LevelAccuracy("AVX2", lost),)).add([lost])
    stored = manifest(publish(compared, plain, tmp_path))["confirmed"]
    assert stored[0] == {
        "instruction_set": "AVX2",
        "emulated": True,
        "metric": "iou_drop",
        "value": 0.2,
        "unit": "u",
        "low": 0.1,
        "high": 0.3,
        "samples": 5,
    }
    assert [item["emulated"] for item in stored[1:]] == [False] * (find_highest() is not None)
    assert "confirmed" not in manifest(publish(winner, plain, tmp_path))


def test_a_manifest_records_the_loss_in_each_kind_of_scene(winner: Trial, plain: Source, tmp_path: Path) -> None:
    lost = facts.measured("iou_drop", 0.25, low=0.125, high=0.5)
    compared = dataclasses.replace(winner, kinds=(KindLoss("night", lost), KindLoss("day", lost)))
    stored = manifest(publish(compared, plain, tmp_path))["kinds"]
    assert [item["kind"] for item in stored] == ["night", "day"]
    numbers = {"value": 0.25, "low": 0.125, "high": 0.5, "unit": "u", "samples": 5}
    assert stored[0] == {"kind": "night", "metric": "iou_drop", **numbers}
    assert "kinds" not in manifest(publish(winner, plain, tmp_path))


def test_stored_answers_equal_the_outputs_of_the_published_version(
    winner: Trial, plain: Source, labelled: Dataset, tmp_path: Path
) -> None:
    subject = winner.to_subject(plain)
    publish(winner, plain, tmp_path, store_answers(subject, labelled))
    found = artifact.read_version(tmp_path, plain.name, 1)
    assert found.answers is not None
    run = subject.load()
    assert found.answers.measure_disagreement(subject.framing, lambda picture: run(picture)[0, ..., 0]) == 0
    publish(winner, plain, tmp_path)
    assert artifact.read_version(tmp_path, plain.name, 2).answers is None


@pytest.mark.parametrize(
    ("shares", "stored"),
    [([0.0, 0.1, 0.2, 0.9, 0.3, 0.4, 0.5], [1, 2, 4, 5]), ([0.0, 0.9, 0.5], [0, 1, 2]), ([], [])],
)
def test_pictures_with_an_outline_are_stored_first(shares: list[float], stored: list[int]) -> None:
    assert choose_telling(shares) == stored


MAP, ROW, ONE = (1, 1, 65, 65), (1, 10), (1, 1)


@pytest.mark.parametrize(
    ("kind", "shape", "expected"),
    [
        (OutputKind("scores", ""), ROW, {"meaning": "scores", "labels": []}),
        (OutputKind("regression", ""), ONE, {"meaning": "score", "unit": ""}),
        (
            OutputKind("regions", "", "text"),
            MAP,
            {"channels": [{"region": "text", "threshold": 0.3}], "layout": "NCHW"},
        ),
        (OutputKind("regions", "", "text"), (1, 33, 33), {"layout": "NHW"}),
        (OutputKind("boxes", ""), (1, 100, 4), {"columns": ["x1", "y1", "x2", "y2"], "units": "pixels"}),
        (OutputKind("boxes", "", corners="yxyx", shares=True), (1, -1, 4), {"columns": ["y1", "x1", "y2", "x2"]}),
        (OutputKind("embedding", ""), (1, 512), {"meaning": "tensor"}),
        (OutputKind("tensor", ""), (1, 8, 8, 17), {"meaning": "tensor"}),
        (
            OutputKind("scores", ""),
            (1, 8, 8, 17),
            {"meaning": "tensor"},
        ),  # for which the contract has no kind of scores
    ],
)
def test_an_output_is_published_by_its_kind(
    built: Build, plain: Source, tmp_path: Path, kind: OutputKind, shape: tuple[int, ...], expected: dict
) -> None:
    made = dataclasses.replace(built(tiny.PLAIN), outputs=(Port("answer", shape, "f32"),))
    source = dataclasses.replace(plain, meaning="tensors", answers=("answer",), kinds=(kind,))
    folder = publish(facts.trial("uncut", facts.measured("disagreement", 1), artifact=made), source, tmp_path)
    (output,) = manifest(folder)["outputs"]
    assert expected.items() <= output.items()
    assert artifact.read_manifest(folder).outputs[0].name == "answer"
