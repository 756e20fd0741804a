"""Both command lines have complete help and consistent option names."""

import argparse
import re
from collections.abc import Iterator

import pytest

from danmatte import cli as danmatte
from danmatte_workbench import cli as workbench

PROGRAMS = {"danmatte": danmatte, "workbench": workbench}
# Flags of OpenVINO's Model Optimizer (mo, mo_tf.py) and of ovc, spelled as in their help.
KNOWN_ELSEWHERE = {
    "--input_model",
    "--saved_model_dir",
    "--input_meta_graph",
    "--input_checkpoint",
    "--input_shape",
    "--mean_values",
    "--scale_values",
    "--reverse_input_channels",
    "--output_dir",
    "--model_name",
    "--compress_to_fp16",
    "--data_type",
}


def list_commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command of both programs with its parser."""
    for program, module in PROGRAMS.items():
        groups = [action for action in module.make_parser()._actions if isinstance(action, argparse._SubParsersAction)]
        for name, parser in groups[0].choices.items():
            yield f"{program} {name}", parser


COMMANDS = dict(list_commands())


def list_options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings and "--help" not in action.option_strings]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_gives_the_default_of_every_option(command: str) -> None:
    missing = [
        action.option_strings[-1]
        for action in list_options(COMMANDS[command])
        if not action.required and "default:" not in str(action.help) and action.dest != "json"
    ]
    assert missing == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_examples_that_parse(command: str) -> None:
    program, name = command.split()
    examples = re.findall(rf"^  ({program} {name}\b.*)$", COMMANDS[command].format_help(), re.MULTILINE)
    assert examples
    for example in examples:
        words = example.partition(" > ")[0].split()[1:]
        assert PROGRAMS[program].make_parser().parse(words).command == name


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_in_kebab_case(command: str) -> None:
    spelt = {name for action in list_options(COMMANDS[command]) for name in action.option_strings}
    others = spelt - (KNOWN_ELSEWHERE if command == "workbench convert" else set())
    assert [name for name in others if not re.fullmatch(r"--[a-z][a-z0-9]*(-[a-z0-9]+)*|-[a-z]", name)] == []


@pytest.mark.parametrize(("option", "metavar"), [("--json", "FILE"), ("--size", "WIDTHxHEIGHT"), ("--models", "DIR")])
def test_an_option_takes_the_same_kind_of_value_in_every_command(option: str, metavar: str) -> None:
    found = {
        command: action.metavar
        for command, parser in COMMANDS.items()
        for action in list_options(parser)
        if option in action.option_strings
    }
    found.pop("danmatte serve", None)  # its options are settings, whose values are texts and numbers
    found.pop("danmatte check-config", None)
    assert len(found) > 1
    assert set(found.values()) == {metavar}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_without_arguments_prints_its_help(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        PROGRAMS[program].main([])
    assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert all(command.split()[1] in printed for command in COMMANDS if command.startswith(program))


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_version_flag_prints_the_version_of_the_distribution(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib.metadata import version

    with pytest.raises(SystemExit) as stopped:
        PROGRAMS[program].main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"{program} {version('danmatte')}\n"
