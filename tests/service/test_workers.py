"""Several worker processes on one port: restarts, signals, and shutdown."""

import asyncio
import errno
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientConnectorError, ClientError, ClientSession

from danmatte import workers
from danmatte.errors import SettingsError
from danmatte.settings import Settings
from danmatte.telemetry.metrics import SHARED_FOLDER
from tests.service.toy import publish

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(models: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `danmatte serve` with two workers; yield it and its address, which is empty if it failed to start."""
    command = [sys.executable, "-m", "danmatte", "serve", "--port", "0", "--workers", "2", "--models", str(models)]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *flags], stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as server:
        try:
            yield server, server.stdout.readline().rpartition(" ")[2].strip()
        finally:
            server.kill()


def children(pid: int) -> list[int]:
    """Return the process ids of a supervisor's workers."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            is_worker = b"spawn_main" in status.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and is_worker:
            found.append(int(status.parent.name))
    return sorted(found)


def shared_folder(pid: int) -> str:
    """Return the folder in which workers share their counters."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in variables if line)[SHARED_FOLDER]


def count_files(folder: str) -> int:
    """Return the number of files in the folder."""
    return len(list(Path(folder).iterdir()))


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition, at most half a minute."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - another process sends no event
            await asyncio.sleep(0.05)


async def post(address: str, body: bytes) -> tuple[int, str]:
    """Return status and model version of a response on a new connection."""
    async with ClientSession() as session, session.post(f"{address}/v1/mattes", data=body) as response:
        await response.read()
        return response.status, response.headers.get("X-Model-Version", "")


async def sum_metric(address: str, name: str) -> float:
    """Return the sum of a metric's samples."""
    async with ClientSession() as session, session.get(f"{address}/metrics") as response:
        page = await response.text()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.MULTILINE))


async def test_a_killed_worker_loses_only_its_own_requests_and_is_replaced(models: Path, jpeg: bytes) -> None:
    with serving(models) as (server, address):
        outcomes: list[str] = []

        async def load(until_s: float) -> None:
            while time.monotonic() < until_s:
                try:
                    status, _ = await post(address, jpeg)
                    outcomes.append(str(status))
                except ClientConnectorError:
                    outcomes.append("refused")
                except ClientError:
                    outcomes.append("broken")

        before = children(server.pid)
        loads = [asyncio.create_task(load(time.monotonic() + 3)) for _ in range(4)]
        await asyncio.sleep(0.5)
        os.kill(before[0], signal.SIGKILL)
        await asyncio.gather(*loads)
        await until(lambda: len(children(server.pid)) == 2 and children(server.pid) != before)
        assert "refused" not in outcomes
        assert outcomes.count("broken") <= 4, outcomes  # at most one for each connection
        assert outcomes.count("200") + outcomes.count("broken") == len(outcomes)
        assert outcomes.count("200") > 20
        assert before[1] in children(server.pid)


async def test_metrics_include_all_workers_even_dead_ones(models: Path, jpeg: bytes) -> None:
    with serving(models) as (server, address):
        for _ in range(12):
            assert (await post(address, jpeg))[0] == 200
        assert await sum_metric(address, "danmatte_request_seconds_count") >= 12
        os.kill(children(server.pid)[0], signal.SIGKILL)
        async with asyncio.timeout(30):
            while await sum_metric(address, "danmatte_worker_starts_total") < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert await sum_metric(address, "danmatte_request_seconds_count") >= 12
        async with asyncio.timeout(30):
            while await sum_metric(address, "danmatte_workers") != 2:  # noqa: ASYNC110 - it is counted once it serves
                await asyncio.sleep(0.1)
        assert await sum_metric(address, "danmatte_process_resident_bytes") > 2**21


async def test_on_sigterm_every_worker_finishes_its_accepted_requests(models: Path, jpeg: bytes) -> None:
    with serving(models) as (server, address):
        host, port = address.removeprefix("http://").split(":")
        head = f"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nContent-Length: {len(jpeg)}\r\nConnection: close\r\n\r\n"
        begun = [await asyncio.open_connection(host, int(port)) for _ in range(8)]
        for _, writer in begun:
            writer.write(head.encode() + jpeg[:100])
            await writer.drain()
        await asyncio.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        for reader, writer in begun:
            writer.write(jpeg[100:])
            assert (await reader.readline()).split()[1] == b"200"
            writer.close()
        assert await asyncio.to_thread(server.wait, 20) == 0


async def test_workers_of_a_killed_supervisor_exit_and_remove_their_folder(models: Path) -> None:
    with serving(models) as (server, _):
        workers = children(server.pid)
        assert len(workers) == 2
        folder = shared_folder(workers[0])
        assert os.access(folder, os.R_OK)
        server.kill()
        await until(lambda: not any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers))
        assert not os.access(folder, os.F_OK)


async def test_an_admin_request_to_one_worker_applies_to_all(tmp_path: Path, unused_tcp_port: int, jpeg: bytes) -> None:
    for version in (1, 2):
        publish(tmp_path, version=version)
    with serving(tmp_path, "--admin-port", str(unused_tcp_port), "--watch-s", "0") as (_, address):
        assert {await post(address, jpeg) for _ in range(8)} == {(200, "2")}
        pin = f"http://127.0.0.1:{unused_tcp_port}/v1/admin/models/toy/pin"
        async with ClientSession() as session, session.post(pin, json={"version": 1}) as response:
            assert response.status == 200, await response.text()
        async with asyncio.timeout(20):
            while {await post(address, jpeg) for _ in range(8)} != {(200, "1")}:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


def test_an_error_that_prevents_workers_from_starting_is_reported_in_one_line(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    (folder / "graph.bin").write_bytes(b"broken")
    with serving(tmp_path) as (server, address):
        assert address == ""
        assert server.wait(30) == 2
        output = server.stderr.read()
    assert output.splitlines()[-1].startswith("danmatte: ")
    assert "graph.bin" in output.splitlines()[-1]
    assert "Traceback" not in output


async def test_a_worker_that_sends_no_heartbeat_is_replaced(models: Path, jpeg: bytes) -> None:
    with serving(models, "--silence-s", "2") as (server, address):
        before = children(server.pid)
        assert (await post(address, jpeg))[0] == 200
        await asyncio.sleep(3)
        assert children(server.pid) == before  # a worker that only sends heartbeats stays
        os.kill(before[0], signal.SIGSTOP)
        await until(lambda: len(children(server.pid)) == 2 and before[0] not in children(server.pid))
        assert before[1] in children(server.pid)
        async with asyncio.timeout(30):
            while await sum_metric(address, "danmatte_workers") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert {await post(address, jpeg) for _ in range(8)} == {(200, "2")}


async def test_repeatedly_killed_workers_leave_no_files(models: Path) -> None:
    with serving(models) as (server, address):
        folder = shared_folder(children(server.pid)[0])
        await wait_for_starts(address, 2)
        few = count_files(folder)
        for starts in range(3, 6):
            os.kill(children(server.pid)[0], signal.SIGKILL)
            await wait_for_starts(address, starts)
        async with asyncio.timeout(30):  # dead workers' files are merged soon after their successors start
            while count_files(folder) > few + 3:  # noqa: ASYNC110 (the merged files, and the lock)
                await asyncio.sleep(0.1)


async def wait_for_starts(address: str, starts: int) -> None:
    """Wait until this many workers have started in total."""
    async with asyncio.timeout(30):
        while await sum_metric(address, "danmatte_worker_starts_total") < starts:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


class CrowdedSystem:
    """Fails to start the first processes; later ones end immediately."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.attempts = refusals, 0

    Pipe = staticmethod(multiprocessing.Pipe)

    def Process(self, **_: object) -> "CrowdedSystem":
        return self

    pid, exitcode = 4711, 0

    def start(self) -> None:
        self.attempts += 1
        if self.attempts <= self.refusals:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def is_alive(self) -> bool:
        return False

    def join(self) -> None:
        pass


async def test_starting_a_worker_is_retried_when_processes_are_exhausted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    system = CrowdedSystem(refusals=2)
    monkeypatch.setattr(workers, "_spawn", system)
    monkeypatch.setenv(SHARED_FOLDER, "")  # so that it is restored after the test
    async with asyncio.timeout(30):
        # the third process starts, but isn't a server
        with pytest.raises(SettingsError, match="worker 0 ended while starting"):
            await workers.supervise(Settings.read(None, port=0, workers=1))
    assert system.attempts == 3
    assert caplog.text.count("Resource temporarily unavailable") == 2


def test_each_worker_uses_the_cores_it_is_pinned_to_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "count_cores", lambda: 3)
    parts = [frozenset({0}), frozenset({1, 2})]
    assert [each.cores for each in workers.divide_settings(Settings(workers=2), parts)] == [1, 2]
    assert [each.cores for each in workers.divide_settings(Settings(workers=2, cores=5), parts)] == [5, 5]


def test_only_the_first_worker_has_the_admin_api() -> None:
    found = workers.divide_settings(Settings(workers=3, admin_port=9000), [frozenset()] * 3)
    assert [each.admin_port for each in found] == [9000, 0, 0]
