"""The disk cache of compiled graphs: lookups, the size limit, and damaged files."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import GraphCache, OpenVinoEngine
from danmatte.errors import SettingsError
from tests.service.toy import Toy, graph, manifest

TOY = Toy(height=64, width=96)


def cache(folder: Path, limit_bytes: int = 10**9) -> GraphCache:
    """Return a cache in a folder that isn't used by anything else."""
    return GraphCache(folder / "compiled", limit_bytes)


def engine(kept: GraphCache) -> OpenVinoEngine:
    return OpenVinoEngine(msgspec.convert(manifest(TOY), Manifest), *graph(TOY), 1, kept)


def test_a_stored_blob_is_found_by_its_key(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    assert kept.get("a") is None
    kept.put("a", b"blob")
    assert cache(tmp_path).get("a") == b"blob"


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data[:40], lambda data: b"", lambda data: data[:-1] + b"?"]
)
def test_a_damaged_entry_is_deleted(tmp_path: Path, change) -> None:
    kept = cache(tmp_path)
    kept.put("a", b"a compiled graph")
    [path] = (tmp_path / "compiled").iterdir()
    path.write_bytes(change(path.read_bytes()))
    assert kept.get("a") is None
    assert not path.exists()


def test_the_least_recently_used_entries_are_evicted_over_the_limit(tmp_path: Path) -> None:
    kept = cache(tmp_path, limit_bytes=3 * 132)
    for second, key in enumerate("abc"):
        kept.put(key, bytes(100))
        os.utime(tmp_path / f"compiled/{key}.blob", (second, second))
    kept.get("a")
    kept.put("d", bytes(100))
    assert [kept.get(key) is not None for key in "abcd"] == [True, False, True, True]


def test_old_unfinished_files_of_killed_processes_are_deleted(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    left, under_way = (tmp_path / f"compiled/.unfinished-{name}" for name in ("left", "under_way"))
    for path in (left, under_way):
        path.write_bytes(b"half")
    os.utime(left, (1, 1))
    kept.put("a", b"blob")
    assert (left.exists(), under_way.exists()) == (False, True)


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(SettingsError, match="only this user"):
        GraphCache(tmp_path, 1)


def test_errors_of_the_disk_are_ignored(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    (tmp_path / "compiled").rmdir()
    kept.put("a", b"blob")
    assert kept.get("a") is None


def test_an_engine_from_the_cache_gives_the_same_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    first = engine(cache(tmp_path)).infer(picture)
    monkeypatch.setattr("openvino.Core.compile_model", None)  # must not be called
    again = engine(cache(tmp_path))
    assert (again.infer(picture) == first).all()
    assert again.precision == "f32"


def test_a_graph_is_compiled_again_if_openvino_rejects_its_blob(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    engine(kept)
    [path] = (tmp_path / "compiled").iterdir()
    kept.put(path.stem, b"whole, and no graph")
    engine(kept)
    assert len(kept.get(path.stem) or b"") > 100
