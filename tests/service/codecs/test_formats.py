"""Which decoder reads a body, and what each format rejects."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from danmatte.codecs import Decoder, PictureHeader, RawDecoder, find_decoder, needs_size
from danmatte.errors import MediaTypeError, PictureError
from danmatte.frame import Pixels, Size
from tests.service import pictures
from tests.service.pictures import PNG, chunk

SMALL = pictures.rectangle(48, 64)
FILES = {kind: pictures.encoded(f".{kind}", SMALL) for kind in ("jpg", "png", "webp")}
TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


def decode(data: bytes, media_type: str = "", declared: Size | None = None, colour: str = "RGB") -> Pixels:
    decoder = find_decoder(media_type, data)
    header = decoder.read_header(data, declared)
    return decoder.decode(data, header, colour, header.size)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    "named", ["", "application/octet-stream", "application/x-www-form-urlencoded", "image/jpg", "image/png"]
)
def test_bytes_choose_the_decoder_whatever_picture_type_is_declared(kind: str, named: str) -> None:
    assert find_decoder(named, FILES[kind]).media_type == TYPES[kind]


@pytest.mark.parametrize("named", ["application/x-nv12", "application/x-rgb24"])
def test_a_declared_raw_type_selects_its_decoder_and_needs_a_size(named: str) -> None:
    assert find_decoder(named, FILES["jpg"]).media_type == named
    assert needs_size(named)


@pytest.mark.parametrize("named", ["", "image/jpeg", "video/mp4"])
def test_encoded_types_need_no_declared_size(named: str) -> None:
    assert not needs_size(named)


@pytest.mark.parametrize("named", ["text/html", "image/gif", "application/json"])
def test_an_unsupported_declared_type_is_refused_although_the_bytes_are_readable(named: str) -> None:
    with pytest.raises(MediaTypeError, match=r"Content-Type: expected one of .*image/jpeg"):
        find_decoder(named, FILES["jpg"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"nonsense, and more", r"bytes b'nonsense'"),
        (b"", "none"),
        (b"GIF89a" + bytes(20), "GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"),
        (b"\0\0\0\x18ftypavif" + bytes(20), "AVIF"),
        (b"\0\0\0\x18ftypisom" + bytes(20), "MP4"),
        (b"iVBORw0KGgoAAAANSUhEUg", "PNG in base64"),
    ],
)
def test_unsupported_bytes_are_refused_naming_their_format(data: bytes, says: str) -> None:
    with pytest.raises(MediaTypeError, match=rf"received {says}$"):
        find_decoder("", data)


@pytest.mark.parametrize("kind", [kind for kind in Decoder.registered if needs_size(kind)])
def test_raw_pixels_without_a_size_or_of_the_wrong_length_are_refused(kind: str) -> None:
    size = Size(4, 6)
    decoder = Decoder.registered[kind]
    assert isinstance(decoder, RawDecoder)
    whole = bytes(decoder.count_bytes(size))
    assert decoder.read_header(whole, size) == PictureHeader(size)
    with pytest.raises(PictureError, match=f"{decoder.name}: expected width and height"):
        decoder.read_header(whole, None)
    for data in (whole[:-1], whole + b"\0", b""):
        with pytest.raises(PictureError, match=f"{decoder.name}: expected {len(whole)} bytes for 6x4"):
            decoder.read_header(data, size)


@pytest.mark.parametrize("size", [Size(3, 4), Size(4, 3), Size(1, 1)])
def test_nv12_of_an_odd_size_is_refused(size: Size) -> None:
    with pytest.raises(PictureError, match="even size"):
        decode(bytes(100), "application/x-nv12", size)


@pytest.mark.parametrize(
    ("luma", "blue", "red", "colour"),
    [
        (16, 128, 128, (0, 0, 0)),
        (235, 128, 128, (255, 255, 255)),
        (81, 90, 240, (255, 0, 0)),
        (41, 240, 110, (0, 0, 255)),
    ],
)
def test_nv12_is_decoded_as_bt_601_in_limited_range(
    luma: int, blue: int, red: int, colour: tuple[int, int, int]
) -> None:
    planes = bytes([luma]) * 16 + bytes([blue, red]) * 4
    pixels = decode(planes, "application/x-nv12", Size(4, 4)).astype(int)
    assert np.abs(pixels - colour).max() <= 3


def test_rgb24_is_read_from_the_top_left() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(decode(pixels.tobytes(), "application/x-rgb24", Size(2, 4)), pixels)
    assert np.array_equal(decode(pixels.tobytes(), "application/x-rgb24", Size(2, 4), "BGR"), pixels[..., ::-1])


def test_grey_16_bit_and_transparent_pngs_are_decoded_to_8_bit_rgb() -> None:
    grey = np.full((8, 8), 0x8040, np.uint16)
    assert (decode(cv2.imencode(".png", grey)[1].tobytes()) == 0x80).all()
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[..., 2] = 200
    assert (decode(cv2.imencode(".png", clear)[1].tobytes()) == (200, 0, 0)).all()


HEADER = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
CONTENT = chunk(b"IDAT", zlib.compress(bytes(8 * 25)))
END = chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (PNG, "IHDR"),
        (PNG + CONTENT + HEADER + END, "IHDR"),
        (pictures.png_claiming(0, 5), "above zero"),
        (PNG + HEADER + chunk(b"acTL", bytes(8)) + CONTENT + END, "animation"),
        (PNG + HEADER + CONTENT, "truncated"),
        (PNG + HEADER + CONTENT[:-1] + b"?" + END, "checksum"),
        (PNG + HEADER + b"\xff\xff\xff\xffIDAT" + END, "truncated"),
    ],
)
def test_a_truncated_corrupt_or_animated_png_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(PictureError, match=says):
        Decoder.registered["image/png"].read_header(data, None)


def test_a_valid_png_of_the_same_chunks_is_decoded() -> None:
    assert decode(PNG + HEADER + CONTENT + END).shape == (8, 8, 3)


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def piece(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


@pytest.mark.parametrize("quality", [50, 101])
def test_the_size_of_lossy_and_lossless_webp_is_read(quality: int) -> None:
    data = cv2.imencode(".webp", SMALL[:37, :51], [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    assert Decoder.registered["image/webp"].read_header(data, None).size == (37, 51)
    assert decode(data).shape == (37, 51, 3)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (FILES["webp"][:-1], "truncated"),
        (b"RIFF\x04\0\0\0WEBP", "truncated"),
        (riff(piece(b"VP8X", b"\x02" + bytes(9)), bytes(8)), "animation"),
        (riff(piece(b"ALPH", bytes(20))), "picture chunk first"),
        (riff(piece(b"VP8 ", bytes(20))), "picture chunk first"),
        (riff(piece(b"VP8L", bytes(20))), "picture chunk first"),
        (riff(b"VP8L" + struct.pack("<I", 999) + bytes(20)), "truncated, expected"),
    ],
)
def test_a_truncated_malformed_or_animated_webp_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(PictureError, match=says):
        Decoder.registered["image/webp"].read_header(data, None)


def test_the_orientation_of_a_webp_is_found_after_a_chunk_of_odd_length() -> None:
    size = (63).to_bytes(3, "little") + (47).to_bytes(3, "little")
    picture = pictures.encoded(".webp", SMALL)[12:]
    orientation = b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
    data = riff(piece(b"VP8X", b"\x08\0\0\0" + size), picture, piece(b"NOTE", b"odd"), piece(b"EXIF", orientation))
    header = Decoder.registered["image/webp"].read_header(data, None)
    assert (header.size, header.orientation, header.upright) == ((48, 64), 6, (64, 48))
