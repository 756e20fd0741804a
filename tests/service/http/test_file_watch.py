"""Files that change while a server runs."""

import asyncio
import logging
from pathlib import Path

import pytest

from danmatte.http.file_watch import FileWatch, read_stamp


def put(file: Path, text: str) -> None:
    """Write a file, as another program would."""
    file.write_text(text)


class Reader:
    """Reads a file and records its content; can be made to fail."""

    def __init__(self, file: Path) -> None:
        self._file, self.seen, self.fails = file, list[str](), False
        self.read = asyncio.Event()

    async def renew(self) -> None:
        self.read.set()
        if self.fails:
            raise OSError("it can't be read")
        self.seen.append(self._file.read_text())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text("one")
    return path


async def test_a_changed_file_is_read_once_it_no_longer_changes(file: Path) -> None:
    watch, reader = FileWatch(), Reader(file)
    watch.add([file], reader.renew)
    await watch.look()
    put(file, "half of tw")
    await watch.look()  # another program may still be writing the file
    put(file, "another one")
    await watch.look()
    assert reader.seen == []
    for _ in range(3):
        await watch.look()
    assert reader.seen == ["another one"]


async def test_files_watched_together_are_read_once_all_are_unchanging(file: Path, tmp_path: Path) -> None:
    watch, reader, other = FileWatch(), Reader(file), tmp_path / "other.pem"
    put(other, "a")
    watch.add([file, other], reader.renew)
    put(other, "bb")
    await watch.look()
    put(file, "three")
    for _ in range(3):
        await watch.look()
    assert reader.seen == ["three"]


async def test_replacing_a_link_counts_as_a_change(file: Path, tmp_path: Path) -> None:
    """Replace a link, as Kubernetes does for a Secret, and certbot for a certificate."""
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(file)
    put(other, "two")
    watch, reader = FileWatch(), Reader(link)
    watch.add([link], reader.renew)
    link.unlink()
    link.symlink_to(other)
    for _ in range(2):
        await watch.look()
    assert reader.seen == ["two"]


async def test_a_file_that_cannot_be_read_is_retried_at_its_next_change(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch, reader = FileWatch(), Reader(file)
    watch.add([file], reader.renew)
    reader.fails = True
    put(file, "two!")
    with caplog.at_level(logging.ERROR):
        for _ in range(4):
            await watch.look()
    assert len(caplog.records) == 1
    reader.fails = False
    put(file, "three")
    for _ in range(2):
        await watch.look()
    assert reader.seen == ["three"]


async def test_a_watch_checks_periodically_until_it_ends(file: Path) -> None:
    watch, reader = FileWatch(), Reader(file)
    watch.add([file], reader.renew)
    async with asyncio.timeout(10), watch.run(0.001):
        put(file, "three")
        await reader.read.wait()
    async with watch.run(0):
        assert len(asyncio.all_tasks()) == 1


async def test_renew_soon_rereads_all_files(file: Path) -> None:
    watch, reader = FileWatch(), Reader(file)
    watch.add([file], reader.renew)
    async with asyncio.timeout(10), watch.run(0):
        watch.renew_soon()
        await reader.read.wait()
    assert reader.seen == ["one"]


def test_a_missing_file_has_a_stamp(tmp_path: Path) -> None:
    assert read_stamp([tmp_path / "nothing"]) == ((0, 0, 0),)
