"""Hostile bytes over HTTP by the thousand: nothing crashes, hangs, or causes a server error."""

import asyncio
import json
import math
import multiprocessing
import os
import random
import re
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from aiohttp import ClientConnectionError, ClientResponseError, ClientSession, ClientTimeout, InvalidURL, TCPConnector
from yarl import URL

from danmatte.app import build
from danmatte.codecs import find_decoder
from danmatte.engine import FakeEngine
from danmatte.errors import RequestError
from danmatte.frame import Size
from danmatte.messages import Answer, Offer, read_pts
from danmatte.settings import Settings
from danmatte.telemetry.log import capture_native_output, count_native_lines, flush, log_to_errors
from tests.real.fuzzing import (
    FIRST,
    INPUTS,
    MOST_PIXELS,
    SLOW_S,
    attack_server,
    check_errors,
    corpus,
    note_part,
    send_all,
    still_serves,
    words,
)
from tests.real.mutations import mutate

pytestmark = pytest.mark.slow

WAITING = 200  # raw connections at once: many wait for a timeout
TALKERS = 3  # live connections at once
HANGS_S = 120.0  # an input takes milliseconds, and a busy machine may stop for a while
OVERLOAD = {429, 503}
TYPES = ("", "image/jpeg", "application/json", "application/octet-stream", "application/x-nv12", "text/plain")


def try_decoding(data: bytes) -> str:
    """Return the outcome for a picture: `decoded`, `too large`, or the refusal's code."""
    try:
        decoder = find_decoder("", data)
        header = decoder.read_header(data, None)
        if header.size.pixels > MOST_PIXELS:
            return "too large"
        pixels = decoder.decode(data, header, "RGB", header.turn(Size(33, 33)))
    except RequestError as error:
        return error.code
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.shape[0] <= header.size.height
    assert pixels.shape[1] <= header.size.width
    return "decoded"


def decode_all(first: int, count: int, now, answers, errors: Path) -> None:
    """Decode in a separate process, which may crash; `now` is the number of the input in work.

    `errors` becomes its error stream, with the log and what libraries write, as a server has it.
    """
    with errors.open("wb") as file:
        os.dup2(file.fileno(), 2)
    log_to_errors()
    capture_native_output()
    seeds, outcomes = corpus(), Counter()
    for number in range(first, first + count):
        now.value = number
        try:
            outcomes[try_decoding(mutate(number, seeds))] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            answers.put(f"input {number}: {error!r}")
            return
    flush()
    print(f"\nlibraries wrote {count_native_lines()} lines")
    answers.put(outcomes)


def test_no_picture_crashes_or_hangs_its_decoder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    now, answers = context.Value("q", FIRST - 1), context.Queue()  # the one before, until it has begun
    errors = tmp_path / "errors"
    process = context.Process(target=decode_all, args=(FIRST, INPUTS, now, answers, errors))
    process.start()
    outcome = watch_process(process, now, answers)
    assert isinstance(outcome, Counter), outcome
    assert outcome.total() == INPUTS
    assert outcome["decoded"] > INPUTS / 100, "hardly anything got past the headers"
    assert outcome["corrupt_picture"] > INPUTS / 100
    check_errors(errors)
    note_part("pictures", outcome)


def watch_process(process, now, answers) -> object:
    """Return the process' result, or what stopped it."""
    last, since = FIRST - 1, math.inf  # starting may take as long as it takes
    while process.is_alive() or not answers.empty():
        if not answers.empty():
            return answers.get()
        process.join(0.2)
        if now.value != last:
            last, since = now.value, time.monotonic()
        elif time.monotonic() - since > HANGS_S:
            process.kill()
            return f"input {now.value} hangs"
    return f"input {now.value} ended the process with {process.exitcode}"


async def test_no_request_causes_a_server_error(models: Path, jpeg: bytes, tmp_path: Path) -> None:
    seeds, routes = [*corpus(), *bodies()], list_routes(models)
    limits = {"deadline_s": 5, "upload_s": 1, "max_pixels": MOST_PIXELS, "max_body_bytes": 2**18}
    one_each = TCPConnector(force_close=True)  # a connection for every request, so that none is lost with another's
    with attack_server(models, tmp_path, **limits) as url:
        async with ClientSession(timeout=ClientTimeout(SLOW_S), connector=one_each) as session:
            outcomes = await send_all(partial(send_random, session, url, routes, seeds), at_once=4)
        assert await still_serves(url, jpeg)
    assert set(outcomes) >= {200, 404, 422}
    note_part("requests", outcomes)


async def send_random(
    session: ClientSession, server: str, routes: Sequence[tuple[str, str]], seeds: Sequence[bytes], number: int
) -> int | str:
    """Send a random request; return its status. One that can't even be sent is `unsent`."""
    rng = random.Random(number)
    method, path = rng.choice(routes) if rng.random() < 0.9 else (rng.choice(["GET", "PUT", "X"]), "/" + words(rng))
    path = re.sub(r"{\w+}", lambda _: rng.choice(["toy", "1", "2", "0", "99", "stable", words(rng)]), path)
    body = mutate(number, seeds) if rng.random() < 0.7 else rng.choice(seeds)
    headers = random_headers(rng)
    try:
        url = URL(server + path + query(rng), encoded=rng.random() < 0.5)
        sent = body if method not in ("GET", "HEAD") else None
        async with session.request(method, url, data=sent, headers=headers, allow_redirects=False) as answer:
            text = await answer.read()
    except (ValueError, InvalidURL):
        return "unsent"
    except ClientConnectionError as error:
        pytest.fail(f"{number}: {method} {url}: {error!r}")
    except ClientResponseError as error:  # a body to a HEAD that was no HTTP
        return error.status
    assert answer.status < 500 or answer.status in OVERLOAD, f"{number}: {method} {url}: {answer.status} {text!r}"
    if answer.status >= 400 and text:
        assert "error" in json.loads(text), f"{number}: {text!r}"
    return answer.status


def list_routes(models: Path) -> list[tuple[str, str]]:
    """Method and path of every route; those that take bodies come often."""
    app = build(Settings.read(None, models=str(models)), lambda found: FakeEngine(found.manifest))
    routes = [(route.method, route.resource.canonical) for route in app.router.routes() if route.resource]
    posts = [route for route in routes if route[0] not in ("GET", "HEAD")]
    return routes + posts * (2 * len(routes) // len(posts))


def bodies() -> list[bytes]:
    """Requests of the inference protocols, small."""
    picture = {"name": "frame", "shape": [1], "datatype": "BYTES", "data": ["x"]}
    pixels = {"name": "frame", "shape": [1, 96, 160, 3], "datatype": "UINT8", "data": [0] * (96 * 160 * 3)}
    binary = {"name": "frame", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 8}}
    messages = [
        {"inputs": [picture], "outputs": [{"name": "person"}, {"name": "mask"}]},
        {"inputs": [pixels], "id": "1", "parameters": {"binary_data_output": True, "timeout": 1_000_000}},
        {"inputs": [binary]},
        {"instances": [{"b64": "/9j/"}]},
        {"inputs": {"b64": "/9j/"}, "signature_name": "serving_default"},
        {"instances": [[[[0, 0, 0]] * 160] * 96]},
    ]
    multipart = b"--x\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\r\n--x--\r\n"
    return [multipart, *(json.dumps(message).encode() for message in messages)]


def random_headers(rng: random.Random) -> dict[str, str]:
    """Some of the headers that mean something."""
    choices = {
        "Content-Type": [*TYPES, "multipart/form-data; boundary=x", "multipart/mixed", "image/jpeg; x=" + words(rng)],
        "Accept": ["*/*", "image/webp", "image/svg+xml;q=0.1, image/png;q=0", "multipart/mixed", words(rng)],
        "Inference-Header-Content-Length": ["0", "10", "-1", "99999999", "1e3", words(rng)],
        "Content-Encoding": ["gzip", "deflate", "br", "zstd", "identity", words(rng)],
        "Range": ["bytes=0-", "bytes=-1", "bytes=9-1", words(rng)],
        "traceparent": ["00-" + "1" * 32 + "-" + "2" * 16 + "-01", words(rng)],
        "X-Request-Id": ["a", words(rng)],
    }
    chosen = {name: rng.choice(values) for name, values in choices.items() if rng.random() < 0.3}
    return {name: re.sub(r"[\r\n\0]", "", value) for name, value in chosen.items()}


def query(rng: random.Random) -> str:
    """A query of known and unknown names, with edges as values."""
    names = ["width", "height", "model", "version", "label", "format", "soft", "threshold", "polarity", "pts"]
    values = ["0", "1", "96", "-1", "1e9", "99999999999999999999", "nan", "true", "png", "svg", "rle", "bits", "raw"]
    pairs = [
        f"{rng.choice([*names, words(rng)])}={rng.choice([*values, words(rng)])}" for _ in range(rng.randint(0, 3))
    ]
    return "?" + "&".join(pairs) if pairs else ""


async def test_no_raw_bytes_stop_the_server(models: Path, jpeg: bytes, tmp_path: Path) -> None:
    head = b"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
    upgrade = b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    secret = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    chunked = b"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    seeds = [head + jpeg[:2000], upgrade + secret + b"\x82\x85abcdefghi", chunked, b"GET /metrics HTTP/1.1\r\n\r\n" * 3]
    with attack_server(models, tmp_path, keepalive_s=0.5, upload_s=0.3) as url:
        outcomes = await send_all(partial(shout, URL(url).port, seeds), at_once=WAITING)
        assert await still_serves(url, jpeg)
    assert "500" not in outcomes
    assert set(outcomes) >= {"400", "404"}
    note_part("connections", outcomes)


async def shout(port: int, seeds: Sequence[bytes], number: int) -> str:
    """The status of the first answer to raw bytes, or nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(mutate(number, seeds))
        async with asyncio.timeout(SLOW_S):
            line = await reader.readline()
        return line.split()[1].decode() if line.startswith(b"HTTP/") else ""
    except ConnectionError:
        return "hung up"
    finally:
        writer.close()


async def test_no_live_message_ends_more_than_its_connection(models: Path, jpeg: bytes, tmp_path: Path) -> None:
    seeds = [Offer(float(number), body).pack() for number, body in enumerate(corpus())]
    outcomes: Counter[object] = Counter()
    numbers = deque(range(FIRST, FIRST + INPUTS))

    async def talk_on(session: ClientSession, url: str) -> None:
        while numbers:
            outcomes.update([item async for item in talk(session, url, numbers, seeds)])

    with attack_server(models, tmp_path, max_pixels=MOST_PIXELS, max_body_bytes=2**18) as url:
        async with ClientSession() as session, asyncio.TaskGroup() as talkers:
            for _ in range(TALKERS):
                talkers.create_task(talk_on(session, url))
        assert await still_serves(url, jpeg)
    assert set(outcomes) <= {200, 400, 413, 415, 422, "closed 1002"}
    note_part("messages", outcomes)


async def talk(session: ClientSession, url: str, numbers: deque[int], seeds: Sequence[bytes]) -> AsyncIterator[object]:
    """The answers' statuses on one connection, until it is closed or no message is left."""
    async with session.ws_connect(f"{url}/v1/stream?width=32&height=18") as socket:
        while numbers:
            number = numbers.popleft()
            message = mutate(number, seeds)
            await socket.send_bytes(message)
            received = await socket.receive(timeout=SLOW_S)
            if not isinstance(received.data, bytes):
                yield f"closed {socket.close_code}"
                return
            answer = Answer.unpack(received.data)
            assert answer.status < 500, (number, answer)
            assert repr(answer.pts) == repr(read_pts(message)), number
            yield answer.status
