"""Libraries that write to standard error can't block threads, forge log lines or flood the log."""

import asyncio
import re
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from danmatte.inference.pool import PhasePool, Phases
from danmatte.telemetry.native_output import escape
from danmatte.telemetry.timing import Timing
from tests.service.held import Gate

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"(INFO|WARNING|ERROR) [\w.]+: .*", re.ASCII)


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def noisy_png(count: int, name: bytes) -> bytes:
    """Return a picture with chunks that make libpng write a warning with their name."""
    rows = zlib.compress(b"".join(b"\0" + bytes(3 * 64) for _ in range(64)))
    bad = chunk(b"iCCP", name + b"\0\0" + zlib.compress(bytes(200))) + chunk(b"tIME", b"\0")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + bad * count + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@contextmanager
def serving(models: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `danmatte serve`, whose standard error is a pipe that isn't read."""
    command = [sys.executable, "-m", "danmatte", "serve", "--port", "0", "--models", str(models), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as server:
        try:
            yield server, server.stdout.readline().split()[-1].decode()
        finally:
            server.kill()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_library_warnings_to_an_unread_pipe_block_no_request(models: Path, jpeg: bytes, workers: str) -> None:
    noisy = noisy_png(4000, b"\nINFO danmatte.server: forged")
    with serving(models, "--workers", workers) as (server, url):
        async with ClientSession() as session:

            async def post(body: bytes) -> int:
                async with session.post(f"{url}/v1/mattes", data=body) as response:
                    await response.read()
                    return response.status

            async with asyncio.timeout(60):
                statuses = [await post(noisy) for _ in range(8)]
                assert set(statuses) <= {200, 422}
                assert await post(jpeg) == 200
        server.send_signal(signal.SIGTERM)
        _, log = await asyncio.to_thread(server.communicate, timeout=30)
        assert server.returncode == 0
    lines = log.decode("ascii").splitlines()
    assert not [line for line in lines if not LINE.fullmatch(line)]
    assert not [line for line in lines if line.startswith("INFO danmatte.server: forged")]
    written = [line for line in lines if "a library wrote" in line]
    assert len(written) < 200, "eight pictures flood the log"


def test_output_of_libraries_is_escaped_to_one_line_of_ascii() -> None:
    assert escape(b"a\x1b[31m\r\xff\xe2\x80\xa8b") == r"a\x1b[31m\r\xff\xe2\x80\xa8b"


async def test_the_longest_running_phase_of_a_stuck_thread_is_measured() -> None:
    gate, pool = Gate(), PhasePool(2)
    assert pool.longest_s == 0
    stuck = pool.run(Timing(), Phases("decode", gate.wait))
    while pool.longest_s < 0.05:
        await pool.run(Timing(), Phases("decode", lambda: None))
        await asyncio.sleep(0.01)
    gate.let()
    await stuck
    async with asyncio.timeout(5):
        while pool.longest_s:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
    pool.close()
