"""A server in a separate process, and its resources as the kernel reports them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

from direct import open_url

ROOT = Path(__file__).resolve().parents[2]
DANMATTE = (sys.executable, "-m", "danmatte", "serve")
READY_WITHIN_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """Context manager that starts `command`, waits until it is ready at `address`, and ends it by SIGTERM."""

    def __init__(
        self, command: Sequence[object], address: str = "", *, cores: set[int] | None = None, **environment: str
    ) -> None:
        self._command, self._cores = [str(word) for word in command], cores
        self._environment = {**os.environ, **environment}
        self.address = address
        self.exit_code: int | None = None

    def __enter__(self) -> "Server":
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            stdout=subprocess.PIPE if not self.address else subprocess.DEVNULL,
            text=True,
            env=self._environment,
            start_new_session=True,  # so that remaining child processes can be found
            preexec_fn=partial(os.sched_setaffinity, 0, cores) if (cores := self._cores) else None,
        )
        try:
            self._await()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Return the id of the started process."""
        return self._process.pid

    def stop(self) -> int:
        """Send SIGTERM and return the exit code; a server that doesn't end within 60 s is killed."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self.exit_code = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.exit_code = self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # children that outlived it
        return self.exit_code

    def wait(self, timeout_s: float) -> int:
        """Wait for the server's end and return its exit code."""
        self.exit_code = self._process.wait(timeout_s)
        return self.exit_code

    def children(self) -> list[int]:
        """Return the ids of its worker processes, without the helper processes of multiprocessing."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
            found += [int(pid) for pid in task.read_text().split()]
        return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def cpu_s(self) -> float:
        """Return the CPU seconds of all its processes so far."""
        return sum(_cpu_s(pid) for pid in (self.pid, *self.children()))

    def facts(self) -> dict[str, int]:
        """Return memory, descriptors and threads of all its processes."""
        pids = (self.pid, *self.children())
        return {
            "resident_bytes": sum(_status(pid, "VmRSS") * 1024 for pid in pids),
            "descriptors": sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
            "threads": sum(_status(pid, "Threads") for pid in pids),
        }

    def get(self, path: str) -> str:
        """Return the body of the response to a GET request."""
        with open_url(self.address + path, timeout=30) as answer:
            return str(answer.read().decode())

    def _await(self) -> None:
        if not self.address:
            line = self._process.stdout.readline() if self._process.stdout else ""
            if not line:
                raise SystemExit(f"{' '.join(self._command)}: ended with {self._process.wait()}")
            self.address = line.split()[-1]
            threading.Thread(target=self._drop, daemon=True).start()
        until = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < until:
            try:
                with open_url(f"{self.address}/v2/health/ready", timeout=5):
                    return
            except HTTPError:
                return  # a response, even if the path is unknown, shows that it is ready
            except (URLError, OSError):
                time.sleep(0.1)
        raise SystemExit(f"{self.address}: no response within {READY_WITHIN_S:.0f} s")

    def _drop(self) -> None:
        for _ in self._process.stdout or ():
            pass


def served(models: Path, *flags: object, cores: set[int] | None = None) -> Server:
    """Return a server `danmatte serve` on a free port."""
    return Server([*DANMATTE, "--port", 0, "--models", models, *flags], cores=cores)


def post_json(url: str, body: Any = None) -> tuple[int, Any]:
    """Post to the admin API; return status and JSON of the response."""
    request = Request(url, b"" if body is None else json.dumps(body).encode(), method="POST")
    try:
        with open_url(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)


def _cpu_s(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise SystemExit(f"process {pid}: expected {name} in its status, found none")
