"""Digests of graphs on disk."""

import hashlib
from pathlib import Path

import pytest

from workbench.artifact import digest, graph_files
from workbench.errors import InputError


def test_the_digest_runs_over_all_files_in_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"x" * 2**21)
    second.write_bytes(b"y")
    assert digest(first, second) == hashlib.sha256(b"x" * 2**21 + b"y").hexdigest()
    assert digest(first, second) != digest(second, first)


def test_an_ir_has_its_weights_beside_it() -> None:
    assert graph_files(Path("m/graph.xml")) == (Path("m/graph.xml"), Path("m/graph.bin"))
    assert graph_files(Path("m/graph.pb")) == (Path("m/graph.pb"),)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: can't be read"):
        digest(tmp_path / "nothing")
