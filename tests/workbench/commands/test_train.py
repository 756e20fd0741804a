"""``workbench train``: the arguments of the training, and the output."""

import argparse
import os
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.commands import train
from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import backend

GIVEN = ("--data", "d", "--initial", "graph.pb", "--teacher", "official.tflite")


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    train.add(parser)
    return train.run(parser.parse_args(words))


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Change to a temporary folder with the files of the arguments."""
    monkeypatch.chdir(tmp_path)
    for name in ("graph.pb", "official.tflite", "earlier.pb"):
        Path(name).write_text(name)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Replace the training, and record its arguments."""
    from danmatte_workbench.training.deeplab import course

    recorded: list[tuple[object, ...]] = []

    def record(*arguments: object) -> Path:
        recorded.append(arguments)
        return Path("out/graph.pb")

    monkeypatch.setattr(course, "train", record)
    monkeypatch.setattr(backend, "choose", lambda: "tensorflow")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    return recorded


def test_data_weights_output_folder_and_seed_reach_the_training(
    calls: list[tuple[object, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*GIVEN, "--output-dir", "out", "--seed", "7") == 0
    assert calls == [(Path("d"), Path("graph.pb"), Path("official.tflite"), Path("out"), 7)]
    assert capsys.readouterr().out == "trained out/graph.pb; try it:  workbench evaluate out/graph.pb --data d/val\n"


def test_a_keras_backend_chosen_by_the_user_is_kept(
    calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    run(*GIVEN)
    assert os.environ["KERAS_BACKEND"] == "torch"
    assert calls[0][3:] == (Path("build/training"), 1)


def test_data_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*GIVEN[2:])
    assert ended.value.code == 2
    assert "required: --data" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["--initial", "--teacher"])
def test_weights_and_a_teacher_are_required_to_train_deeplab(missing: str) -> None:
    at = GIVEN.index(missing)
    with pytest.raises(InputError, match=f"{missing}: expected a file to train deeplab with"):
        run("deeplab", *GIVEN[:at], *GIVEN[at + 2 :])


def test_deeplab_is_trained_by_default(calls: list[tuple[object, ...]]) -> None:
    run(*GIVEN)
    run("deeplab", *GIVEN)
    assert calls[0] == calls[1]


def test_the_quality_network_requires_pictures_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from danmatte_workbench.training.quality import course

    recorded: list[object] = []

    def record(*arguments: object, **options: object) -> Path:
        recorded.extend([*arguments, options])
        return Path("out/quality_graph.pb")

    monkeypatch.setattr(course, "train", record)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert run("quality", "--data", "d", "--output-dir", "out", "--seed", "7") == 0
    assert recorded == [Path("d"), Path("out"), {"seed": 7}]
    assert "workbench optimize out/model.toml --data d/val" in capsys.readouterr().out


def test_a_student_starts_from_the_weights_that_pruning_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from danmatte_workbench.training.deeplab import course, student

    whole, pruned = ([(np.full((1, 1, 2, number), 1.0), np.zeros(number))] for number in (4, 3))
    given: list[object] = []

    def carve(known: object, before: list[tuple[np.ndarray, ...]], after: list[tuple[np.ndarray, ...]]) -> str:
        given.extend([known, before[0][0].shape, after[0][0].shape])
        return "carved"

    def teach(*arguments: object) -> Path:
        given.append(arguments)
        return tmp_path / "student_graph.pb"

    monkeypatch.setattr(train, "prune", lambda initial, data, share, folder: (whole, pruned) if share == 0.35 else None)
    monkeypatch.setattr(course, "read_initial", lambda path: f"kernels of {path}")
    monkeypatch.setattr(student, "carve", carve)
    monkeypatch.setattr(course, "train_student", teach)
    assert run(*GIVEN, "--student", "0.35", "--output-dir", "out") == 0
    places = (Path("d"), Path("graph.pb"), Path("official.tflite"), "carved", Path("out"), 1)
    assert given == ["kernels of graph.pb", (1, 1, 2, 4), (1, 1, 2, 3), places]


def test_a_student_continues_from_the_graph_of_an_earlier_student(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from danmatte_workbench.training.deeplab import course

    given: list[object] = []

    def teach(*arguments: object) -> Path:
        given.extend(arguments)
        return tmp_path / "student_graph.pb"

    monkeypatch.setattr(course, "read_initial", lambda path: f"kernels of {path}")
    monkeypatch.setattr(course, "train_student", teach)
    assert run(*GIVEN, "--student-from", "earlier.pb", "--output-dir", "out", "--seed", "2") == 0
    assert given == [Path("d"), Path("graph.pb"), Path("official.tflite"), "kernels of earlier.pb", Path("out"), 2]


def test_a_student_of_a_different_share_needs_a_different_output_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from danmatte_workbench.training.deeplab import course

    shares: list[float] = []
    monkeypatch.setattr(train, "carve", lambda initial, data, share, folder: shares.append(share))
    monkeypatch.setattr(course, "train_student", lambda *_: tmp_path / "student_graph.pb")
    words = (*GIVEN, "--output-dir", str(tmp_path / "out"))
    assert run(*words, "--student", "0.35") == 0
    assert run(*words, "--student", "0.35") == 0
    with pytest.raises(
        InputError, match=r"another --student: expected 0\.35, received 0\.5; give another --output-dir"
    ):
        run(*words, "--student", "0.5")
    assert shares == [0.35, 0.35]


def test_student_and_student_from_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*GIVEN, "--student", "0.35", "--student-from", "earlier.pb")
    assert ended.value.code == 2
    assert "not allowed with argument --student" in capsys.readouterr().err
