"""`.mattes`, checked with a reader that was written from FORMAT.md alone."""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks import Entry, Film, Format, TrackHeader, TrackReader, TrackWriter

SIZE = Size(24, 33)
FILM = Film("0f" * 32, "media", 768, 432, (64, 45), 10_000, 19_000, 9_920, 9_900)


class Reader:
    """A reader of an inflated segment by the tables in FORMAT.md."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        byte = self.byte()
        return byte if byte < 128 else byte % 128 + 128 * self.varint()

    def signed(self) -> int:
        value = self.varint()
        return value // 2 if value % 2 == 0 else -(value + 1) // 2

    def turns(self) -> Iterator[int]:
        while True:
            byte = self.byte()
            assert byte < 243
            for _ in range(5):
                yield byte % 3
                byte //= 3


def read_records(data: bytes, pts: int, size: Size) -> Iterator[tuple[int, int, int, np.ndarray]]:
    reader, mask, before = Reader(data), None, []
    while reader.at < len(data):
        pts += reader.varint()
        flags, coverage = reader.byte(), reader.byte()
        if not flags & 8:
            corners = []
            for number in range(reader.varint()):
                x, y = before[number] if number < len(before) else (0, 0)
                corners.append((x + reader.signed(), y + reader.signed()))
            mask, before = draw_mask(corners, reader.turns(), size), corners
        yield pts, flags, coverage, mask


def draw_mask(corners: list[tuple[int, int]], turns: Iterator[int], size: Size) -> np.ndarray:
    """Return the mask, drawn as by the script in FORMAT.md."""
    flips = np.zeros((size.height, size.width + 1), int)
    for x0, y0 in corners:
        x, y, dx, dy, side = x0, y0, 1, 0, -1
        while True:
            if dy:
                flips[y if dy > 0 else y - 1, x] += 1
            x, y = x + dx, y + dy
            if (x, y) == (x0, y0):
                break
            turn = next(turns)
            if turn:
                side = -side if turn == 1 else side
                dx, dy = (-dy, dx) if side > 0 else (dy, -dx)
    return np.cumsum(flips, axis=1)[:, :-1] % 2 == 1


@pytest.mark.parametrize("polarity", ["person", "background"])
def test_the_file_follows_its_published_format(polarity: str, tmp_path: Path) -> None:
    entries = list(make_entries())
    with TrackWriter(tmp_path / "a.mattes", TrackHeader(SIZE, polarity, "né", 7)) as track:
        for entry in entries:
            track.add(entry)
    data = (tmp_path / "a.mattes").read_bytes()
    magic, version, painted, name, width, height, model, count = struct.unpack(">4sBBHHHII", data[:20])
    assert (magic, version, painted) == (b"MATT", 1, polarity == "background")
    assert (width, height, model, data[20 : 20 + name].decode()) == (33, 24, 7, "né")
    found, end = [], 20 + name + 20 * count
    for number in range(count):
        start, offset, length = struct.unpack_from(">QQI", data, 20 + name + 20 * number)
        assert offset == end
        end += length
        found += read_records(zlib.decompress(data[offset:end]), start, SIZE)
    assert end == len(data)
    assert [pts for pts, *_ in found] == [entry.pts_ms for entry in entries]
    for (_, flags, coverage, bits), entry in zip(found, entries, strict=True):
        assert np.array_equal(bits, entry.mask if polarity == "person" else ~entry.mask)
        assert flags & 7 == entry.keyframe + 2 * entry.cut + 4 * entry.held
        assert abs(coverage / 255 - entry.coverage) <= 0.5 / 255


def make_entries() -> Iterator[Entry]:
    """Yield entries with blobs, holes, noise, empty and full masks, some of them held."""
    random = np.random.default_rng(1)
    ys, xs = np.mgrid[:24, :33]
    for number in range(40):
        blob = (xs - number) ** 2 + (ys - 12) ** 2 < 81
        ring = blob & ((xs - number) ** 2 + (ys - 12) ** 2 > 20)
        mask = [blob, ring, random.random(SIZE) < 0.5, ~blob, blob & False, blob | True][number // 2 % 6]
        yield Entry(900 * number, mask, number % 2 == 0, number % 12 == 0, number % 2 == 1, float(mask.mean()))


def test_all_fields_of_an_entry_are_stored(tmp_path: Path) -> None:
    entries = list(make_entries())
    with TrackWriter(tmp_path / "a.mattes", TrackHeader(SIZE, "person", "toy", 7)) as track:
        for entry in entries:
            track.add(entry)
    with TrackReader(tmp_path / "a.mattes") as track:
        assert track.header == TrackHeader(SIZE, "person", "toy", 7)
        for entry, other in zip(entries, track, strict=True):
            assert (entry.pts_ms, entry.keyframe, entry.cut, entry.held) == (
                *(other.pts_ms, other.keyframe, other.cut, other.held),
            )
            assert np.array_equal(entry.mask, other.mask)
            assert abs(entry.coverage - other.coverage) <= 0.5 / 255


def test_a_coverage_of_one_pixel_is_not_rounded_to_0(tmp_path: Path) -> None:
    with TrackWriter(tmp_path / "a.mattes", TrackHeader(Size(180, 320), "person")) as track:
        for number, coverage in enumerate([0.0, 1 / 57_600]):
            track.add(Entry(number, np.zeros((180, 320), np.bool_), coverage=coverage))
    with TrackReader(tmp_path / "a.mattes") as track:
        assert [entry.coverage > 0 for entry in track] == [False, True]


def test_a_held_mask_takes_three_bytes_before_compression() -> None:
    recorder = Format.registered[".mattes"].make_recorder(TrackHeader(Size(180, 320), "person"))
    mask = np.random.default_rng(0).random((180, 320)) < 0.5
    assert len(recorder.record(Entry(0, mask), 33)) > 1000
    assert len(recorder.record(Entry(33, mask, held=True), 66)) == 3


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes([0, 8, 0]), "a mask to repeat"),
        (bytes([0, 16, 0, 0]), "known flags"),
        (bytes([0, 0]), "another byte"),
        (bytes([0, 0, 0, 1, 2, 2]), "turns: truncated"),
        (bytes([0, 0, 0, 1, 2, 2, 243]), "below 243"),
        (bytes([0, 0, 0, 1, 1, 2, 0]), "within 33x24"),
        (bytes([0, 0, 0, 1, 66, 2, 0]), "within 33x24"),
        (bytes([0, 0, 0, 1, 2, 2, *[0] * 9]), "within 33x24"),
        (bytes([128] * 6), "at most 5 bytes"),
        (bytes([0, 0, 0, 255, 255, 255, 255, 127]), "outlines: expected at most 792"),
        (bytes([0, 0, 0, 1, 0, 0, 237, *[242] * 1000]), "cross its rows too often"),
    ],
)
def test_invalid_segments_are_rejected(data: bytes, expected: str, tmp_path: Path) -> None:
    packed = zlib.compress(data)
    (tmp_path / "a.mattes").write_bytes(
        Format.registered[".mattes"].format_head(TrackHeader(SIZE, "person"), [(0, len(packed))]) + packed
    )
    with pytest.raises(TrackError, match=expected), TrackReader(tmp_path / "a.mattes") as track:
        list(track)


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (4, 3, "version 1 or 2"),
        (5, 2, "polarity"),
        (8, 0xFF, "size"),
        (20, 0xFF, "UTF-8"),
        (16, 0x80, "65536 segments"),
    ],
)
def test_invalid_heads_are_rejected(place: int, value: int, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mattes"
    with TrackWriter(path, TrackHeader(Size(255, 2**14 - 1), "person", "toy", 7)) as track:
        track.add(Entry(0, np.zeros((255, 2**14 - 1), np.bool_)))
    data = bytearray(path.read_bytes())
    data[place] = value
    path.write_bytes(data)
    with pytest.raises(TrackError, match=expected):
        TrackReader(path)


def write_with_film(path: Path, film: Film | None = FILM) -> Path:
    with TrackWriter(path, TrackHeader(SIZE, "person", "né", 7)) as track:
        for entry in make_entries():
            track.add(entry)
        if film:
            track.describe_film(film)
    return path


def test_the_facts_of_the_film_follow_the_published_format(tmp_path: Path) -> None:
    data = write_with_film(tmp_path / "a.mattes").read_bytes()
    version, name, count, facts = data[4], *struct.unpack(">H", data[6:8]), *struct.unpack(">IH", data[16:22])
    assert (version, data[22 : 22 + name].decode()) == (2, "né")
    assert json.loads(data[22 + name : 22 + name + facts]) == {
        "sha256": "0f" * 32,
        "clock": "media",
        "width": 768,
        "height": 432,
        "pixel_ratio": [64, 45],
        "first_ms": 10_000,
        "end_ms": 19_000,
        "coded_ms": 9_920,
        "origin_ms": 9_900,
    }
    index = 22 + name + facts
    start, offset, length = struct.unpack_from(">QQI", data, index)
    assert offset == index + 20 * count
    assert next(read_records(zlib.decompress(data[offset : offset + length]), start, SIZE))[0] == 0


def test_a_track_with_a_film_has_the_same_masks_as_one_without(tmp_path: Path) -> None:
    with (
        TrackReader(write_with_film(tmp_path / "new.mattes")) as new,
        TrackReader(write_with_film(tmp_path / "old.mattes", None)) as old,
    ):
        assert (new.header.film, old.header.film) == (FILM, None)
        assert old.path.read_bytes()[4] == 1
        for one, other in zip(new, old, strict=True):
            assert one.pts_ms == other.pts_ms
            assert np.array_equal(one.mask, other.mask)


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (lambda data: data[:21], "truncated"),
        (lambda data: data[:60], "truncated"),
        (lambda data: data.replace(b"media", b"lunar"), "film: expected its facts"),
        (lambda data: data.replace(b'"width":768', b'"width":  0'), "film: expected its facts"),
        (lambda data: data.replace(b'{"sha256"', b'["sha256"'), "film: expected its facts"),
        (lambda data: data.replace(b'"0f0f', b'"\xff\xff\xff\xff'), "film: expected its facts"),
        (lambda data: data[:20] + b"\0\0" + data[22:], "film: expected its facts"),
        (lambda data: data[:20] + b"\xff\xff" + data[22:], "truncated|film"),
    ],
)
def test_invalid_facts_of_the_film_are_rejected(tmp_path: Path, cut: Callable[[bytes], bytes], expected: str) -> None:
    path = write_with_film(tmp_path / "a.mattes")
    path.write_bytes(cut(path.read_bytes()))
    with pytest.raises(TrackError, match=expected):
        TrackReader(path)


def test_unknown_facts_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    path = write_with_film(tmp_path / "a.mattes", Film("0f" * 32, "media", 768, 432, (1, 1), 0, 19_000, 0, 1_234_567))
    path.write_bytes(path.read_bytes().replace(b'"origin_ms":1234567', b'"origin_ms":1,"y":2'))
    with TrackReader(path) as track:
        assert track.header.film == Film("0f" * 32, "media", 768, 432, (1, 1), 0, 19_000, 0, 1)
