"""The requirements of every codec; add a line to `DECODERS` or `ENCODERS` for a new one."""

from collections.abc import Callable

import numpy as np
import pytest

from danmatte.codecs import Decoder, Encoder, PictureHeader, find_decoder, needs_size
from danmatte.errors import MediaTypeError, PictureError
from danmatte.frame import Pixels, Size
from tests.service import onebit, pictures

SIZE = Size(48, 64)
PICTURE = pictures.noise(*SIZE)


def to_nv12(pixels: Pixels) -> bytes:
    """Convert to BT.601 with limited range, with chroma averaged over 2×2 pixels."""
    red, green, blue = (pixels[..., channel].astype(float) / 255 for channel in range(3))
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = [(128 + 224 * (colour - light) / span) for colour, span in ((blue, 1.772), (red, 1.402))]
    small = [plane.reshape(plane.shape[0] // 2, 2, -1, 2).mean((1, 3)) for plane in chroma]
    planes = [16 + 219 * light, np.stack(small, axis=2)]
    return b"".join(np.clip(np.rint(plane), 0, 255).astype(np.uint8).tobytes() for plane in planes)


DECODERS: dict[str, Callable[[Pixels], bytes]] = {
    "image/jpeg": lambda pixels: pictures.encoded(".jpg", pixels),
    "image/png": lambda pixels: pictures.encoded(".png", pixels),
    "image/webp": lambda pixels: pictures.encoded(".webp", pixels),
    "application/x-nv12": to_nv12,
    "application/x-rgb24": lambda pixels: pixels.tobytes(),
}
BOMBS = {
    "image/jpeg": pictures.jpeg_claiming,
    "image/png": pictures.png_claiming,
    "image/webp": pictures.webp_claiming,
}
ENCODERS: dict[str, Callable[[bytes], Pixels]] = {
    "png": pictures.decoded,
    "webp": pictures.decoded,
    "raw": lambda data: np.frombuffer(data, np.uint8).reshape(SIZE),
    "svg": onebit.from_svg,
    "rle": onebit.from_rle,
    "bits": lambda data: onebit.from_bits(data, *SIZE),
}
ONE_BIT = {"svg", "rle", "bits"}


def test_every_codec_is_in_this_suite() -> None:
    assert set(Decoder.registered) == set(DECODERS)
    assert set(Encoder.registered) == set(ENCODERS)


def read_picture(
    media_type: str, data: bytes, colour: str = "RGB", at_least: Size = SIZE
) -> tuple[PictureHeader, Pixels]:
    """Return the header and pixels of a picture."""
    decoder = find_decoder(media_type, data)
    header = decoder.read_header(data, SIZE)
    return header, decoder.decode(data, header, colour, at_least)


@pytest.mark.parametrize("media_type", DECODERS)
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_a_picture_is_decoded_in_the_requested_colour_order(media_type: str, colour: str) -> None:
    red = np.zeros((*SIZE, 3), np.uint8)
    red[..., 0] = 255
    header, pixels = read_picture(media_type, DECODERS[media_type](red), colour)
    expected = red if colour == "RGB" else red[..., ::-1]
    assert header.size == SIZE
    has_colours = np.ptp(pixels, axis=2).any()  # a raw format may know brightness only
    assert np.abs(pixels.astype(int) - (expected if has_colours else pixels[0, 0])).max() <= 3
    assert has_colours or needs_size(media_type)


@pytest.mark.parametrize("media_type", DECODERS)
def test_pixels_are_contiguous_bytes_of_three_channels(media_type: str) -> None:
    for colour in ("RGB", "BGR"):
        pixels = read_picture(media_type, DECODERS[media_type](PICTURE), colour)[1]
        assert (pixels.dtype, pixels.shape, pixels.flags.c_contiguous) == (np.uint8, (*SIZE, 3), True)


@pytest.mark.parametrize("media_type", DECODERS)
def test_a_reduced_picture_is_an_exact_fraction_and_not_too_small(media_type: str) -> None:
    header, pixels = read_picture(media_type, DECODERS[media_type](PICTURE), at_least=Size(10, 13))
    divisor = header.size.height // pixels.shape[0]
    assert (pixels.shape[0] * divisor, pixels.shape[1] * divisor) == header.size
    assert pixels.shape[0] >= 10
    assert pixels.shape[1] >= 13


@pytest.mark.parametrize("media_type", DECODERS)
def test_a_truncated_picture_is_refused(media_type: str) -> None:
    data = DECODERS[media_type](PICTURE)
    # A JPEG without its end marker has all of its pixels: cameras leave it out, and it is decoded with a warning.
    end = len(data) - (len(b"\xff\xd9") if media_type == "image/jpeg" else 0)
    served = []
    for length in {*range(0, end, 10), *range(end - 40, end)}:
        try:
            read_picture(media_type, data[:length])
        except (PictureError, MediaTypeError):
            continue
        served.append(length)
    assert served == []


@pytest.mark.parametrize("media_type", DECODERS)
def test_changed_bytes_never_crash_a_decoder(media_type: str) -> None:
    data, random = DECODERS[media_type](PICTURE), np.random.default_rng(0)
    for _ in range(200):
        spoilt = bytearray(data)
        for place in random.integers(0, len(data), 4):
            spoilt[place] = random.integers(256)
        try:
            header, pixels = read_picture(media_type, bytes(spoilt))
        except (PictureError, MediaTypeError):
            continue
        assert pixels.shape == (*header.size, 3)


@pytest.mark.parametrize("media_type", BOMBS)
def test_the_size_of_a_decompression_bomb_is_known_before_decoding(media_type: str) -> None:
    data = BOMBS[media_type](60_000, 50_000)
    assert len(data) < 2000
    assert find_decoder(media_type, data).read_header(data, None).size == (50_000, 60_000)


@pytest.mark.parametrize("media_type", BOMBS)
def test_a_header_with_a_wrong_size_is_refused(media_type: str) -> None:
    with pytest.raises(PictureError):
        read_picture(media_type, BOMBS[media_type](300, 200), at_least=Size(200, 300))


@pytest.mark.parametrize("media_type", BOMBS)
@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"GIF89a" + bytes(50), b"RIFF\0\0\0\0WAVE", b"<svg/>"])
def test_data_of_an_unknown_format_is_refused(media_type: str, data: bytes) -> None:
    assert not Decoder.registered[media_type].claims(data)
    with pytest.raises(MediaTypeError):
        find_decoder(media_type, data)


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("mask", ["soft", "hard", "empty"])
def test_a_mask_survives_encoding_and_decoding(kind: str, mask: str) -> None:
    soft = pictures.noise(*SIZE)[..., 0].copy()
    alpha = {"soft": soft, "hard": (soft > 127) * np.uint8(255), "empty": np.zeros(SIZE, np.uint8)}[mask]
    expected = (alpha >= 128) * np.uint8(255) if kind in ONE_BIT else alpha
    assert np.array_equal(ENCODERS[kind](Encoder.registered[kind].encode(alpha)), expected)


def test_png_is_the_default_encoder_and_media_types_are_unique() -> None:
    assert next(iter(Encoder.registered)) == "png"
    assert len({encoder.media_type for encoder in Encoder.registered.values()}) == len(Encoder.registered)


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 13)])
def test_masks_of_any_size_can_be_encoded(kind: str, size: tuple[int, int]) -> None:
    alpha = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
    assert np.array_equal(ENCODERS[kind](Encoder.registered[kind].encode(alpha)), alpha)
