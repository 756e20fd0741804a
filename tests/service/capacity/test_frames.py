"""The service decodes the frames that a measurement posts."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte.capacity.capacity import FrameKind
from danmatte.capacity.frames import make_bodies
from danmatte.codecs import find_decoder
from danmatte.errors import InvalidParameterError
from danmatte.frame import Size


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "nv12", "rgb24"])
def test_bodies_of_every_format_decode_to_the_bundled_picture(name: str) -> None:
    kind = FrameKind(name, 640, 360)
    (body,) = make_bodies(kind, None)
    raw = name in ("nv12", "rgb24")
    decoder = find_decoder(f"application/x-{name}" if raw else "", body)
    header = decoder.read_header(body, Size(360, 640) if raw else None)
    assert header.size == Size(360, 640)
    pixels = decoder.decode(body, header, "RGB", Size(360, 640))
    reference = cv2.imdecode(
        np.frombuffer(make_bodies(FrameKind("png", 640, 360), None)[0], np.uint8), cv2.IMREAD_COLOR
    )
    difference = np.abs(pixels[..., ::-1].astype(int) - reference).mean()
    assert difference < 6, f"{difference:.1f} levels apart"


def test_a_folder_gives_a_body_for_each_picture_and_ignores_other_files(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((40, 60, 3), 80 * number, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.webp").mkdir()
    assert len(make_bodies(FrameKind("jpeg", 32, 16), tmp_path)) == 3


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="found none"):
        make_bodies(FrameKind("jpeg", 32, 16), tmp_path)
