"""``workbench profile``, with one graph and with two."""

import argparse
import json
from pathlib import Path

import pytest

from danmatte.contract import places
from danmatte_workbench.commands import profile
from danmatte_workbench.errors import InputError, MachineError
from tests.workbench import tiny
from tests.workbench.conftest import Build


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    profile.add(parser)
    return profile.run(parser.parse_args(words))


def test_two_graphs_are_profiled_side_by_side(built: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = (str(built(tiny.PLAIN, name).path) for name in ("float", "int8"))
    assert run(before, after, "--runs", "2", "--json", str(tmp_path / "layers.json")) == 0
    printed = capsys.readouterr().out
    assert printed.count("floats in f32") == 2
    for word in ("kind", "precision", "Convolution", "i8"):
        assert word in printed
    facts = json.loads((tmp_path / "layers.json").read_text())
    assert list(facts["graphs"]) == [before, after]
    measured = {"name", "kind", "precision", "kernel", "ms"}
    assert set(facts["graphs"][before][0]) == measured | {
        "operations",
        "size_bytes",
        "weights",
        "stays_float",
        "source",
    }
    assert facts["host"]["cores"] >= 1


def test_a_folder_is_accepted_in_place_of_the_graph_in_it(built: Build, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(built(tiny.PLAIN).path.parent), "--runs", "1", "--rows", "3") == 0
    assert "layers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere.xml",), r"nowhere.xml: no such graph; expected an .xml"),
        (("",), ": no such graph"),
        (("nowhere.xml", "--runs", "0"), "--runs: expected 1 or more, received 0"),
    ],
)
def test_an_invalid_argument_is_refused(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        run(*words)


def test_a_graph_that_is_no_ir_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "graph.pb"
    graph.write_bytes(b"")
    with pytest.raises(InputError, match="make one with workbench convert"):
        run(str(graph))


def test_the_slowest_layers_are_printed_first_up_to_the_limit_of_rows(
    built: Build, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(str(built(tiny.PLAIN).path), "--runs", "2", "--rows", "2") == 0
    table = capsys.readouterr().out.split("layer ")[-1]
    figures = [float(line.split("│")[3]) for line in table.splitlines() if line.startswith("│")]
    assert len(figures) == 2
    assert figures == sorted(figures, reverse=True)


def test_a_published_version_is_found_by_its_name(
    built: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models/tiny/1"
    folder.mkdir(parents=True)
    for name in ("graph.xml", "graph.bin"):
        (folder / name).write_bytes((built(tiny.PLAIN).path.parent / name).read_bytes())
    monkeypatch.setattr(places, "list_model_folders", lambda: [tmp_path / "nowhere", tmp_path / "models"])
    assert run("tiny/1", "--runs", "1") == 0
    assert capsys.readouterr().out.startswith("tiny/1: ")


@pytest.mark.parametrize("threads", ["-1", "-2"])
def test_a_negative_number_of_threads_is_refused(threads: str) -> None:
    with pytest.raises(InputError, match="--threads: expected 0 or more, received"):
        run("graph.xml", f"--threads={threads}")


def test_an_unwritable_json_path_is_reported_as_a_machine_error(built: Build, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="can't be written"):
        run(str(built(tiny.PLAIN).path), "--runs", "1", "--json", str(tmp_path / "file/out.json"))
