"""Callers that cost next to nothing: bare sockets, requests made beforehand, one thread a connection.

On a machine of two cores whatever the callers take is missing to the server; a whole HTTP client takes
a twentieth of what a raw tensor's inference does.
"""

import itertools
import socket
import threading
import time
from urllib.parse import urlsplit

from danmatte.capacity.load import Target
from load.callers import Tally, for_seconds


def run_bare(target: Target, connections: int, seconds: float) -> Tally:
    """As `run_at_once`: so many callers, each posting again as soon as it is answered."""
    tally, requests = Tally(), [_request(target, body) for body in target.bodies]
    threads = [threading.Thread(target=_caller, args=(target, requests, seconds, tally)) for _ in range(connections)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.seconds = time.monotonic() - started
    return tally


def _request(target: Target, body: bytes) -> bytes:
    place = urlsplit(target.url)
    headers = {"Host": place.netloc, "Content-Length": str(len(body)), **target.headers}
    lines = [f"POST {place.path}?{place.query} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _caller(target: Target, requests: list[bytes], seconds: float, tally: Tally) -> None:
    place, done = urlsplit(target.url), for_seconds(seconds)
    answer = memoryview(bytearray(4 * 2**20))
    with socket.create_connection((place.hostname or "", place.port or 80)) as line:
        for request in itertools.cycle(requests):
            if done(tally):
                return
            started = time.perf_counter()
            line.sendall(request)
            status = _read(line, answer)
            tally.statuses[status] += 1
            if status == 200:
                tally.times_ms.append(1000 * (time.perf_counter() - started))


def _read(line: socket.socket, answer: memoryview) -> int:
    """The status of an answer that says how long it is; raises ConnectionError when it breaks off."""
    have, ends = 0, -1
    while ends < 0:
        have += _receive(line, answer[have:])
        ends = answer[:have].tobytes().find(b"\r\n\r\n")
    head = answer[:ends].tobytes().decode("latin-1").lower()
    length = int(head.split("\r\ncontent-length:", 1)[1].split("\r\n", 1)[0])
    while have < ends + 4 + length:
        have += _receive(line, answer[have:])
    return int(head.split(" ", 2)[1])


def _receive(line: socket.socket, room: memoryview) -> int:
    count = line.recv_into(room)
    if not count:
        raise ConnectionError("the server hung up")
    return count
