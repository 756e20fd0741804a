"""Places of files: whatever kind, they do the same."""

import hashlib
import os
from pathlib import Path

import pytest

from danmatte.errors import StorageError
from danmatte.library.storage import LocalStorage, Storage, open_storage
from tests.service.tracks.videos import walking, write


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "root"))


def test_files_are_listed_by_name_with_size_and_without_hidden_ones(storage: Storage) -> None:
    for name in ("b.mp4", "deep/er/a.mp4", "deep/.hidden/c.mp4", ".private/x"):
        storage.create(name, name.encode())
    assert [(file.name, file.size_bytes) for file in storage.list_files()] == [("b.mp4", 5), ("deep/er/a.mp4", 13)]
    assert [file.name for file in storage.list_files(".private")] == [".private/x"]
    assert list(storage.list_files("nowhere")) == []


def test_another_content_is_another_revision(storage: Storage) -> None:
    storage.create("a", b"one")
    (first,) = storage.list_files()
    assert list(storage.list_files()) == [first]
    storage.put("a", b"two")
    (second,) = storage.list_files()
    assert second.revision != first.revision


def test_a_file_is_created_once(storage: Storage) -> None:
    storage.create("deep/a", b"first")
    with pytest.raises(FileExistsError):
        storage.create("deep/a", b"second")
    assert storage.read("deep/a") == b"first"
    assert [file.name for file in storage.list_files()] == ["deep/a"]


def test_a_file_can_be_put_in_place_of_another_and_removed(storage: Storage) -> None:
    storage.put("a", b"first")
    storage.put("a", b"second")
    assert storage.read("a") == b"second"
    assert storage.compute_digest("a") == hashlib.sha256(b"second").hexdigest()
    assert storage.has("a")
    storage.remove("a")
    storage.remove("a")
    assert not storage.has("a")


def test_what_cannot_be_read_is_said_with_its_place(storage: Storage) -> None:
    with pytest.raises(StorageError, match="nothing"):
        storage.read("nothing")
    with pytest.raises(StorageError, match="nothing"):
        storage.compute_digest("nothing")


def test_a_video_is_decoded_from_where_it_is(storage: Storage, tmp_path: Path) -> None:
    storage.create("walk.mp4", write(tmp_path / "walk.mp4", walking(5)).read_bytes())
    with storage.open_video("walk.mp4", "media") as video:
        assert [frame.pts_ms for frame in video.read_frames()] == [0, 40, 80, 120, 160]


def test_a_folder_without_room_leaves_nothing_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    storage = LocalStorage(tmp_path)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="No space left"):
        storage.create("a", b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="expected a folder"):
        list(LocalStorage(tmp_path / "file").list_files())
