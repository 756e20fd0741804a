"""Callers that take almost no CPU time: plain sockets, prepared requests, and one thread per connection.

On a machine of two cores, CPU time of the callers is lost to the server. A complete HTTP client takes a twentieth of
the time of a raw tensor's inference.
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
    """Run callers as `run_at_once`: each posts again as soon as it gets a response."""
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
    """Start threads that post until `done`; while `go` isn't set, they pause without a connection."""
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
    """Post on one connection until `done` or paused. Raises OSError if the connection is lost."""
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
    """Read a response with Content-Length; return status and length. Raises ConnectionError if it is incomplete."""
    have, ends = 0, -1
    while ends < 0:
        have += _receive(line, answer[have:])
        ends = answer[:have].tobytes().find(b"\r\n\r\n")
    head = answer[:ends].tobytes().decode("latin-1").lower()
    length = int(head.split("\r\ncontent-length:", 1)[1].split("\r\n", 1)[0])
    while have < ends + 4 + length:
        have += _receive(line, answer[have:])
    return int(head.split(" ", 2)[1]), length


def _receive(line: socket.socket, buffer: memoryview) -> int:
    count = line.recv_into(buffer)
    if not count:
        raise ConnectionError("the server closed the connection")
    return count
