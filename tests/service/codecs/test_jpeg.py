"""When a JPEG is decoded at a reduced size, and what is rejected."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from danmatte.codecs import Decoder
from danmatte.codecs.jpeg import Jpeg
from danmatte.contract.framing import resize
from danmatte.errors import PictureError
from danmatte.frame import Size
from tests.service import pictures
from tests.service.conftest import Start


@pytest.mark.parametrize(
    ("size", "at_least", "expected"),
    [
        ((720, 1280), (288, 512), (360, 640)),
        ((720, 1280), (361, 512), (720, 1280)),
        ((720, 1280), (180, 320), (180, 320)),
        ((720, 1280), (10, 10), (90, 160)),
        ((1080, 1920), (288, 512), (540, 960)),
        ((722, 1282), (10, 10), (361, 641)),
        ((721, 1281), (10, 10), (721, 1281)),
        ((8, 8), (1, 1), (1, 1)),
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_a_jpeg_is_decoded_at_reduced_size_only_by_exact_fractions(
    size: tuple[int, int], at_least: tuple[int, int], expected: tuple[int, int]
) -> None:
    data = pictures.encoded(".jpg", pictures.rectangle(*size))
    header = Jpeg().read_header(data, None)
    assert Jpeg().decode(data, header, "RGB", Size(*at_least)).shape[:2] == expected


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_grey_rgb_and_cmyk_jpegs_are_decoded(mode: str, progressive: bool) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pictures.rectangle(48, 64)).convert(mode).save(buffer, "JPEG", progressive=progressive)
    header = Jpeg().read_header(buffer.getvalue(), None)
    pixels = Jpeg().decode(buffer.getvalue(), header, "RGB", header.size)
    assert pixels[20, 35].min() > 250
    assert pixels[2, 2].max() < 5


def jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pictures.rectangle(48, 64)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_too_many_scans_is_refused(progressive: bool) -> None:
    """Each scan of a progressive picture takes a pass; after a complete picture, libjpeg reads no more scans."""
    data = jpeg(progressive=progressive)
    scans = data[:-2] + b"\xff\xda\0\x02" * 100 + data[-2:]
    with pytest.raises(PictureError, match="scans" if progressive else "JPEG"):
        Jpeg().decode(scans, Jpeg().read_header(scans, None), "RGB", Size(48, 64))


def test_scans_hidden_behind_a_marker_without_length_are_counted() -> None:
    """A reader that expects a length after such a marker would skip data that libjpeg reads."""
    data = jpeg(progressive=True)
    fake = b"\xff\xc0\0\x0b\x08\0\x30\0\x40\x01\x01\x11\0" + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    begun = data[:2] + b"\xff\xd0" + data[2:-2]
    believed = 4 + int.from_bytes(begun[4:6])  # where such a reader would continue
    hidden = begun + (b"\xff\xda\0\x02" * 20_000)[: believed - len(begun)] + fake + data[-2:]
    with pytest.raises(PictureError, match="scans"):
        Jpeg().decode(hidden, Jpeg().read_header(hidden, None), "RGB", Size(48, 64))


@pytest.mark.parametrize("cut", range(2, 600, 7))
def test_a_truncated_header_raises_a_picture_error(cut: int) -> None:
    data = jpeg()[:cut]
    with pytest.raises(PictureError):
        Jpeg().decode(data, Jpeg().read_header(data, None), "RGB", Size(48, 64))


def test_chroma_upsampling_is_smooth_unless_the_picture_is_reduced_strongly() -> None:
    frame = pictures.rectangle(240, 320)
    frame[:, 100:] = (200, 30, 60)
    data = pictures.encoded(".jpg", frame)
    smooth = simplejpeg.decode_jpeg(data, "RGB")
    header = Jpeg().read_header(data, None)
    near, far = (Jpeg().decode(data, header, "RGB", Size(*wanted)) for wanted in ((180, 240), (150, 200)))
    assert (near == smooth).all()
    assert (far != smooth).any()
    small = [resize(pixels, Size(150, 200)).astype(int) for pixels in (smooth, far)]
    assert abs(small[0] - small[1]).mean() < 0.5


def add_bytes(data: bytes, marker: bytes) -> bytes:
    """Insert bytes that aren't a segment before the last such marker."""
    place = data.rindex(marker)
    return data[:place] + b"\x00\x01\x02\x00" + data[place:]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: data[:-2], "Premature end"),
        (lambda data: add_bytes(data, b"\xff\xd9"), "extraneous bytes before marker 0xd9"),
        (lambda data: add_bytes(data, b"\xff\xda"), "4 extraneous bytes before marker 0xda"),
        (lambda data: add_bytes(add_bytes(data, b"\xff\xdb"), b"\xff\xc0")[:-2], "4 extraneous bytes before marker"),
    ],
)
def test_a_picture_with_a_libjpeg_warning_is_decoded_and_the_warning_kept(spoil, says: str) -> None:
    good = pictures.encoded(".jpg", pictures.rectangle(96, 128))
    jpeg = Decoder.registered["image/jpeg"]
    bad = spoil(good)
    header = jpeg.read_header(bad, None)
    pixels = jpeg.decode(bad, header, "RGB", header.size)
    assert np.array_equal(pixels, jpeg.decode(good, jpeg.read_header(good, None), "RGB", header.size))
    assert any(says in warning for warning in header.warnings)


@pytest.mark.parametrize("left", [0.3, 0.9, 0.99])
def test_a_truncated_picture_is_refused_even_with_an_end_marker(left: float) -> None:
    good = pictures.encoded(".jpg", pictures.rectangle(96, 128))
    jpeg = Decoder.registered["image/jpeg"]
    cut = good[: int(len(good) * left)] if left < 0.99 else good[:-8]
    for data in (cut, cut + b"\xff\xd9"):
        with pytest.raises(PictureError):
            jpeg.decode(data, jpeg.read_header(data, None), "RGB", Size(96, 128))


async def test_the_response_header_reports_a_decoders_warning(start: Start, jpeg: bytes) -> None:
    client = await start()
    answer = await client.post("/v1/mattes", data=jpeg[:-2])
    assert answer.status == 200
    assert "Premature end" in answer.headers["X-Picture-Warning"]
    assert "X-Picture-Warning" not in (await client.post("/v1/mattes", data=jpeg)).headers
