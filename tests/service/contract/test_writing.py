"""Published versions can be read, and appear atomically."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from danmatte.contract import artifact
from danmatte.contract.artifact import describe_file, read_manifest, read_version, write_version
from danmatte.contract.manifest import Files, Manifest
from danmatte.errors import ManifestError
from tests.service.toy import publish

Write = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a folder with an unpublished graph, and a manifest to start from."""
    return publish(tmp_path / "made")


@pytest.fixture
def write(made: Path, tmp_path: Path) -> Write:
    """Return a function that publishes the graph as the toy's next version; `change` changes the manifest."""
    graph, weights = made / "graph.xml", made / "graph.bin"

    def write_one(**change: object) -> Path:
        def describe(version: int) -> Manifest:
            files = Files(describe_file(graph), describe_file(weights))
            return msgspec.structs.replace(read_manifest(made), **({"version": version, "files": files} | change))

        return write_version(tmp_path / "models/toy", graph, weights, describe)

    return write_one


def test_a_written_version_is_read_back_unchanged(write: Write, made: Path, tmp_path: Path) -> None:
    folder = write()
    found = read_version(tmp_path / "models", "toy", 1)
    assert folder == tmp_path / "models/toy/1"
    assert (found.graph, found.weights) == ((made / "graph.xml").read_bytes(), (made / "graph.bin").read_bytes())
    assert found.manifest == read_manifest(made)


def test_a_new_version_gets_the_next_number_after_existing_entries(write: Write, tmp_path: Path) -> None:
    for name in ("7", "007", "latest", ".8"):
        (tmp_path / "models/toy" / name).mkdir(parents=True)
    (tmp_path / "models/toy/11").touch()
    assert [write().name for _ in range(3)] == ["12", "13", "14"]


def test_a_number_taken_by_a_concurrent_writer_is_skipped(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    choices = iter([1, 2])
    monkeypatch.setattr(artifact, "choose_version", lambda home: next(choices))
    assert write().name == "2"
    assert read_version(tmp_path / "models", "toy", 2).manifest.version == 2


@pytest.mark.parametrize("change", [{"licence": ""}, {"name": "../evil"}, {"version": 0}, {"created": "yesterday"}])
def test_an_invalid_manifest_is_not_written(write: Write, tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(ManifestError, match=f"models/toy/1/manifest.json: \\$.{next(iter(change))}: expected"):
        write(**change)
    assert list((tmp_path / "models/toy").iterdir()) == []


def test_a_missing_graph_file_leaves_no_partial_version(write: Write, made: Path, tmp_path: Path) -> None:
    (made / "graph.bin").unlink()
    with pytest.raises(FileNotFoundError):
        write()
    assert list((tmp_path / "models/toy").iterdir()) == []


def test_the_folder_of_a_version_is_readable_by_other_users(write: Write) -> None:
    assert write().stat().st_mode & 0o777 == 0o755


def test_a_file_is_described_by_digest_and_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 10**6)
    described = describe_file(path)
    assert (described.sha256, described.size_bytes) == (hashlib.sha256(b"abc" * 10**6).hexdigest(), 3 * 10**6)
