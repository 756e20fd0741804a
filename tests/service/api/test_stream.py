"""`GET /v1/stream` over a socket: answers, skipped offers, and the end of connections."""

import asyncio
import json
import math
import signal
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSCloseCode, WSMsgType
from aiohttp.test_utils import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from danmatte.api.stream_connection import MAX_SKIPPED
from danmatte.app import ADMISSION, LIVE, REPOSITORY
from danmatte.messages import Answer, Offer, Picture
from tests.service import pictures
from tests.service.conftest import Start
from tests.service.held import Gate
from tests.service.test_app import until
from tests.service.toy import publish

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def connect(client: TestClient, query: str = "") -> ClientWebSocketResponse:
    """A live connection whose client receives pongs."""
    return await client.ws_connect(f"/v1/stream?{query}", autoping=False)


async def offer(socket: ClientWebSocketResponse, jpeg: bytes, *numbers: float) -> None:
    """Offer the picture at each of these pts, and wait until the server has read all offers."""
    for pts in numbers:
        await socket.send_bytes(Offer(pts, jpeg).pack())
    await socket.ping()
    assert (await socket.receive()).type is WSMsgType.PONG


async def receive_answer(socket: ClientWebSocketResponse) -> Answer:
    """Receive the next answer."""
    return Answer.unpack(await socket.receive_bytes(timeout=10))


async def receive_close_code(socket: ClientWebSocketResponse) -> int:
    """Return the server's close code."""
    async with asyncio.timeout(10):
        while (await socket.receive()).type is WSMsgType.BINARY:
            pass
    return socket.close_code


async def test_an_answer_carries_pts_size_version_coverage_times_and_mask(
    start: Start, jpeg: bytes, free_loop: None
) -> None:
    socket = await connect(await start(real=True), "width=320&height=180")
    await socket.send_bytes(Offer(1234.5, jpeg).pack())
    answer = await receive_answer(socket)
    assert (answer.pts, answer.status, answer.size, answer.version) == (1234.5, 200, (320, 180), 2)
    assert answer.coverage == pytest.approx(0.25 * 0.375, abs=0.01)
    assert all(ms > 0 for ms in answer.spent)
    mask = pictures.decoded(answer.body)
    assert mask.shape == (180, 320)
    assert (mask[67, 180], mask[5, 5]) == (255, 0)


async def test_answers_keep_the_order_of_offers(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    socket = await connect(await start(held=gate, live_in_work=3))
    for pts in (3.0, 1.0, 2.0):
        await offer(socket, jpeg, pts)
    gate.let(3)
    assert [(await receive_answer(socket)).pts for _ in range(3)] == [3.0, 1.0, 2.0]


async def test_a_connection_keeps_its_canary_version_until_the_policy_changes(
    start: Start, jpeg: bytes, tmp_path: Path
) -> None:
    for version in (1, 2):
        publish(tmp_path, version=version)
    policy = tmp_path / "toy/serving.toml"
    policy.write_text("[canary]\nversion = 2\nshare = 0.5")
    client = await start(models=str(tmp_path), watch_s=0)
    sockets = [await connect(client) for _ in range(6)]

    async def versions() -> list[set[int]]:
        found: list[set[int]] = [set() for _ in sockets]
        for pts in range(4):
            for socket, seen in zip(sockets, found, strict=True):
                await offer(socket, jpeg, pts)
                seen.add((await receive_answer(socket)).version)
        return found

    drawn = await versions()
    assert sorted(map(list, drawn)) == [[1]] * 3 + [[2]] * 3
    policy.write_text("[canary]\nversion = 2\nshare = 0.0")
    await client.app[REPOSITORY].reload("toy")
    assert await versions() == [{1}] * 6
    policy.unlink()
    await client.app[REPOSITORY].reload("toy")
    assert await versions() == [{2}] * 6  # the newest, once neither version nor label is named


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
async def test_the_format_of_a_picture_is_detected_from_its_bytes(start: Start, extension: str) -> None:
    socket = await connect(await start(), "format=raw")
    await socket.send_bytes(Offer(0, pictures.encoded(extension, pictures.rectangle(90, 160))).pack())
    mask = np.frombuffer((await receive_answer(socket)).body, np.uint8).reshape(90, 160)
    assert (mask[30, 90], mask[80, 10]) == (255, 0)


@pytest.mark.parametrize("picture", [Picture.NV12, Picture.RGB24])
async def test_raw_frames_carry_their_size_in_the_offer(start: Start, picture: Picture) -> None:
    socket = await connect(await start(), "format=raw&width=80&height=45")
    pixels = pictures.rectangle(90, 160)
    planes = np.where(pixels[:, :, 0], 235, 16).astype(np.uint8).tobytes() + bytes([128]) * (90 * 160 // 2)
    body = planes if picture is Picture.NV12 else pixels.tobytes()
    await socket.send_bytes(Offer(1, body, picture, (160, 90)).pack())
    answer = await receive_answer(socket)
    assert (answer.status, answer.size) == (200, (80, 45))
    mask = np.frombuffer(answer.body, np.uint8).reshape(45, 80)
    assert (mask[15, 45], mask[40, 5]) == (255, 0)


async def test_query_options_apply_to_masks(start: Start, jpeg: bytes) -> None:
    socket = await connect(await start(), "format=raw&width=64&height=36&soft=true&polarity=background")
    await socket.send_bytes(Offer(0, jpeg).pack())
    mask = np.frombuffer((await receive_answer(socket)).body, np.uint8).reshape(36, 64)
    assert (mask[13, 36], mask[1, 1]) == (0, 255)
    assert len(np.unique(mask)) > 2


async def test_the_newest_offer_replaces_older_ones_and_its_answer_lists_them(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    socket = await connect(await start(held=gate, live_in_work=1))
    await offer(socket, jpeg, 0)
    await until(lambda: gate.waiting == 1)
    await offer(socket, jpeg, *range(1, 10))
    gate.let(2)
    first, second = await receive_answer(socket), await receive_answer(socket)
    assert (first.pts, first.skipped) == (0, ())
    assert (second.pts, second.skipped) == (9, tuple(range(1, 9)))


async def test_under_overload_answers_lag_only_by_the_frames_in_work(start: Start, jpeg: bytes) -> None:
    gate, in_work = Gate(), 2
    socket = await connect(await start(held=gate, live_in_work=in_work))
    reported: list[float] = []
    for turn in range(20):
        await offer(socket, jpeg, *(turn * 5 + frame for frame in range(5)))
        gate.let()
        answer = await receive_answer(socket)
        reported += [*answer.skipped, answer.pts]
        assert answer.pts >= (turn - in_work) * 5
    gate.let(in_work + 1)
    while reported[-1] != 99:
        answer = await receive_answer(socket)
        reported += [*answer.skipped, answer.pts]
    assert reported == list(range(100))


async def test_a_connections_frames_are_not_skipped_because_of_other_connections(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    client = await start(held=gate, live_in_work=1)
    sockets = [await connect(client) for _ in range(3)]
    for number, socket in enumerate(sockets):
        await offer(socket, jpeg, number)
    gate.let(3)
    assert [(await receive_answer(socket)).pts for socket in sockets] == [0, 1, 2]


BAD_OFFERS = {
    "no picture": (Offer(5, b"").pack(), "bad_body"),
    "text": (Offer(5, b"hello").pack(), "unsupported_media_type"),
    "truncated": (Offer(5, pictures.encoded(".jpg", pictures.noise(120, 160))[:-2000]).pack(), "corrupt_picture"),
    "huge": (Offer(5, pictures.png_claiming(60_000, 60_000)).pack(), "picture_too_large"),
    "raw without size": (Offer(5, b"x", Picture.NV12).pack(), "bad_body"),
    "raw of another size": (Offer(5, b"x", Picture.RGB24, (4, 4)).pack(), "corrupt_picture"),
    "JPEG with a size": (Offer(5, b"x", Picture.ENCODED, (4, 4)).pack(), "bad_body"),
    "an answer": (Answer(5, b"x").pack(), "bad_body"),
    "unknown kind of picture": (struct.pack("<4sBBHdHH", b"DML1", 1, 9, 0, 5, 0, 0) + b"x", "bad_body"),
    "something reserved": (struct.pack("<4sBBHdHH", b"DML1", 1, 0, 1, 5, 0, 0) + b"x", "bad_body"),
}


@pytest.mark.parametrize("kind", BAD_OFFERS)
async def test_an_invalid_offer_gets_an_error_and_the_next_one_is_served(start: Start, jpeg: bytes, kind: str) -> None:
    message, code = BAD_OFFERS[kind]
    client = await start()
    socket = await client.ws_connect("/v1/stream", headers={"X-Request-Id": "abc-1"})
    await socket.send_bytes(message)
    answer = await receive_answer(socket)
    refusal = json.loads(answer.body)
    assert (answer.pts, answer.size, answer.coverage, answer.version) == (5, (0, 0), 0, 0)
    assert (refusal["code"], refusal["status"], refusal["request_id"]) == (code, answer.status, "abc-1"), refusal
    await socket.send_bytes(Offer(6, jpeg).pack())
    assert ((await receive_answer(socket)).pts, answer.skipped) == (6, ())


async def test_an_offer_with_a_nan_pts_gets_an_error_with_that_pts(start: Start, jpeg: bytes) -> None:
    socket = await connect(await start())
    await socket.send_bytes(Offer(math.nan, jpeg).pack())
    answer = await receive_answer(socket)
    assert math.isnan(answer.pts)
    assert json.loads(answer.body)["code"] == "bad_body"


async def test_a_mask_wider_than_the_header_can_state_is_an_error(start: Start) -> None:
    socket = await connect(await start())
    await socket.send_bytes(Offer(1, pictures.encoded(".png", np.zeros((1, 70_000, 3), np.uint8))).pack())
    assert (await receive_answer(socket)).status == 413


async def test_a_frame_over_the_deadline_gets_an_error_and_the_next_one_is_served(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    socket = await connect(await start(held=gate, deadline_s=0.2))
    await socket.send_bytes(Offer(1, jpeg).pack())
    late = await receive_answer(socket)
    assert (late.pts, late.status, json.loads(late.body)["code"]) == (1, 503, "deadline_exceeded")
    gate.let(2)  # the late one is still computed
    await socket.send_bytes(Offer(2, jpeg).pack())
    assert ((await receive_answer(socket)).status) == 200


BAD_QUERIES = [
    ("widht=3", 400, "unknown_parameter"),
    ("pts=3", 400, "unknown_parameter"),
    ("width=320", 422, "invalid_parameter"),
    ("width=60000&height=60000", 422, "invalid_parameter"),
    ("threshold=2", 422, "invalid_parameter"),
    ("format=gif", 422, "invalid_parameter"),
    ("version=1&label=stable", 422, "invalid_parameter"),
    ("model=toi", 404, "unknown_model"),
    ("version=9", 404, "unknown_version"),
]


@pytest.mark.parametrize(("query", "status", "code"), BAD_QUERIES)
async def test_a_bad_query_is_refused_before_the_upgrade(start: Start, query: str, status: int, code: str) -> None:
    client = await start()
    answer = await client.get(f"/v1/stream?{query}", headers=UPGRADE)
    refusal = await answer.json()
    assert (answer.status, refusal["status"], refusal["code"]) == (status, status, code)
    assert client.app[ADMISSION].occupied == 0


@pytest.mark.parametrize("missing", UPGRADE)
async def test_a_request_without_a_valid_upgrade_is_refused(start: Start, missing: str) -> None:
    headers = {name: value for name, value in UPGRADE.items() if name != missing}
    answer = await (await start()).get("/v1/stream", headers=headers)
    assert (answer.status, (await answer.json())["code"]) == (400, "bad_request")


async def test_connections_are_limited_and_each_occupies_a_place(start: Start) -> None:
    client = await start(live_connections=2)
    sockets = [await connect(client) for _ in range(2)]
    assert client.app[ADMISSION].occupied == 2
    refused = await client.get("/v1/stream", headers=UPGRADE)
    assert (refused.status, (await refused.json())["code"]) == (429, "queue_full")
    assert "Retry-After" in refused.headers
    await sockets[0].close()
    await until(lambda: client.app[ADMISSION].occupied == 1)
    assert not (await connect(client)).closed


async def test_idle_connections_do_not_delay_posts_and_are_not_evicted(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=0.05, in_flight=1, queue=4)
    sockets = [await connect(client) for _ in range(3)]
    answers = [await client.post("/v1/mattes", data=jpeg) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert client.app[ADMISSION].predict_wait_s("other") == 0
    for socket in sockets:
        await socket.send_bytes(Offer(1, jpeg).pack())
        assert (await receive_answer(socket)).status == 200


async def test_live_connections_and_posts_have_separate_limits(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    client = await start(held=gate, queue=1)
    sockets = [await connect(client) for _ in range(2)]
    posted = asyncio.create_task(client.post("/v1/mattes", data=jpeg))
    await until(lambda: gate.waiting == 1)
    assert (await client.post("/v1/mattes", data=jpeg)).status == 429
    sockets.append(await connect(client))
    assert client.app[ADMISSION].occupied == 4
    gate.let()
    assert (await posted).status == 200


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", WSCloseCode.PROTOCOL_ERROR),
        (b"DML2" + bytes(40), WSCloseCode.PROTOCOL_ERROR),
        (Offer(1, b"").pack()[:-1], WSCloseCode.PROTOCOL_ERROR),
        (bytes(2000), WSCloseCode.MESSAGE_TOO_BIG),
    ],
)
async def test_a_malformed_or_too_large_message_closes_the_connection(
    start: Start, message: bytes, code: WSCloseCode
) -> None:
    client = await start(max_body_bytes=1000)
    socket = await connect(client)
    await socket.send_bytes(message)
    assert await receive_close_code(socket) == code
    await until(lambda: client.app[ADMISSION].occupied == 0)


async def test_a_text_message_closes_the_connection_after_pending_answers(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    socket = await connect(await start(held=gate))
    await offer(socket, jpeg, 1)
    await socket.send_str("hello")
    gate.let()
    assert (await receive_answer(socket)).pts == 1
    assert await receive_close_code(socket) == WSCloseCode.UNSUPPORTED_DATA


async def test_frames_are_limited_by_max_body_bytes(start: Start) -> None:
    socket = await connect(await start(max_body_bytes=1000))
    await socket.send_bytes(Offer(1, bytes(1000)).pack())
    assert (await receive_answer(socket)).status == 415
    await socket.send_bytes(Offer(1, bytes(1001)).pack())
    assert await receive_close_code(socket) == WSCloseCode.MESSAGE_TOO_BIG


async def test_a_flood_closes_the_connection_after_listing_every_skipped_pts(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    socket = await connect(await start(held=gate, live_in_work=1))
    await offer(socket, jpeg, 0)
    await until(lambda: gate.waiting == 1)
    flood = range(1, MAX_SKIPPED + 3)
    for pts in flood:
        await socket.send_bytes(Offer(pts, jpeg[:100]).pack())
    gate.let(2)
    first, second = await receive_answer(socket), await receive_answer(socket)
    assert (first.pts, [*second.skipped, second.pts]) == (0, [*flood])
    assert await receive_close_code(socket) == WSCloseCode.POLICY_VIOLATION


async def test_an_idle_connection_is_closed_after_a_timeout(start: Start, jpeg: bytes) -> None:
    socket = await connect(await start(live_idle_s=0.2))
    await socket.send_bytes(Offer(1, jpeg).pack())
    assert (await receive_answer(socket)).status == 200
    assert await receive_close_code(socket) == WSCloseCode.OK


async def test_pings_and_pongs_do_not_keep_an_idle_connection_open(start: Start, jpeg: bytes) -> None:
    client = await start(live_idle_s=0.5, live_heartbeat_s=0.1)
    socket = await client.ws_connect("/v1/stream")  # answers pings, as browsers do
    await socket.send_bytes(Offer(1, jpeg).pack())
    assert (await receive_answer(socket)).status == 200

    async def ping() -> None:
        while not socket.closed:
            await socket.ping()
            await asyncio.sleep(0.1)

    pinging = asyncio.create_task(ping())
    assert await receive_close_code(socket) == WSCloseCode.OK
    pinging.cancel()


async def test_a_client_that_answers_no_pings_is_disconnected(start: Start) -> None:
    client = await start(live_heartbeat_s=0.2)
    socket = await connect(client)
    assert (await socket.receive()).type is WSMsgType.PING
    await until(lambda: client.app[ADMISSION].occupied == 0)


async def test_a_client_that_reads_no_answers_is_disconnected(start: Start, jpeg: bytes) -> None:
    client = await start(live_unread_s=0.2, live_in_work=1)
    socket = await connect(client, "format=raw&width=2000&height=2000")

    async def send_offers() -> None:
        for pts in range(10_000):
            await socket.send_bytes(Offer(pts, jpeg).pack())
            await asyncio.sleep(0.01)

    offers = asyncio.create_task(send_offers())
    await until(lambda: client.app[ADMISSION].occupied == 0)
    offers.cancel()


@pytest.mark.parametrize("abrupt", [False, True])
async def test_a_closed_connection_frees_its_place_and_permits(start: Start, jpeg: bytes, abrupt: bool) -> None:
    gate = Gate()
    client = await start(held=gate, live_in_work=2, in_flight=2)
    socket = await connect(client)
    for pts in range(3):
        await offer(socket, jpeg, pts)
    await until(lambda: gate.waiting == 2)
    if abrupt:
        socket._writer.transport.abort()
    else:
        await socket.close()
    await until(lambda: client.app[ADMISSION].occupied == 0)
    gate.let(2 + 2)  # the two of the closed connection, and two more
    answers = await asyncio.gather(*(client.post("/v1/mattes", data=jpeg) for _ in range(2)))
    assert [answer.status for answer in answers] == [200, 200]


async def test_draining_sends_pending_answers_and_closes_with_going_away(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    client = await start(held=gate, live_in_work=1)
    socket, quiet = await connect(client), await connect(client)
    await offer(socket, jpeg, 1)
    await until(lambda: gate.waiting == 1)
    await offer(socket, jpeg, 2, 3)
    client.app[LIVE].end_all()
    draining = asyncio.create_task(client.app[ADMISSION].drain(10))
    assert await receive_close_code(quiet) == WSCloseCode.GOING_AWAY
    refused = await client.get("/v1/stream", headers=UPGRADE)
    assert (refused.status, (await refused.json())["code"]) == (503, "draining")
    gate.let(2)
    first, last = await receive_answer(socket), await receive_answer(socket)
    assert [(first.pts, first.skipped), (last.pts, last.skipped)] == [(1, ()), (3, (2,))]
    assert await receive_close_code(socket) == WSCloseCode.GOING_AWAY
    assert await draining


HEADERS = some.tuples(
    some.sampled_from([b"DML1", b"DML2", b"\0\0\0\0"]), some.binary(max_size=20), some.binary(max_size=40)
).map(b"".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=some.lists(HEADERS | some.binary(max_size=100), min_size=1, max_size=5))
async def test_random_messages_get_an_error_or_close_the_connection(start: Start, messages: list[bytes]) -> None:
    client = await start()
    socket = await client.ws_connect("/v1/stream")
    for message in messages:
        await socket.send_bytes(message)
    await socket.send_str("enough")
    async with asyncio.timeout(10):
        while (received := await socket.receive()).type is WSMsgType.BINARY:
            assert 400 <= Answer.unpack(received.data).status < 500
    assert socket.close_code in (WSCloseCode.PROTOCOL_ERROR, WSCloseCode.UNSUPPORTED_DATA)
    await client.close()


async def test_sigterm_closes_live_connections_after_pending_answers(
    process: tuple[subprocess.Popen[str], str], jpeg: bytes
) -> None:
    server, address = process
    async with ClientSession() as session, session.ws_connect(f"{address}/v1/stream", autoping=False) as socket:
        await offer(socket, jpeg, 1)
        server.send_signal(signal.SIGTERM)
        assert (await receive_answer(socket)).pts == 1
        assert await receive_close_code(socket) == WSCloseCode.GOING_AWAY
    assert await asyncio.to_thread(server.wait, 10) == 0


async def test_stabilised_masks_depend_only_on_earlier_frames_of_the_same_connection(start: Start) -> None:
    def frame(level: int) -> bytes:
        pixels = pictures.noise(90, 160) // 4
        pixels[30:60, 60:100] = level
        return pictures.encoded(".png", pixels)

    client = await start()
    steady, neighbour = [await connect(client, "format=raw&stabilise=true") for _ in range(2)]
    plain = await connect(client, "format=raw")
    painted: dict[str, list[int]] = {"steady": [], "neighbour": [], "plain": []}
    for n, level in enumerate((134, 124, 134, 124)):
        await steady.send_bytes(Offer(n * 40, frame(level)).pack())
        await plain.send_bytes(Offer(n * 40, frame(level)).pack())
        await neighbour.send_bytes(Offer(n * 40, frame(124)).pack())
        for name, socket in (("steady", steady), ("plain", plain), ("neighbour", neighbour)):
            painted[name].append(np.frombuffer((await receive_answer(socket)).body, np.uint8).reshape(90, 160)[45, 80])
    assert painted == {"steady": [255] * 4, "plain": [255, 0, 255, 0], "neighbour": [0] * 4}


async def test_a_clean_close_is_not_counted_as_an_abandoned_request(start: Start, jpeg: bytes) -> None:
    client = await start()
    for code in (1000, 1001):
        socket = await connect(client)
        await offer(socket, jpeg, 1)
        await receive_answer(socket)
        await socket.close(code=code)
    await until(lambda: not client.app[LIVE])
    page = await (await client.get("/metrics")).text()
    assert 'danmatte_requests_total{model="",outcome="answered",protocol="live",region="",version=""} 2.0' in page
    assert 'outcome="left"' not in page


async def test_the_upgrade_response_carries_request_id_and_traceparent(start: Start) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"X-Request-Id": "abc-1", "traceparent": trace}
    async with (await start()).ws_connect("/v1/stream", headers=headers) as socket:
        assert socket._response.status == 101
        received_headers = socket._response.headers
        assert (received_headers["X-Request-Id"], received_headers["traceparent"]) == ("abc-1", trace)
