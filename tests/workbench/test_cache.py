"""The cache folder, which the user can choose."""

import argparse
from pathlib import Path

import pytest

from danmatte_workbench.cache import find_cache_folder
from danmatte_workbench.commands import optimize
from danmatte_workbench.errors import MachineError
from danmatte_workbench.graph import probing
from danmatte_workbench.reading import ReadOptions
from tests.workbench import own_graphs


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ({"WORKBENCH_CACHE": "/a"}, Path("/a")),
        ({"WORKBENCH_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/danmatte")),
        ({}, Path.home() / ".cache/danmatte"),
        ({"XDG_CACHE_HOME": ""}, Path.home() / ".cache/danmatte"),
    ],
)
def test_the_cache_folder_follows_the_environment_variables(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], folder: Path
) -> None:
    for name in ("WORKBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert find_cache_folder() == folder


def test_candidates_are_stored_in_the_cache_unless_a_store_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    parser = argparse.ArgumentParser()
    optimize.add(parser)
    for words, store in (([], tmp_path / "cache/candidates"), (["--store", "mine"], Path("mine"))):
        assert optimize.choose_places(parser.parse_args(["graph.onnx", *words])).store == store


def test_an_unwritable_cache_of_graphs_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file"))
    path = own_graphs.write_switched(tmp_path / "switched.pb")
    with pytest.raises(MachineError, match=r"file/graphs/\w{64}/switched\.pb: can't be written"):
        probing.inspect(path, options=ReadOptions(freeze=(("training", False),)))
