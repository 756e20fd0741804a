"""`POST /v1/mattes` over a socket: responses and errors."""

import asyncio
import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.service import pictures
from tests.service.conftest import Start

GIF = b"GIF89a" + bytes(100)
PDF = b"%PDF-1.7\n" + bytes(100)


async def test_a_frame_gets_a_mask_of_its_own_size(start: Start, jpeg: bytes, free_loop: None) -> None:
    client = await start(real=True)
    answer = await client.post("/v1/mattes", data=jpeg, headers={"Content-Type": "image/jpeg"})
    assert answer.status == 200
    assert answer.content_type == "image/png"
    mask = Image.open(io.BytesIO(await answer.read()))
    assert (mask.size, mask.mode) == ((640, 360), "L")
    assert np.asarray(mask)[135, 360] == 255
    assert np.asarray(mask)[10, 10] == 0


async def test_response_headers_describe_the_mask(start: Start, jpeg: bytes) -> None:
    client = await start()
    answer = await client.post("/v1/mattes?pts=1234.5&width=320&height=180", data=jpeg)
    assert answer.headers["X-Frame-Pts"] == "1234.5"
    assert answer.headers["X-Model-Version"] == "2"
    assert answer.headers["X-Mask-Size"] == "320x180"
    assert float(answer.headers["X-Person-Coverage"]) == pytest.approx(0.25 * 0.375, abs=0.01)
    phases = dict(part.split(";dur=") for part in answer.headers["Server-Timing"].split(", "))
    assert list(phases) == ["queue", "decode", "infer", "encode"]
    assert all(float(ms) >= 0 for ms in phases.values())


async def test_a_pts_with_a_browsers_float_digits_is_returned_unchanged(start: Start, jpeg: bytes) -> None:
    answer = await (await start()).post("/v1/mattes?pts=4033.3330000000005", data=jpeg)
    assert (answer.status, answer.headers["X-Frame-Pts"]) == (200, "4033.3330000000005")


async def test_a_response_has_no_pts_if_the_request_has_none(start: Start, jpeg: bytes) -> None:
    answer = await (await start()).post("/v1/mattes", data=jpeg)
    assert "X-Frame-Pts" not in answer.headers


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("media_type", ["image/jpeg", "application/octet-stream", "image/jpg", "image/*"])
async def test_the_format_of_a_picture_is_detected_from_its_bytes(
    start: Start, extension: str, media_type: str
) -> None:
    picture = pictures.encoded(extension, pictures.rectangle(90, 160))
    client = await start()
    answer = await client.post("/v1/mattes", data=picture, headers={"Content-Type": media_type})
    assert answer.status == 200
    assert pictures.decoded(await answer.read())[30, 90] == 255


@pytest.mark.parametrize(
    ("query", "accept", "expected"),
    [
        ("", "*/*", "image/png"),
        ("", "image/webp,image/*;q=0.8", "image/webp"),
        ("", "image/webp;q=0, image/*", "image/png"),
        ("", "application/octet-stream", "application/octet-stream"),
        ("?format=raw", "image/png", "application/octet-stream"),
        ("?format=webp", "nonsense", "image/webp"),
    ],
)
async def test_the_format_of_the_mask_is_negotiated(
    start: Start, jpeg: bytes, query: str, accept: str, expected: str
) -> None:
    answer = await (await start()).post(f"/v1/mattes{query}", data=jpeg, headers={"Accept": accept})
    assert (answer.status, answer.content_type) == (200, expected)


async def test_every_format_encodes_the_same_mask(start: Start, jpeg: bytes) -> None:
    client = await start()
    masks = []
    for name in ("png", "webp"):
        answer = await client.post(f"/v1/mattes?soft=true&format={name}", data=jpeg)
        masks.append(pictures.decoded(await answer.read()))
    raw = await (await client.post("/v1/mattes?soft=true&format=raw", data=jpeg)).read()
    masks.append(np.frombuffer(raw, np.uint8).reshape(360, 640))
    assert np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[0], masks[2])


async def test_rgb24_frames_take_their_size_from_the_query(start: Start) -> None:
    client, pixels = await start(), pictures.rectangle(90, 160)
    headers = {"Content-Type": "application/x-rgb24"}
    answer = await client.post("/v1/mattes?width=160&height=90&format=raw", data=pixels.tobytes(), headers=headers)
    mask = np.frombuffer(await answer.read(), np.uint8).reshape(90, 160)
    assert mask[30, 90] == 255
    assert mask[80, 10] == 0


async def test_nv12_frames_take_their_size_from_the_query(start: Start) -> None:
    client, luma = await start(), np.full((90, 160), 16, np.uint8)
    luma[20:45, 60:120] = 235
    body = luma.tobytes() + bytes([128]) * (90 * 160 // 2)
    headers = {"Content-Type": "application/x-nv12"}
    answer = await client.post("/v1/mattes?width=160&height=90&format=raw", data=body, headers=headers)
    mask = np.frombuffer(await answer.read(), np.uint8).reshape(90, 160)
    assert mask[30, 90] == 255
    assert mask[80, 10] == 0


async def test_a_picture_of_one_pixel_gets_a_mask(start: Start) -> None:
    picture = pictures.encoded(".png", np.full((1, 1, 3), 255, np.uint8))
    answer = await (await start()).post("/v1/mattes", data=picture)
    assert answer.status == 200
    assert pictures.decoded(await answer.read()).tolist() == [[255]]


async def test_a_requested_older_version_is_loaded_on_demand(start: Start, jpeg: bytes) -> None:
    answer = await (await start()).post("/v1/mattes?model=toy&version=1", data=jpeg)
    assert (answer.status, answer.headers["X-Model-Version"]) == (200, "1")


async def test_models_are_listed_with_their_versions_and_states(start: Start) -> None:
    listed = await (await start()).get("/v1/models")
    (model,) = (await listed.json())["models"]
    assert (model["name"], model["default"]) == ("toy", True)
    assert [(entry["version"], entry["state"]) for entry in model["versions"]] == [
        (2, "ready"),
        (1, "available"),
    ]


BAD_QUERIES = [
    ("widht=3", 400, "unknown_parameter", "did you mean 'width'"),
    ("width=3&width=4&height=2", 422, "invalid_parameter", "width: expected once"),
    ("width=0&height=1", 422, "invalid_parameter", "width: expected an integer"),
    ("width=-1&height=1", 422, "invalid_parameter", "width: expected an integer"),
    ("width=abc&height=1", 422, "invalid_parameter", "received 'abc'"),
    ("width=1e9&height=1", 422, "invalid_parameter", "width"),
    ("width=1000000000&height=1", 422, "invalid_parameter", "width"),
    ("width=%D9%A3&height=1", 422, "invalid_parameter", "width"),
    ("width=60000&height=60000", 422, "invalid_parameter", "pixels"),
    ("width=320", 422, "invalid_parameter", "height: expected with the other one"),
    ("height=320", 422, "invalid_parameter", "width: expected with the other one"),
    ("threshold=nan", 422, "invalid_parameter", "threshold"),
    ("threshold=1.5", 422, "invalid_parameter", "threshold"),
    ("threshold=.", 422, "invalid_parameter", "threshold"),
    ("soft=true&threshold=0.5", 422, "invalid_parameter", "threshold"),
    ("soft=maybe", 422, "invalid_parameter", "soft: expected one of"),
    ("polarity=people", 422, "invalid_parameter", "polarity: expected one of person, background"),
    ("format=gif", 422, "invalid_parameter", "format: expected one of png"),
    ("pts=now", 422, "invalid_parameter", "pts: expected milliseconds"),
    ("pts=1%0d%0aX-Evil:1", 422, "invalid_parameter", "pts"),
    ("model=..%2Fetc", 422, "invalid_parameter", "model"),
    ("model=toi", 404, "unknown_model", "did you mean 'toy'"),
    ("version=9", 404, "unknown_version", "received 9"),
    ("version=0", 422, "invalid_parameter", "version"),
    ("version=latest", 422, "invalid_parameter", "version"),
]


@pytest.mark.parametrize(("query", "status", "code", "says"), BAD_QUERIES)
async def test_an_invalid_query_is_refused_naming_the_parameter(
    start: Start, jpeg: bytes, query: str, status: int, code: str, says: str
) -> None:
    client = await start()
    answer = await client.post(f"/v1/mattes?{query}", data=jpeg)
    refusal = await answer.json()
    assert (answer.status, refusal["status"], refusal["code"]) == (status, status, code)
    assert says in refusal["error"]
    assert refusal["request_id"] == answer.headers["X-Request-Id"]


def half(extension: str) -> bytes:
    """A truncated picture."""
    whole = pictures.encoded(extension, pictures.noise(120, 160))
    return whole[: len(whole) // 2]


def flipped(extension: str) -> bytes:
    """A picture with wrong bytes in the middle."""
    whole = bytearray(pictures.encoded(extension, pictures.noise(120, 160)))
    middle = len(whole) // 2
    whole[middle : middle + 40] = bytes(40)
    return bytes(whole)


BAD_BODIES = {
    "empty": (b"", 400, "bad_body"),
    "truncated JPEG": (half(".jpg"), 422, "corrupt_picture"),
    "truncated PNG": (half(".png"), 422, "corrupt_picture"),
    "truncated WebP": (half(".webp"), 422, "corrupt_picture"),
    "corrupt JPEG": (flipped(".jpg"), 422, "corrupt_picture"),
    "corrupt PNG": (flipped(".png"), 422, "corrupt_picture"),
    "text": (b"hello, world", 415, "unsupported_media_type"),
    "GIF": (GIF, 415, "unsupported_media_type"),
    "PDF": (PDF, 415, "unsupported_media_type"),
    "huge PNG": (pictures.png_claiming(60_000, 60_000), 413, "picture_too_large"),
    "huge JPEG": (pictures.jpeg_claiming(60_000, 60_000), 413, "picture_too_large"),
    "huge WebP": (pictures.webp_claiming(60_000, 60_000), 413, "picture_too_large"),
    "PNG of no width": (pictures.png_claiming(0, 10), 422, "corrupt_picture"),
    "lying PNG": (pictures.png_claiming(100, 100), 422, "corrupt_picture"),
    "lying WebP": (pictures.webp_claiming(100, 100), 422, "corrupt_picture"),
}


@pytest.mark.parametrize("kind", BAD_BODIES)
async def test_a_bad_body_is_refused_and_the_next_one_served(start: Start, jpeg: bytes, kind: str) -> None:
    body, status, code = BAD_BODIES[kind]
    client = await start()
    answer = await client.post("/v1/mattes", data=body)
    refusal = await answer.json()
    assert (answer.status, refusal["code"]) == (status, code), refusal
    assert (await client.post("/v1/mattes", data=jpeg)).status == 200


@pytest.mark.parametrize("media_type", ["text/plain", "image/gif", "application/pdf", "video/mp4"])
async def test_an_unsupported_content_type_is_refused_whatever_the_bytes(
    start: Start, jpeg: bytes, media_type: str
) -> None:
    answer = await (await start()).post("/v1/mattes", data=jpeg, headers={"Content-Type": media_type})
    assert (answer.status, (await answer.json())["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("accept", ["text/html", "image/png;q=2", "rubbish", "image/png;q=0", "*/png"])
async def test_an_unacceptable_accept_header_is_refused(start: Start, jpeg: bytes, accept: str) -> None:
    answer = await (await start()).post("/v1/mattes", data=jpeg, headers={"Accept": accept})
    assert (answer.status, (await answer.json())["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("media_type", ["application/x-nv12", "application/x-rgb24"])
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid_parameter"),
        ("width=4&height=4", "corrupt_picture"),
        ("width=3&height=3", "corrupt_picture"),
    ],
)
async def test_a_raw_frame_that_does_not_match_the_declared_size_is_refused(
    start: Start, media_type: str, query: str, code: str
) -> None:
    answer = await (await start()).post(f"/v1/mattes?{query}", data=bytes(100), headers={"Content-Type": media_type})
    assert (answer.status, (await answer.json())["code"]) == (422, code)


async def test_a_body_over_max_body_bytes_is_refused(start: Start, jpeg: bytes) -> None:
    client = await start(max_body_bytes=len(jpeg))
    assert (await client.post("/v1/mattes", data=jpeg)).status == 200
    answer = await client.post("/v1/mattes", data=jpeg + b"\0")
    assert (answer.status, (await answer.json())["code"]) == (413, "body_too_large")


async def test_the_default_body_limit_accepts_a_raw_4k_frame(start: Start) -> None:
    client = await start()
    body, headers = bytes(3840 * 2160 * 3 // 2), {"Content-Type": "application/x-nv12"}
    answer = await client.post("/v1/mattes?width=3840&height=2160", data=body, headers=headers)
    assert answer.status == 200


async def test_a_chunked_body_is_limited_by_max_body_bytes(start: Start, jpeg: bytes) -> None:
    async def parts(data: bytes):
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    client = await start(max_body_bytes=len(jpeg))
    assert (await client.post("/v1/mattes", data=parts(jpeg))).status == 200
    answer = await client.post("/v1/mattes", data=parts(jpeg + b"\0"))
    assert (answer.status, (await answer.json())["code"]) == (413, "body_too_large")


async def test_a_body_that_is_not_gzip_as_declared_is_refused(start: Start, jpeg: bytes) -> None:
    client = await start()
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = f"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(jpeg)}"
    writer.write(head.encode() + b"\r\n\r\n" + jpeg)
    status = await reader.readline()
    assert status.split()[1] == b"400"
    writer.close()


async def test_an_upload_that_stalls_times_out_with_408(start: Start) -> None:
    client = await start(upload_s=0.1)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n\xff\xd8")
    status = await reader.readline()
    assert status.split()[1] == b"408"
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split()[0])
    assert json.loads(await reader.readexactly(length))["code"] == "body_timeout"
    writer.close()


async def test_large_pictures_do_not_block_the_event_loop(start: Start, big_png: bytes, free_loop: None) -> None:
    client = await start(real=True)
    answers = await asyncio.gather(*(client.post("/v1/mattes", data=big_png) for _ in range(3)))
    assert [answer.status for answer in answers] == [200] * 3


@pytest.fixture(scope="module")
def big_png() -> bytes:
    """A picture that takes far longer to decode than the event loop may be blocked."""
    return pictures.encoded(".png", pictures.noise(1080, 1920))
