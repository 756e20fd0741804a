"""Command lines: examples parse, the help has defaults and choices, and invalid arguments exit with 2."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from danmatte_workbench import cli
from danmatte_workbench.cli import COMMANDS, main
from danmatte_workbench.errors import BudgetError, InputError, MachineError, WorkbenchError
from tests.workbench.report import rundir


def get_parser(command: str) -> argparse.ArgumentParser:
    """Return the command's parser."""
    line = cli.make_parser()
    (commands,) = [action for action in line._actions if isinstance(action, argparse._SubParsersAction)]
    return commands.choices[command]


@pytest.mark.parametrize("example", [example for command in COMMANDS.values() for example in command.examples])
def test_every_example_of_the_help_can_be_parsed(example: str) -> None:
    program, name, *words = shlex.split(example)
    assert program == "workbench"
    parsed = cli.make_parser().parse_args([name, *words])
    assert parsed.command == name
    assert COMMANDS[name].examples


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help_and_every_optional_one_its_default(name: str) -> None:
    for action in get_parser(name)._actions:
        if action.dest == "help":
            continue
        assert action.help, action.dest
        optional = action.option_strings and not action.required
        if optional and action.dest not in ("json",) and action.nargs != 0:
            assert "default: " in action.help, (name, action.dest)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_examples_and_exits_with_0(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: workbench {name} ")
    assert COMMANDS[name].description in " ".join(text.split())
    for example in COMMANDS[name].examples:
        assert f"  {example}\n" in text
    assert "%(" not in text


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_exits_with_2_and_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(COMMANDS[name].examples[0])[1:]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--no-such-option"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --no-such-option" in capsys.readouterr().err


SHORT = ("-m", "-w", "-o", "-n")
KNOWN = (
    *("--input_model", "--saved_model_dir", "--input_meta_graph", "--input_checkpoint", "--input_shape"),
    *("--mean_values", "--scale_values", "--reverse_input_channels", "--data_type", "--compress_to_fp16"),
    *("--output_dir", "--model_name"),
)


def test_options_are_spelt_with_dashes_except_those_of_openvinos_converters() -> None:
    for name in COMMANDS:
        for action in get_parser(name)._actions:
            for option in action.option_strings:
                if name == "convert" and ("_" in option or option in SHORT):
                    assert option in (*SHORT, *KNOWN)
                elif option != "-h":
                    assert re.fullmatch(r"--[a-z]+(-[a-z]+)*", option), option


@pytest.mark.parametrize(
    ("error", "code"),
    [(BudgetError("nothing"), 1), (InputError("wrong"), 2), (MachineError("missing"), 3)],
)
def test_each_kind_of_failure_has_its_exit_code_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: WorkbenchError, code: int
) -> None:
    def fail(_: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr("danmatte_workbench.commands.report.run", fail)
    assert main(["report", "x"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"workbench report: {error}\n"
    assert captured.out == ""


def test_unexpected_exceptions_are_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: argparse.Namespace) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("danmatte_workbench.commands.report.run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["report", "x"])


# Reports and comparisons, whose input may be any folder


@pytest.mark.parametrize("command", ["report", "compare"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b'{"schema": 1}', b"[" * 100_000])
def test_an_invalid_run_file_exits_with_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, content: bytes
) -> None:
    (tmp_path / "run.json").write_bytes(content)
    words = [str(tmp_path)] * (2 if command == "compare" else 1)
    assert main([command, *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"workbench {command}: {tmp_path / 'run.json'}: ")
    assert error.count("\n") == 1


def test_report_refuses_the_path_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rundir.write(tmp_path, pictures=False) / "run.json"
    assert main(["report", str(path)]) == 2
    assert "expected a run's folder, with run.json in it" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = rundir.write(tmp_path, pictures=False)
    (folder / "report.html").mkdir()
    assert main(["report", str(folder)]) == 3
    assert f"{folder / 'report.html'}: can't be written" in capsys.readouterr().err


def test_a_comparison_is_printed_even_if_its_page_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(rundir.write(tmp_path / "a", pictures=False))
    assert main(["compare", folder, folder, "--html", str(tmp_path / "none/page.html")]) == 3
    captured = capsys.readouterr()
    assert "only the figures changed" in captured.out
    assert "none/page.html: can't be written" in captured.err


def test_a_misspelt_field_is_reported_with_the_nearest_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = rundir.write(tmp_path, lambda facts: facts.update(objectiv="x"), pictures=False)
    assert main(["report", str(folder)]) == 2
    assert "unknown field `objectiv`; did you mean 'objective'?" in capsys.readouterr().err
