"""The profile command, one graph and two."""

import argparse
import json
from pathlib import Path

import pytest

from danmatte_workbench.commands import profile
from danmatte_workbench.errors import InputError
from tests.workbench import tiny
from tests.workbench.conftest import Build


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    profile.add(parser)
    return profile.run(parser.parse_args(words))


def test_two_graphs_are_set_side_by_side(built: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = (str(built(tiny.PLAIN, name).path) for name in ("float", "int8"))
    assert run(before, after, "--runs", "2", "--json", str(tmp_path / "layers.json")) == 0
    said = capsys.readouterr().out
    assert said.count("floats in f32") == 2
    for word in ("kind", "precision", "Convolution", "i8"):
        assert word in said
    facts = json.loads((tmp_path / "layers.json").read_text())
    assert list(facts["graphs"]) == [before, after]
    assert set(facts["graphs"][before][0]) == {"name", "kind", "precision", "kernel", "ms"}
    assert facts["host"]["cores"] >= 1


def test_a_folder_stands_for_its_graph(built: Build, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(built(tiny.PLAIN).path.parent), "--runs", "1", "--rows", "3") == 0
    assert "layers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere.xml",), r"nowhere.xml: no such graph; expected an .xml"),
        (("nowhere.xml", "--runs", "0"), "--runs: expected a positive number, received 0"),
    ],
)
def test_a_wrong_word_is_refused(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        run(*words)


def test_something_else_than_an_ir_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "graph.pb"
    graph.write_bytes(b"")
    with pytest.raises(InputError, match="make one with workbench convert"):
        run(str(graph))
