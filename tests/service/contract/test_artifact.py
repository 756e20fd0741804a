"""A version's folder, prepared by an attacker."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from danmatte.contract import artifact
from danmatte.errors import ManifestError
from tests.service.toy import Toy, graph, manifest, publish


def test_a_valid_version_is_read_with_graph_weights_and_manifest(tmp_path: Path) -> None:
    publish(tmp_path)
    found = artifact.read_version(tmp_path, "toy", 1)
    assert (found.graph, found.weights) == graph(Toy())
    assert found.manifest.name == "toy"


def test_only_folders_named_by_a_version_number_are_listed(tmp_path: Path) -> None:
    for name in ("1", "10", "2", "03", "0", "-1", ".hidden", "x", "1e3", "٣", "9" * 30):
        (tmp_path / "toy" / name).mkdir(parents=True)
    (tmp_path / "toy" / "7").write_text("a file")
    (tmp_path / "toy" / "8").symlink_to(tmp_path / "toy" / "1")
    (tmp_path / "toy" / "9").symlink_to(tmp_path / "nowhere")
    assert artifact.list_versions(tmp_path, "toy") == [10, 8, 2, 1]  # including links, as volumes have


def test_only_folders_with_a_valid_model_name_are_listed(tmp_path: Path) -> None:
    for name in ("toy", "a_b-c9", ".hidden", "Upper", "-dash", "spa ce"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "toy")
    assert artifact.list_models(tmp_path) == ["a_b-c9", "link", "toy"]
    assert artifact.list_models(tmp_path / "nowhere") == []


def test_ignored_folders_are_reported(tmp_path: Path) -> None:
    for name in ("toy/1", "toy/v2", "toy/02", "toy/new", "toy/measurements", "toy/.hidden", "Upper/1", ".hidden/1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "toy/new/manifest.json").write_text("{}")
    (tmp_path / "README").write_text("a file")
    ignored = [line.removeprefix(f"{tmp_path}/").partition(":")[0] for line in artifact.list_ignored(tmp_path)]
    assert ignored == ["Upper", "toy/02", "toy/new", "toy/v2"]


def test_a_version_behind_a_symbolic_link_is_read(tmp_path: Path) -> None:
    publish(tmp_path / "..data", name="toy")
    (tmp_path / "toy").symlink_to("..data/toy")  # as Kubernetes mounts volumes
    assert artifact.read_version(tmp_path, "toy", 1).manifest.version == 1


def link_manifest(folder: Path) -> None:
    """Make the manifest a link to a file elsewhere."""
    (folder / "manifest.json").rename(folder / "elsewhere")
    (folder / "manifest.json").symlink_to(folder / "elsewhere")


def link_graph(folder: Path) -> None:
    """Make the graph a link to a file elsewhere."""
    (folder / "graph.xml").rename(folder / "elsewhere")
    (folder / "graph.xml").symlink_to(folder / "elsewhere")


def pipe_weights(folder: Path) -> None:
    """Make the weights an endless device."""
    (folder / "graph.bin").unlink()
    os.mkfifo(folder / "graph.bin")


def folder_weights(folder: Path) -> None:
    """Make the weights a folder."""
    (folder / "graph.bin").unlink()
    (folder / "graph.bin").mkdir()


def grow_graph(folder: Path) -> None:
    """Make the graph a sparse file above the limit."""
    os.truncate(folder / "graph.xml", 17 * 2**20)


def grow_manifest(folder: Path) -> None:
    """Make the manifest a sparse file above the limit."""
    os.truncate(folder / "manifest.json", 2**40)


def rename(folder: Path) -> None:
    """Put another model's name in the manifest."""
    (folder / "manifest.json").write_text(json.dumps(manifest(Toy(), "other")))


def renumber(folder: Path) -> None:
    """Put another version's number in the manifest."""
    (folder / "manifest.json").write_text(json.dumps(manifest(Toy(), version=2)))


def flip_bit(folder: Path) -> None:
    """Change the graph after it was published."""
    data = bytearray((folder / "graph.xml").read_bytes())
    data[100] ^= 1
    (folder / "graph.xml").write_bytes(data)


def cut_weights(folder: Path) -> None:
    """Truncate the weights."""
    data = (folder / "graph.bin").read_bytes()
    (folder / "graph.bin").write_bytes(data[:-1])


@pytest.mark.parametrize(
    ("spoil", "file", "says"),
    [
        (link_manifest, "manifest.json", "plain file"),
        (link_graph, "graph.xml", "plain file"),
        (pipe_weights, "graph.bin", "plain file"),
        (folder_weights, "graph.bin", "plain file"),
        (grow_graph, "graph.xml", "at most 16777216 bytes"),
        (grow_manifest, "manifest.json", "at most 262144 bytes"),
        (rename, "manifest.json", "$.name: expected 'toy' as in the path, received 'other'"),
        (renumber, "manifest.json", "$.version: expected 1 as in the path, received 2"),
        (flip_bit, "graph.xml", "sha256: expected"),
        (cut_weights, "graph.bin", "size_bytes: expected"),
        (lambda folder: (folder / "graph.bin").unlink(), "graph.bin", "No such file"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json", "No such file"),
    ],
)
def test_a_corrupt_version_is_refused_naming_the_file(
    tmp_path: Path, spoil: Callable[[Path], None], file: str, says: str
) -> None:
    spoil(publish(tmp_path))
    with pytest.raises(ManifestError) as refused:
        artifact.read_version(tmp_path, "toy", 1)
    assert refused.value.file.endswith(file)
    assert says in str(refused.value)
