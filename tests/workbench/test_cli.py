"""The first commands that users try, and their exit codes and messages."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte_workbench.cli import COMMANDS, main
from danmatte_workbench.source import Source
from tests.architecture.sources import imports, read_package
from tests.workbench import tiny

ROOT = Path(__file__).parents[2]


def run_command(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Return the exit code and the standard error of a command, run in this process."""
    code = main([str(word) for word in words])
    return code, capsys.readouterr().err


def read_refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Return the message of a command that fails with exit code 2, which is one line that begins with the command."""
    code, error = run_command(capsys, *words)
    assert code == 2
    assert error.startswith(f"workbench {words[0]}: ")
    return error


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n")
    return path


@pytest.mark.parametrize("command", ["optimize", "evaluate"])
def test_an_unknown_model_suggests_the_nearest(capsys: pytest.CaptureFixture[str], command: str) -> None:
    data = ["--data", "x"] if command == "evaluate" else []
    error = read_refusal(capsys, command, "deeplap", *data)
    assert "deeplap: no such file, and no such model in" in error
    assert "; did you mean 'deeplab'?" in error


def test_a_missing_graph_is_reported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "model.pb"
    assert f"{missing}: no such file" in read_refusal(capsys, "convert", "--input_model", missing)
    assert f"{missing}: no such file, and no such model in" in read_refusal(capsys, "optimize", missing)


@pytest.mark.parametrize("cut", [[], ["--input", "0:a", "--output", "b"]])
def test_converting_a_text_file_is_refused(capsys: pytest.CaptureFixture[str], text: Path, cut: list[str]) -> None:
    assert str(text) in read_refusal(capsys, "convert", "--input_model", text, *cut)


def test_optimizing_a_text_file_is_refused(capsys: pytest.CaptureFixture[str], text: Path) -> None:
    assert f"{text}: isn't a frozen TensorFlow graph" in read_refusal(capsys, "optimize", text)


def test_a_folder_without_a_graph_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert str(tmp_path) in read_refusal(capsys, "optimize", tmp_path)


def test_an_unknown_node_is_reported_with_the_nearest(
    capsys: pytest.CaptureFixture[str], plain: Source, tmp_path: Path
) -> None:
    words = ["--input", "0:MobilenetV2/Conv2D", "--output", "ArgMax", "--output_dir", tmp_path]
    error = read_refusal(capsys, "convert", "--input_model", plain.path, *words)
    assert "has no node 0:MobilenetV2/Conv2D; did you mean 'MobilenetV2/Conv/Conv2D'" in error


@pytest.mark.parametrize("shape", ["1x513", "[1,0,0,3]", "[a]", "[1,513"])
def test_an_invalid_shape_is_refused(
    capsys: pytest.CaptureFixture[str], plain: Source, tmp_path: Path, shape: str
) -> None:
    words = ["--input_shape", shape, "--output_dir", tmp_path]
    error = read_refusal(capsys, "convert", "--input_model", plain.path, *words)
    assert f"--input_shape: expected a shape such as [1,224,224,3], received {shape}" in error


@pytest.mark.parametrize(("shape", "reason"), [("[1,65,65]", "has the shape"), ("[1,3,65,65]", "can't take")])
def test_a_shape_that_the_graph_cannot_take_is_refused(
    capsys: pytest.CaptureFixture[str], plain: Source, tmp_path: Path, shape: str, reason: str
) -> None:
    words = ["--input_shape", shape, "--output_dir", tmp_path]
    error = read_refusal(capsys, "convert", "--input_model", plain.path, *words)
    assert f"{plain.path}: " in error
    assert reason in error
    assert shape in error


def test_an_output_folder_that_is_a_file_is_refused(
    capsys: pytest.CaptureFixture[str], plain: Source, text: Path
) -> None:
    words = ["--input_shape", "[1,65,65,3]", "--output_dir", text]
    assert "can't be written" in read_refusal(capsys, "convert", "--input_model", plain.path, *words)


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    """A graph that needs no description and has a fixed size."""
    path = tmp_path / "fixed.pb"
    path.write_bytes(tiny.frozen(tiny.BGR))
    return path


def test_a_text_file_as_data_is_refused(capsys: pytest.CaptureFixture[str], fixed: Path, text: Path) -> None:
    error = read_refusal(capsys, "optimize", fixed, "--data", text)
    assert "notes.txt: expected a folder of pictures or a video" in error


def test_an_empty_folder_as_data_is_refused(capsys: pytest.CaptureFixture[str], fixed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty}: expected pictures" in read_refusal(capsys, "optimize", fixed, "--data", empty)


def test_masks_of_a_different_size_are_refused(capsys: pytest.CaptureFixture[str], fixed: Path, tmp_path: Path) -> None:
    data = tiny.write_scenes(tmp_path / "data", 2)
    cv2.imwrite(str(data / "masks/kind0_00.png"), np.zeros((5, 7), np.uint8))
    error = read_refusal(capsys, "evaluate", fixed, "--data", data)
    assert "kind0_00.png: expected the picture's size 128×96, found 7×5" in error


def test_evaluating_pictures_without_masks_is_refused(
    capsys: pytest.CaptureFixture[str], fixed: Path, tmp_path: Path
) -> None:
    data = tiny.write_scenes(tmp_path / "data", 2, masks=False)
    assert "expected masks/ beside images/" in read_refusal(capsys, "evaluate", fixed, "--data", data)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--effort", "quik", "--effort: expected one of quick, standard, thorough, received quik"),
        ("--objective", "speed", "--objective: expected balanced, throughput or latency, received speed"),
    ],
)
def test_an_unknown_choice_lists_the_choices(
    capsys: pytest.CaptureFixture[str], fixed: Path, option: str, value: str, says: str
) -> None:
    assert says in read_refusal(capsys, "optimize", fixed, option, value)


@pytest.mark.parametrize("missing", ["--initial", "--teacher"])
def test_training_with_a_missing_initial_or_teacher_file_is_refused(
    capsys: pytest.CaptureFixture[str], fixed: Path, tmp_path: Path, missing: str
) -> None:
    given = {"--initial": fixed, "--teacher": fixed} | {missing: tmp_path / "none"}
    options = [part for option in given.items() for part in option]
    error = read_refusal(capsys, "train", "--data", tmp_path, *options, "--output-dir", tmp_path / "out")
    assert f"{tmp_path / 'none'}: no such file" in error


@pytest.mark.parametrize("line", ["", "optimise", "optimize", "optimize x --max-iou-drop a"])
def test_an_invalid_command_line_exits_with_code_2(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert stopped.value.code == 2
    assert "usage: workbench" in capsys.readouterr().err


def test_an_interrupted_command_exits_with_code_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("danmatte_workbench.commands.convert.run", interrupt)
    assert run_command(capsys, "convert", "--input_model", "x")[0] == 130


def test_the_exit_code_reaches_the_shell() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "danmatte_workbench", "convert", "--input_model", "nowhere.pb"],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.splitlines() == ["workbench convert: nowhere.pb: no such file"]


@pytest.mark.parametrize(("command", "missing"), [("optimize x", "nncf"), ("report x", "rich"), ("devices", "rich")])
def test_a_command_without_its_extra_reports_it_and_exits_with_code_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, missing: str
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name))
    code, error = run_command(capsys, *command.split())
    assert code == 3
    assert f"needs {missing}; install the extra: pip install 'danmatte[workbench]'" in error


def test_help_needs_no_extra() -> None:
    blocked = (
        "import sys; sys.modules.update(dict.fromkeys(['rich', 'nncf', 'tensorflow', 'keras', 'optuna', 'psutil']));"
    )
    code = f"{blocked} from danmatte_workbench.cli import COMMANDS, main; main(['--help'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "optimize" in run.stdout


def test_commands_declare_all_libraries_of_the_extra_that_are_imported() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["workbench"]
    brought = {re.split(r"[>=<]", requirement)[0].removesuffix("-cpu") for requirement in extra}
    imported = {
        found.name.partition(".")[0] for module in read_package("danmatte_workbench") for found in imports(module)
    }
    assert set(COMMANDS["optimize"].needs) == brought & imported
    assert {library for command in COMMANDS.values() for library in command.needs} <= brought
