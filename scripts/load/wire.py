"""Callers that cost next to nothing: bare sockets, requests made beforehand, one thread a connection.

On a machine of two cores whatever the callers take is missing to the server; a whole HTTP client takes
a twentieth of what a raw tensor's inference does.
"""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from danmatte.capacity.load import Target
from load.callers import Tally, for_seconds

_PATIENCE_S = 60.0


def run_bare(target: Target, connections: int, seconds: float) -> Tally:
    """As `run_at_once`: so many callers, each posting again as soon as it is answered."""
    tally, always = Tally(), threading.Event()
    always.set()
    threads = start_callers(target, connections, for_seconds(seconds), tally, always)
    started = time.monotonic()
    for thread in threads:
        thread.join()
    tally.seconds = time.monotonic() - started
    return tally


def start_callers(
    target: Target, connections: int, done: Callable[[Tally], bool], tally: Tally, go: threading.Event
) -> list[threading.Thread]:
    """So many threads that post until it is done, and pause without a connection while `go` isn't set."""
    requests = [_request(target, body) for body in target.bodies]

    def call(first: int) -> None:
        turns = itertools.islice(itertools.cycle(requests), first, None)
        while not done(tally):
            go.wait()
            try:
                _call(target, turns, done, tally, go)
            except OSError as error:
                tally.failures[type(error).__name__] += 1
                time.sleep(0.01)

    threads = [threading.Thread(target=call, args=(number % len(requests),)) for number in range(connections)]
    for thread in threads:
        thread.start()
    return threads


def _request(target: Target, body: bytes) -> bytes:
    place = urlsplit(target.url)
    headers = {"Host": place.netloc, "Content-Length": str(len(body)), **target.headers}
    lines = [f"POST {place.path}?{place.query} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _call(
    target: Target, requests: Iterator[bytes], done: Callable[[Tally], bool], tally: Tally, go: threading.Event
) -> None:
    """Posts on one connection until it is done or paused; raises OSError when the connection breaks off."""
    place, answer = urlsplit(target.url), memoryview(bytearray(4 * 2**20))
    with socket.create_connection((place.hostname or "", place.port or 80), _PATIENCE_S) as line:
        while go.is_set() and not done(tally):
            started = time.perf_counter()
            line.sendall(next(requests))
            status, length = _read(line, answer)
            tally.statuses[status] += 1
            if status == 200 and length:
                tally.times_ms.append(1000 * (time.perf_counter() - started))


def _read(line: socket.socket, answer: memoryview) -> tuple[int, int]:
    """Status and length of an answer that says how long it is; raises ConnectionError when it breaks off."""
    have, ends = 0, -1
    while ends < 0:
        have += _receive(line, answer[have:])
        ends = answer[:have].tobytes().find(b"\r\n\r\n")
    head = answer[:ends].tobytes().decode("latin-1").lower()
    length = int(head.split("\r\ncontent-length:", 1)[1].split("\r\n", 1)[0])
    while have < ends + 4 + length:
        have += _receive(line, answer[have:])
    return int(head.split(" ", 2)[1]), length


def _receive(line: socket.socket, room: memoryview) -> int:
    count = line.recv_into(room)
    if not count:
        raise ConnectionError("the server hung up")
    return count
