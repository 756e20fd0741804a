"""Each limit is exact: values up to the limit pass, larger ones are refused."""

import gzip
import json

import pytest

from tests.service import pictures
from tests.service.conftest import Start

MIB = 2**20


@pytest.mark.parametrize("path", ["/v1/mattes", "/v2/models/toy/infer"])
async def test_a_body_up_to_the_size_limit_is_accepted(start: Start, path: str) -> None:
    client = await start(max_body_bytes=MIB)
    fitting = await client.post(path, data=b"x" * MIB)
    assert fitting.status in (400, 415, 422)
    larger = await client.post(path, data=b"x" * (MIB + 1))
    assert (larger.status, (await larger.json())["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/v1/mattes", "/v2/models/toy/infer"])
async def test_a_compressed_body_is_limited_by_its_decompressed_size(start: Start, path: str) -> None:
    client = await start(max_body_bytes=MIB)
    headers = {"Content-Encoding": "gzip"}
    fitting = await client.post(path, data=gzip.compress(b"x" * MIB), headers=headers)
    assert fitting.status in (400, 415, 422)
    larger = await client.post(path, data=gzip.compress(b"x" * (MIB + 1)), headers=headers)
    assert (larger.status, (await larger.json())["code"]) == (413, "body_too_large")
    bomb = await client.post(path, data=gzip.compress(bytes(64 * MIB)), headers=headers)
    assert bomb.status in (400, 413)


async def test_a_body_without_content_length_is_limited(start: Start) -> None:
    client = await start(max_body_bytes=MIB)

    async def endless():
        for _ in range(64):
            yield bytes(MIB // 8)

    response = await client.post("/v1/mattes", data=endless())
    assert response.status == 413


@pytest.mark.parametrize(("width", "status"), [(100, 200), (101, 413)])
async def test_a_picture_up_to_the_pixel_limit_is_accepted(start: Start, width: int, status: int) -> None:
    client = await start(max_pixels=10_000)
    body = pictures.encoded(".png", pictures.rectangle(100, width))
    assert (await client.post("/v1/mattes", data=body)).status == status


@pytest.mark.parametrize(("width", "status"), [(100, 200), (101, 422)])
async def test_a_mask_up_to_the_pixel_limit_is_accepted(start: Start, jpeg: bytes, width: int, status: int) -> None:
    client = await start(max_pixels=640 * 360)
    height = 640 * 360 // 100
    response = await client.post(f"/v1/mattes?width={width}&height={height}", data=jpeg)
    assert response.status == status


@pytest.mark.parametrize("opening", ["[", '{"inputs":'])
async def test_deeply_nested_json_is_rejected(start: Start, opening: str) -> None:
    client = await start()
    closing = {"[": "]", '{"inputs":': "}"}[opening]
    body = opening * 100_000 + "1" + closing * 100_000
    response = await client.post("/v2/models/toy/infer", data=body, headers={"Content-Type": "application/json"})
    assert response.status in (400, 422)
    assert set(json.loads(await response.text())) >= {"error"}
