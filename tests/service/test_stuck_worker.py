"""A worker with a hung decoding thread is restarted; the other one keeps serving."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import ClientError, ClientSession

from tests.service.test_workers import ROOT, children, post, until

# A format whose decoding never ends, and thresholds of parts of a second. Workers are spawned: they run this file, too.
PROGRAM = """
import sys, threading
from danmatte import app, cli
from danmatte.codecs.codec import Decoder, PictureHeader
from danmatte.frame import Size

app.STUCK_AFTER_S = 0.5

class TrapDecoder(Decoder):
    media_type = "image/x-trap"

    def claims(self, data):
        return data.startswith(b"TRAP")

    def read_header(self, data, declared):
        return PictureHeader(Size(8, 8))

    def decode(self, data, header, colour, at_least):
        threading.Event().wait()

if __name__ == "__main__":
    sys.exit(cli.main())
"""


@contextmanager
def serve(models: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run two workers with a picture format that hangs; yield the server and its address."""
    program = folder / "trapped.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), "serve", "--port", "0", "--workers", "2", "--models", str(models)]
    # A connection may belong to the stuck worker, so the other requests use new connections.
    flags = ["--deadline-s", "0.2", "--silence-s", "1.5", "--pixel-threads", "1", "--drain-s", "1"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "service"), str(ROOT)])}
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *flags], stdout=pipe, stderr=pipe, text=True, env=environment) as server:
        try:
            yield server, server.stdout.readline().rpartition(" ")[2].strip()
        finally:
            server.kill()


async def test_a_worker_whose_thread_is_stuck_is_replaced(models: Path, jpeg: bytes, tmp_path: Path) -> None:
    with serve(models, tmp_path) as (server, address):
        before = children(server.pid)
        assert len(before) == 2
        status, _ = await post(address, b"TRAP")
        assert status == 503  # the thread hangs, and the request times out
        await until(lambda: len(children(server.pid)) == 2 and children(server.pid) != before)
        after = children(server.pid)
        assert len({*before} & {*after}) == 1  # the other one is still running
        outcomes = []
        async with asyncio.timeout(60):
            while outcomes[-8:] != [200] * 8:
                try:
                    outcomes.append((await post(address, jpeg))[0])
                except ClientError:
                    outcomes.append(0)
        async with ClientSession() as session, session.get(f"{address}/v2/health/ready") as ready:
            assert ready.status == 200
        server.terminate()
        _, log = await asyncio.to_thread(server.communicate, timeout=60)
        assert "has been silent" in log
