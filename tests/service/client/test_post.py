"""The client for single frames."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from danmatte.client import RefusedError, post_frame
from tests.service import pictures
from tests.service.conftest import Start


async def test_a_posted_picture_gets_its_mask_and_metadata(start: Start, jpeg: bytes) -> None:
    url = str((await start()).make_url("/"))
    answer = await post_frame(url, jpeg, size=(320, 180), query={"pts": "40"})
    assert (answer.pts, answer.status, answer.size, answer.version) == (40, 200, (320, 180), 2)
    assert answer.coverage == pytest.approx(0.25 * 0.375, abs=0.01)
    assert pictures.decoded(answer.body)[67, 180] == 255
    assert sum(answer.spent) > 0


async def test_a_raw_picture_is_posted_with_its_content_type(start: Start) -> None:
    url, headers = str((await start()).make_url("/")), {"Content-Type": "application/x-rgb24"}
    answer = await post_frame(url, pictures.rectangle(90, 160).tobytes(), size=(160, 90), headers=headers)
    assert answer.size == (160, 90)


async def test_a_refused_request_raises_an_error_with_code_and_status(start: Start) -> None:
    url = str((await start()).make_url("/"))
    with pytest.raises(RefusedError, match="expected a picture") as refused:
        await post_frame(url, b"hello")
    assert (refused.value.code, refused.value.status) == ("unsupported_media_type", 415)


async def test_server_timing_entries_of_a_proxy_are_ignored() -> None:
    async def answer(request: web.Request) -> web.Response:
        timings = 'edge, cdn-cache; desc="HIT", queue;dur=1.5,infer;dur=20, origin; dur=3, infer-all;dur=4'
        about = {"X-Mask-Size": "2x1", "X-Person-Coverage": "0.5", "X-Model-Version": "3", "Server-Timing": timings}
        response = web.Response(body=b"mask", headers=about)
        response.headers.add("Server-Timing", "encode;dur=0.25")
        return response

    app = web.Application()
    app.router.add_post("/v1/mattes", answer)
    async with TestServer(app) as server:
        found = await post_frame(str(server.make_url("/")), b"picture")
    assert found.spent == (1.5, 0.0, 20.0, 0.25)
