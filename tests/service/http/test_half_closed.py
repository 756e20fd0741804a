"""Clients that have closed their write side: some wait for the response, others have disconnected."""

import asyncio

import pytest

from danmatte.app import ADMISSION
from danmatte.http.api_keys import make_key
from tests.service.held import Gate
from tests.service.serving import served
from tests.service.test_app import until


def post(jpeg: bytes, version: str = "1.1") -> bytes:
    head = f"POST /v1/mattes HTTP/{version}\r\nHost: x\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg


async def send_and_half_close(port: int, data: bytes) -> bytes:
    """Return what is received after the request was sent and the write side closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(20):
        return await reader.read()


def find_status(answer: bytes) -> int:
    """Return the final status, ignoring interim responses."""
    while answer.startswith(b"HTTP/1.1 100 "):
        answer = answer.partition(b"\r\n\r\n")[2]
    return int(answer.split()[1])


async def test_a_client_that_closed_its_write_side_gets_the_response(models, jpeg: bytes) -> None:
    async with served(models) as server:
        for version in ("1.0", "1.1"):
            assert find_status(await send_and_half_close(server.port, post(jpeg, version))) == 200


async def test_a_client_that_closed_its_write_side_gets_a_slow_response(models, jpeg: bytes) -> None:
    gate = Gate()
    async with served(models, held=gate) as server:
        waiting = asyncio.create_task(send_and_half_close(server.port, post(jpeg)))
        await until(lambda: gate.waiting == 1)
        await asyncio.sleep(0.3)
        gate.let()
        assert find_status(await waiting) == 200


async def test_all_requests_pipelined_before_a_half_close_get_responses(models, jpeg: bytes) -> None:
    async with served(models) as server:
        health = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await send_and_half_close(server.port, post(jpeg) + 2 * health)
        assert answer.count(b"HTTP/1.1 200 OK") == 3


async def test_a_truncated_body_closes_the_connection_at_once(models, jpeg: bytes) -> None:
    async with served(models, upload_s=60) as server:
        assert await send_and_half_close(server.port, post(jpeg)[:-10]) == b""
        assert server.app[ADMISSION].occupied == 0


@pytest.mark.parametrize("ends_first", [True, False])
async def test_a_refused_upload_ends_when_its_client_closes_the_write_side(
    models, jpeg: bytes, tmp_path, ends_first: bool
) -> None:
    (tmp_path / "keys.toml").write_text(make_key("page")[1])
    async with asyncio.timeout(5), served(models, keys=str(tmp_path / "keys.toml")) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(jpeg)[:-10])
        if ends_first:
            writer.write_eof()
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401")
        if not ends_first:
            writer.write_eof()
        assert b"unauthorized" in await reader.read()


async def test_a_waiting_request_is_dropped_when_its_client_disconnects(models, jpeg: bytes) -> None:
    gate = Gate()
    async with served(models, held=gate, in_flight=1, max_wait_s=60) as server:
        first = asyncio.create_task(send_and_half_close(server.port, post(jpeg)))
        await until(lambda: gate.waiting == 1)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(jpeg))
        await until(lambda: server.app[ADMISSION].occupied == 2)
        writer.close()
        await until(lambda: server.app[ADMISSION].occupied == 1)
        gate.let()
        assert find_status(await first) == 200


async def test_100_continue_is_sent_only_for_a_valid_key_length_and_coding(models, jpeg: bytes, tmp_path) -> None:
    key, lines = make_key("page")
    (tmp_path / "keys.toml").write_text(lines)
    async with served(models, keys=str(tmp_path / "keys.toml"), max_body_bytes=2**20) as server:

        async def post_expecting_continue(length: int, *headers: str) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            lines = ["POST /v1/mattes HTTP/1.1", "Host: x", f"Content-Length: {length}", "Expect: 100-continue"]
            writer.write("\r\n".join([*lines, *headers, "", ""]).encode())
            async with asyncio.timeout(10):
                first = await reader.readuntil(b"\r\n\r\n")
                if first.startswith(b"HTTP/1.1 100"):
                    writer.write(jpeg)
                    first += await reader.readuntil(b"\r\n\r\n")
            writer.close()
            return first

        good = await post_expecting_continue(len(jpeg), f"X-Api-Key: {key}")
        assert good.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
        for refused, status in (
            (await post_expecting_continue(len(jpeg)), b"401"),
            (await post_expecting_continue(2**21, f"X-Api-Key: {key}"), b"413"),
            (await post_expecting_continue(len(jpeg), f"X-Api-Key: {key}", "Content-Encoding: br"), b"415"),
        ):
            assert refused.startswith(b"HTTP/1.1 " + status)
            assert b"Connection: close" in refused
