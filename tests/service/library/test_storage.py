"""All kinds of storages behave the same."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFile

from danmatte.errors import InvalidParameterError, MissingExtraError, StorageError, TrackError
from danmatte.library import remote
from danmatte.library.local import LocalStorage
from danmatte.library.place import open_storage
from danmatte.library.storage import Storage, name_beside
from tests.service.tracks.videos import walking, write


@pytest.fixture(params=["folder", "memory", "S3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Return an empty storage of each kind."""
    if request.param == "folder":
        return open_storage(str(tmp_path / "root"))
    if request.param == "memory":
        return open_storage(f"memory://{tmp_path.name}/root")
    return open_storage(f"{request.getfixturevalue('bucket')}/root")


def test_a_sibling_folder_with_the_same_prefix_is_not_listed(storage: Storage) -> None:
    open_storage(f"{storage.place}-2").create("a", b"")
    assert list(storage.list_files()) == []


def test_files_are_listed_by_name_with_size_and_without_hidden_ones(storage: Storage) -> None:
    for name in ("b.mp4", "deep/er/a.mp4", "deep/.hidden/c.mp4", ".private/x"):
        storage.create(name, name.encode())
    assert [(file.name, file.size_bytes) for file in storage.list_files()] == [("b.mp4", 5), ("deep/er/a.mp4", 13)]
    assert [file.name for file in storage.list_files(".private")] == [".private/x"]
    assert list(storage.list_files("nowhere")) == []


def test_a_changed_file_has_a_different_revision(storage: Storage) -> None:
    storage.create("a", b"one")
    (first,) = storage.list_files()
    assert list(storage.list_files()) == [first]
    assert storage.describe("a") == first
    storage.put("a", b"two")
    (second,) = storage.list_files()
    assert second.revision != first.revision


def test_creating_a_file_that_exists_fails_and_keeps_its_content(storage: Storage) -> None:
    storage.create("deep/a", b"first")
    with pytest.raises(FileExistsError):
        storage.create("deep/a", b"second")
    assert storage.read("deep/a") == b"first"
    assert [file.name for file in storage.list_files()] == ["deep/a"]


def test_a_file_can_be_replaced_and_removed(storage: Storage) -> None:
    storage.put("a", b"first")
    storage.put("a", b"second")
    assert storage.read("a") == b"second"
    assert storage.compute_digest("a") == hashlib.sha256(b"second").hexdigest()
    assert storage.has("a")
    storage.remove("a")
    storage.remove("a")
    assert not storage.has("a")


def test_a_missing_file_is_reported_with_its_name(storage: Storage) -> None:
    with pytest.raises(StorageError, match="nothing"):
        storage.read("nothing")
    for look in (storage.compute_digest, storage.describe):
        with pytest.raises(StorageError, match="nothing"):
            look("nothing")


def test_a_video_is_decoded_directly_from_its_storage(storage: Storage, tmp_path: Path) -> None:
    storage.create("walk.mp4", write(tmp_path / "walk.mp4", walking(5)).read_bytes())
    with storage.open_video("walk.mp4", "media") as video:
        for _ in range(2):
            assert [frame.pts_ms for frame in video.read_frames()] == [0, 40, 80, 120, 160]
        assert [frame.pts_ms for frame in video.read_frames(100)] == [120, 160]
    digest = hashlib.sha256((tmp_path / "walk.mp4").read_bytes()).hexdigest()
    assert storage.compute_digest("walk.mp4") == digest


def test_a_file_that_is_not_a_video_is_reported(storage: Storage) -> None:
    storage.create("a.mp4", b"nothing")
    with pytest.raises(TrackError, match="expected a video"):
        storage.open_video("a.mp4", "media")


def test_a_large_video_is_read_by_ranges(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "walk.mp4", walking(200))
    monkeypatch.setattr(remote, "_WHOLE_BYTES", 1000)
    monkeypatch.setattr(remote, "_RANGE_BYTES", 5000)
    storage = open_storage(bucket)
    storage.create("walk.mp4", path.read_bytes())
    with storage.open_video("walk.mp4", "media") as video:
        assert [frame.pts_ms for frame in video.read_frames(7900)] == [7920, 7960]
        assert len(list(video.read_frames())) == 200
    assert storage.compute_digest("walk.mp4") == hashlib.sha256(path.read_bytes()).hexdigest()


def test_objects_beyond_the_first_page_are_listed(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PAGE", 2)
    storage = open_storage(f"{bucket}/pages")
    for name in "abcde":
        storage.create(name, b"")
    assert [file.name for file in storage.list_files()] == list("abcde")


def test_a_playlist_behind_a_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="read from folders"):
        open_storage(f"memory://{tmp_path.name}").open_video("list.m3u8", "media")


def test_a_url_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="expected a URL that fsspec supports"):
        open_storage("nosuchthing://place")


def test_a_storage_whose_package_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtraError, match=r"danmatte\[library\]"):
        open_storage("gs://bucket")
    monkeypatch.setitem(sys.modules, "danmatte.library.remote", None)
    with pytest.raises(MissingExtraError, match="needs fsspec"):
        open_storage("s3://bucket")


def test_a_missing_bucket_is_reported(bucket: str) -> None:
    with pytest.raises(StorageError, match="expected to read or write it"):
        list(open_storage("s3://no-such-bucket-here").list_files())


def test_a_write_to_a_full_disk_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    storage = LocalStorage(tmp_path)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="No space left"):
        storage.create("a", b"data")
    assert list(tmp_path.iterdir()) == []


def test_the_lost_and_found_folder_is_skipped(tmp_path: Path) -> None:
    """The root of a volume has a folder that only root can read; it is skipped."""
    (tmp_path / "lost+found").mkdir()
    for name in ("a", "deep/b"):
        LocalStorage(tmp_path).create(name, b"")
    (tmp_path / "lost+found/c").write_bytes(b"")
    assert [file.name for file in LocalStorage(tmp_path).list_files()] == ["a", "deep/b"]


def test_symbolic_links_are_followed_except_in_cycles(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "root")
    storage.create("deep/a", b"")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b").write_bytes(b"")
    links = {"up": "..", "here": ".", "itself": "itself", "nowhere": "gone", "other": str(tmp_path / "elsewhere")}
    for name, target in links.items():
        (tmp_path / "root/deep" / name).symlink_to(target)
    assert [file.name for file in storage.list_files()] == ["deep/a", "deep/other/b"]


def test_files_removed_during_a_listing_are_left_out(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    for name in ("a", "b", "c/d", "e"):
        storage.create(name, b"")
    listed = []
    for file in storage.list_files():
        listed.append(file.name)
        if file.name == "a":
            storage.remove("b")
            shutil.rmtree(tmp_path / "c")
    assert listed == ["a", "e"]


PLAYLISTS = {
    "hls/main.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p/video.m3u8\n",
    "hls/720p/video.m3u8": '#EXTM3U\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:6,\nseg%20000.ts\n#EXTINF:6,\n../other/1.ts\n',
    "broken.m3u8": "\x00 no playlist",
}


def test_segments_of_a_playlist_are_not_listed_as_videos(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    for name, text in PLAYLISTS.items():
        storage.create(name, text.encode())
    for name in ("hls/720p/init.mp4", "hls/720p/seg 000.ts", "hls/720p/own.mp4", "hls/other/2.ts", "seg 000.ts"):
        storage.create(name, b"")
    found = [file.name for file in storage.list_videos()]
    assert found == ["broken.m3u8", "hls/720p/own.mp4", "hls/main.m3u8", "hls/other/2.ts", "seg 000.ts"]
    assert len(list(storage.list_files())) == 8


def test_pipes_and_folders_are_not_listed_as_videos(tmp_path: Path) -> None:
    for name in ("pipe.mp4", "pipe.m3u8"):  # opening one would block forever
        os.mkfifo(tmp_path / name)
    (tmp_path / "folder.mp4").mkdir()
    assert list(LocalStorage(tmp_path).list_videos()) == []


def test_a_source_that_is_not_a_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("nowhere", "file"):
        with pytest.raises(InvalidParameterError, match=f"{name}: expected a folder of videos"):
            open_storage(str(tmp_path / name)).check_source()
    open_storage(str(tmp_path)).check_source()
    open_storage(f"memory://{tmp_path.name}/nothing-yet").check_source()  # object stores have no folders


def test_a_storage_failure_while_decoding_is_not_taken_for_a_broken_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_WHOLE_BYTES", 1000)
    storage = open_storage(f"memory://{tmp_path.name}/root")
    storage.create("walk.mp4", write(tmp_path / "walk.mp4", walking(200)).read_bytes())
    with storage.open_video("walk.mp4", "media") as video:
        monkeypatch.setattr(MemoryFile, "read", refuse_to_read)
        with pytest.raises(StorageError, match=r"walk.mp4: expected to read or write it: RuntimeError: 503 slow down"):
            list(video.read_frames())


def refuse_to_read(*_: object) -> bytes:
    """Raise an error as a storage's library does; each has its own errors."""
    raise RuntimeError("503 slow down")


def test_computing_a_digest_reports_progress(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("danmatte.library.storage._CHUNK_BYTES", 10)
    storage.create("a", bytes(95))
    reports = list[int]()
    assert storage.compute_digest("a", lambda: reports.append(1)) == hashlib.sha256(bytes(95)).hexdigest()
    assert len(reports) == 10


@pytest.mark.parametrize("name", ["a.mp4", "x" * 300 + ".mp4", "弹幕" * 60 + ".mp4", "é" * 107 + "x.mp4"])
def test_a_track_name_is_shortened_to_what_file_systems_accept(name: str, tmp_path: Path) -> None:
    found = name_beside(f"deep/{name}", ".0123.mattes")
    folder, _, last = found.rpartition("/")
    assert folder == "deep"
    assert last.endswith(".0123.mattes")
    assert last[:70] == f"{name}.0123.mattes"[:70]
    LocalStorage(tmp_path).create(found, b"")
    assert [file.name for file in LocalStorage(tmp_path).list_files()] == [found]


def test_a_file_url_opens_a_local_folder(tmp_path: Path) -> None:
    assert isinstance(open_storage(f"file://{tmp_path}"), LocalStorage)


def test_a_file_in_place_of_a_tracks_folder_is_reported(tmp_path: Path) -> None:
    """Otherwise a video without a track would count as finished."""
    storage = LocalStorage(tmp_path)
    storage.create("cats", b"a file")
    with pytest.raises(StorageError, match="cats: expected a folder to write to, found a file"):
        storage.create("cats/a.mattes", b"a track")


def test_listing_a_file_instead_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="expected a folder"):
        list(LocalStorage(tmp_path / "file").list_files())
