"""`.webmask`, checked with a reader that was written from the published table alone."""

import base64
import gzip
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks import Entry, TrackHeader, TrackReader, TrackWriter
from danmatte.tracks.svg_fill import fill_paths
from tests.service import onebit

SCHEME = b"data:image/svg+xml;base64,"


def read_segments(data: bytes) -> list[tuple[int, list[tuple[int, bytes]]]]:
    """Return the start and the records (pts and SVG) of every segment."""
    assert data[:4] == b"\x4d\x41\x53\x4b"
    assert struct.unpack(">i", data[4:8]) == (1,)
    assert data[8:12] == b"\x02\0\0\0"
    (count,) = struct.unpack(">i", data[12:16])
    places = [struct.unpack(">qq", data[16 + 16 * i : 32 + 16 * i]) for i in range(count)]
    ends = [offset for _, offset in places[1:]] + [len(data)]
    return [
        (start, list(read_records(gzip.decompress(data[offset:end]))))
        for (start, offset), end in zip(places, ends, strict=True)
    ]


def read_records(inflated: bytes):
    while inflated:
        length, pts = struct.unpack(">iq", inflated[:12])
        assert inflated[12:].startswith(SCHEME)
        yield pts, base64.b64decode(inflated[12 + len(SCHEME) : 12 + length])
        inflated = inflated[12 + length :]


def make_file(segments: list[tuple[int, bytes]]) -> bytes:
    """Return a file written by the same table."""
    packed = [(start, gzip.compress(content)) for start, content in segments]
    offset, index = 16 + 16 * len(packed), b""
    for start, content in packed:
        index += struct.pack(">qq", start, offset)
        offset += len(content)
    head = b"MASK" + struct.pack(">i", 1) + b"\x02\0\0\0" + struct.pack(">i", len(packed))
    return head + index + b"".join(content for _, content in packed)


def record(pts: int, svg: str) -> bytes:
    text = SCHEME + base64.b64encode(svg.encode())
    return struct.pack(">iq", len(text), pts) + text


def svg(*paths: str, size: str = 'width="8.000000px" height="4.000000px"') -> str:
    """Return an SVG in the form that the players' own tool writes."""
    drawn = "".join(f'<path d="{path}"/>\n' for path in paths)
    return (
        f'<?xml version="1.0" standalone="no"?>\n<svg version="1.0" xmlns="http://www.w3.org/2000/svg" {size} '
        f'viewBox="0 0 8.000000 4.000000" preserveAspectRatio="xMidYMid meet">\n'
        f'<g transform="translate(0.000000,4.000000) scale(0.100000,-0.100000)"\nfill="#000000" stroke="none">\n'
        f"{drawn}</g>\n</svg>\n"
    )


def test_the_file_follows_its_published_format(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    masks = [random.random((9, 14)) < share for share in np.linspace(0, 1, 30)]
    with TrackWriter(tmp_path / "a.webmask", TrackHeader(Size(9, 14), "background")) as track:
        for number, mask in enumerate(masks):
            track.add(Entry(33 + 1001 * number, mask))
    segments = read_segments((tmp_path / "a.webmask").read_bytes())
    assert [start for start, _ in segments] == [content[0][0] for _, content in segments] == [33, 10043, 20053]
    found = [record for _, content in segments for record in content]
    assert [pts for pts, _ in found] == [33 + 1001 * number for number in range(30)]
    for (_, picture), mask in zip(found, masks, strict=True):
        assert np.array_equal(onebit.from_svg(picture) == 0, mask), "the person is the hole"


def test_pictures_in_the_form_that_potrace_writes_are_read(tmp_path: Path) -> None:
    """They contain curves, implicit repetition, several paths and holes."""
    person = svg(
        "M0 20 l0 -20 40 0 40 0 0 20 0 20 -40 0 -40 0 0 -20z "
        "m30 0 l0 10 20 0 0 -10 c0 -10 0 -10 -10 -10 -10 0 -10 0 -10 10z"
    )
    empty = svg("M0 40l80 0 0 -40 -80 0z")
    two = svg("M0 40 l20 0 0 -40 -20 0z", "M60 40 80 40 80 0 60 0z")
    (tmp_path / "a.webmask").write_bytes(
        make_file([(7, record(7, person) + record(40, empty)), (10_050, record(10_050, two))])
    )
    with TrackReader(tmp_path / "a.webmask") as track:
        first, second, third = track
        assert track.header == TrackHeader(Size(4, 8), "background")
    assert (first.pts_ms, second.pts_ms, third.pts_ms) == (7, 40, 10_050)
    assert first.mask.astype(int).tolist() == [[0] * 8, [0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0, 0], [0] * 8]
    assert not second.mask.any()
    assert third.mask[0].astype(int).tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    assert third.coverage == 0.5


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("", "expected width and height"),
        (svg("M0 0l10 0 0 10z", size='width="8" height="70000"'), "size"),
        (svg("M0 0l10 0 0 10z", size='width="8" height="0"'), "size"),
        (svg("M0 0l10 0 0 10z").replace("scale(0.100000,-0.100000)", "scale(1,1)"), "tenths"),
        (svg("M0 0l10 0 0 10z").replace("(0.000000,4.000000)", "(0.000000,5.000000)"), "tenths"),
        (svg(), "expected paths"),
        (svg("M0 0 a1 1 0 0 0 3 3z"), "received 'a1 1"),
        (svg("M0 0l10"), "expected a multiple of 2 numbers"),
        (svg("M0 0z5"), "expected a multiple of 0 numbers"),
        (svg("M0 0l1 1-"), "expected numbers"),
        (svg("M0 0l99999999999 1z"), "expected numbers within"),
        (svg("M0 0l" + "0 40 0 -40 " * 100 + "z"), "too often"),
        (svg("M0 0l10 0z").replace("<g ", "<g" + " " * 10_000), "tenths"),
    ],
)
def test_pictures_that_are_not_masks_are_rejected(picture: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.webmask").write_bytes(make_file([(0, record(0, picture))]))
    with pytest.raises(TrackError, match=expected), TrackReader(tmp_path / "a.webmask") as track:
        list(track)


@pytest.mark.parametrize("text", [b"data:image/png;base64,AAAA", SCHEME + b"*", SCHEME + base64.b64encode(b"\xff\xfe")])
def test_records_of_a_different_kind_are_rejected(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.webmask").write_bytes(make_file([(0, struct.pack(">iq", len(text), 0) + text)]))
    with pytest.raises(TrackError, match="mask at 0 ms"):
        TrackReader(tmp_path / "a.webmask")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["<svg ", "<path ", 'd="', "M0 0", "l1 1", "-", "1", "<g "])
def test_a_long_picture_of_repeated_text_is_read_without_a_timeout(piece: str, tmp_path: Path) -> None:
    picture = svg("M0 0z").replace("M0 0z", piece * (700_000 // len(piece)))
    (tmp_path / "a.webmask").write_bytes(make_file([(0, record(0, picture))]))
    with suppress(TrackError), TrackReader(tmp_path / "a.webmask") as track:
        list(track)


def test_pictures_of_different_sizes_in_one_file_are_rejected(tmp_path: Path) -> None:
    wide = svg("M0 0z", size='width="9.000000px" height="4.000000px"')
    (tmp_path / "a.webmask").write_bytes(make_file([(0, record(0, svg("M0 0z")) + record(1, wide))]))
    with pytest.raises(TrackError, match="expected 8x4, received 9x4"), TrackReader(tmp_path / "a.webmask") as track:
        list(track)


def test_overlapping_outlines_fill_by_the_nonzero_rule() -> None:
    once, twice = "M0 0l40 0 0 40 -40 0z", "M0 0l40 0 0 40 -40 0z m10 10l20 0 0 20 -20 0z"
    assert np.array_equal(fill_paths([once], Size(4, 4)), fill_paths([twice], Size(4, 4)))
