"""Comparison of masks by frame: figures, pictures, and refused files."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from danmatte_workbench.errors import InputError
from danmatte_workbench.report import masks
from danmatte_workbench.report.masks import DIM, GAINED, LONG_SIDE, LOST, MaskComparison, compare_mask
from danmatte_workbench.report.records import MaskFiles, MaskRecord

FILES = MaskFiles("frame.png", "source.png", "winner.png")
GREY = 100
NEAR = 14  # maximum difference of a colour by JPEG


@dataclass(frozen=True)
class Pictures:
    """A frame of one grey, and both masks as booleans."""

    folder: Path
    height: int
    width: int

    def write(self, source: np.ndarray, winner: np.ndarray) -> MaskRecord:
        """Write all three files; masks keep their size."""
        frame = np.full((self.height, self.width, 3), GREY, np.uint8)
        Image.fromarray(frame).save(self.folder / FILES.frame)
        for name, mask in ((FILES.source, source), (FILES.winner, winner)):
            Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(self.folder / name)
        return MaskRecord("a frame", (self.height, self.width), FILES)

    def compare(self, source: np.ndarray, winner: np.ndarray) -> MaskComparison:
        return compare_mask(self.folder, self.write(source, winner))


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path, 40, 60)


def mark(pictures: Pictures, rows: slice, columns: slice) -> np.ndarray:
    """Return a mask that is true in a box."""
    mask = np.zeros((pictures.height, pictures.width), bool)
    mask[rows, columns] = True
    return mask


def decode(uri: str) -> np.ndarray:
    """Return the pixels, (H, W, 3), of a data URI."""
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data)), formats=("JPEG",)))


# Figures


def test_lost_and_gained_pixels_are_shares_of_the_frame(pictures: Pictures) -> None:
    source, winner = mark(pictures, np.s_[0:20], np.s_[0:30]), mark(pictures, np.s_[10:20], np.s_[0:60])
    found = pictures.compare(source, winner)
    assert (found.lost, found.gained) == (10 * 30 / 2400, 10 * 30 / 2400)
    assert found.iou == pytest.approx(10 * 30 / (600 + 600 - 300))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**16), st.floats(0, 1), st.floats(0, 1))
def test_lost_gained_and_iou_are_computed_from_the_masks(
    pictures: Pictures, seed: int, first: float, second: float
) -> None:
    dice = np.random.default_rng(seed)
    source = dice.random((pictures.height, pictures.width)) < first
    winner = dice.random((pictures.height, pictures.width)) < second
    found = pictures.compare(source, winner)
    assert found.lost == pytest.approx((source & ~winner).mean())
    assert found.gained == pytest.approx((winner & ~source).mean())
    either = (source | winner).sum()
    assert found.iou == pytest.approx((source & winner).sum() / either if either else 1.0)


def test_two_empty_masks_agree(pictures: Pictures) -> None:
    empty = mark(pictures, np.s_[0:0], np.s_[0:0])
    found = pictures.compare(empty, empty)
    assert (found.iou, found.lost, found.gained) == (1, 0, 0)


def test_an_iou_measured_by_the_run_takes_precedence_over_the_pages(pictures: Pictures) -> None:
    record = pictures.write(mark(pictures, np.s_[0:9], np.s_[0:9]), mark(pictures, np.s_[0:0], np.s_[0:0]))
    assert compare_mask(pictures.folder, record).iou == 0
    measured = MaskRecord(record.frame, record.size, record.files, iou=0.25)
    assert compare_mask(pictures.folder, measured).iou == 0.25


def test_pixels_of_at_least_128_count_as_a_person(pictures: Pictures) -> None:
    full = np.ones((pictures.height, pictures.width), bool)
    record = pictures.write(full, full)
    grey = np.full((pictures.height, pictures.width), 128, np.uint8)
    grey[:, :20] = 127
    Image.fromarray(grey).save(pictures.folder / FILES.winner)
    assert compare_mask(pictures.folder, record).lost == pytest.approx(20 / 60)


# Pictures


def test_each_picture_shows_its_mask_and_dims_the_rest(pictures: Pictures) -> None:
    source, winner = mark(pictures, np.s_[:], np.s_[0:30]), mark(pictures, np.s_[:], np.s_[30:60])
    found = pictures.compare(source, winner)
    left, right = np.s_[5:35, 5:25], np.s_[5:35, 35:55]
    for uri, bright, dark in ((found.source, left, right), (found.winner, right, left)):
        pixels = decode(uri).astype(int)
        assert abs(pixels[bright] - GREY).max() <= NEAR
        assert abs(pixels[dark] - GREY * DIM).max() <= NEAR
    assert abs(decode(found.frame).astype(int) - GREY).max() <= NEAR


def test_the_difference_has_a_colour_for_each_direction(pictures: Pictures) -> None:
    source, winner = mark(pictures, np.s_[:], np.s_[0:40]), mark(pictures, np.s_[:], np.s_[20:60])
    found = decode(pictures.compare(source, winner).difference).astype(int)
    for columns, colour in (
        (np.s_[4:14], LOST),
        (np.s_[26:34], (int(GREY * DIM) + 110,) * 3),
        (np.s_[46:56], GAINED),
    ):
        assert abs(found[10:30, columns] - np.array(colour)).max() <= NEAR


def test_the_difference_of_two_empty_masks_is_dark(pictures: Pictures) -> None:
    empty = mark(pictures, np.s_[0:0], np.s_[0:0])
    assert abs(decode(pictures.compare(empty, empty).difference).astype(int) - GREY * DIM).max() <= NEAR


def test_a_thin_difference_is_drawn_a_pixel_wider_on_each_side(pictures: Pictures) -> None:
    line = mark(pictures, np.s_[:], np.s_[30:31])
    found = pictures.compare(line, np.zeros_like(line))
    assert found.lost == pytest.approx(1 / 60)
    orange = decode(found.difference)[20, :, 0] > 150
    assert list(np.flatnonzero(orange)) == [29, 30, 31]


# Sizes


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((40, 60), (40, 60)),
        ((LONG_SIDE, 20), (LONG_SIDE, 20)),
        ((900, 1200), (600, 800)),
        ((1600, 10), (800, 5)),
        ((1, 4000), (1, 800)),
        ((500, 300), (500, 300)),
    ],
)
def test_a_frame_is_shown_at_its_size_or_reduced_to_the_maximum(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    full = np.ones(size, bool)
    found = Pictures(tmp_path, *size).compare(full, full)
    assert (found.size, found.shown) == (size, shown)
    for uri in (found.frame, found.source, found.winner, found.difference):
        assert decode(uri).shape == (*shown, 3)


@pytest.mark.parametrize("size", [(20, 30), (80, 120), (513, 513), (40, 60), (1, 1)])
def test_a_mask_of_any_size_is_resized_to_its_frame(pictures: Pictures, size: tuple[int, int]) -> None:
    half = np.zeros(size, bool)
    half[:, : max(1, size[1] // 2)] = True
    found = pictures.compare(half, mark(pictures, np.s_[:], np.s_[0:30]))
    expected = 1.0 if size == (1, 1) else 0.5
    assert found.lost == pytest.approx(expected - 0.5, abs=0.02)
    assert found.gained == pytest.approx(0, abs=0.02)


# Untrusted files


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA", "CMYK"])
def test_frames_of_every_colour_mode_are_shown(pictures: Pictures, mode: str) -> None:
    full = np.ones((pictures.height, pictures.width), bool)
    record = pictures.write(full, full)
    name = "frame.jpg" if mode == "CMYK" else FILES.frame
    Image.new("RGB", (60, 40), (200, 200, 200)).convert(mode).save(pictures.folder / name)
    record = MaskRecord(record.frame, record.size, MaskFiles(name, FILES.source, FILES.winner))
    pixels = decode(compare_mask(pictures.folder, record).frame)
    assert pixels.shape == (40, 60, 3)
    assert pixels.mean() > 150


def test_metadata_of_a_picture_is_not_copied_to_the_page(pictures: Pictures) -> None:
    full = np.ones((pictures.height, pictures.width), bool)
    record = pictures.write(full, full)
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    Image.new("RGB", (60, 40)).save(pictures.folder / "frame.jpg", exif=exif, comment=b"a secret place")
    assert b"a secret place" in (pictures.folder / "frame.jpg").read_bytes()
    found = compare_mask(
        pictures.folder, MaskRecord(record.frame, record.size, MaskFiles("frame.jpg", FILES.source, FILES.winner))
    )
    for uri in (found.frame, found.source, found.winner, found.difference):
        assert b"secret" not in base64.b64decode(uri.partition(",")[2])


@pytest.mark.parametrize("part", ["frame", "source", "winner"])
def test_a_picture_of_more_pixels_than_allowed_is_refused(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    full = np.ones((pictures.height, pictures.width), bool)
    record = pictures.write(full, full)
    Image.new("L", (61, 40)).save(pictures.folder / getattr(FILES, part))
    monkeypatch.setattr(masks, "MAX_PIXELS", 40 * 61)
    compare_mask(pictures.folder, record)
    monkeypatch.setattr(masks, "MAX_PIXELS", 40 * 61 - 1)
    with pytest.raises(InputError, match=rf"{part}\.png: expected at most 2439 pixels, found 61×40"):
        compare_mask(pictures.folder, record)


@pytest.mark.parametrize("part", ["frame", "source", "winner"])
@pytest.mark.parametrize("kind", ["GIF", "BMP", "cut", "empty"])
def test_a_file_that_is_no_complete_jpeg_or_png_is_refused_by_name(pictures: Pictures, part: str, kind: str) -> None:
    full = np.ones((pictures.height, pictures.width), bool)
    record = pictures.write(full, full)
    path = pictures.folder / getattr(FILES, part)
    if kind in ("GIF", "BMP"):
        Image.new("L", (60, 40)).save(path, kind)
    else:
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 60), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[: 0 if kind == "empty" else 600])
    with pytest.raises(InputError, match=rf"{part}\.png: isn't a picture"):
        compare_mask(pictures.folder, record)
