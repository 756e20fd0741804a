"""`danmatte check-health`: it is cheap, and correct for servers that are ready, busy, stopping, or not running."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from danmatte.app import ADMISSION
from danmatte.cli import main
from danmatte.probe import is_ready
from danmatte.settings import Settings
from tests.service.held import Gate
from tests.service.serving import served

IMPORTED = """
import json, sys
from danmatte.cli import main
code = main(["check-health", "--url", "http://127.0.0.1:1"])
print(json.dumps([code, sorted(sys.modules)]))
"""


async def check_health(url: str) -> int:
    """Return the command's exit code."""
    return await asyncio.to_thread(main, ["check-health", "--url", url])


async def test_the_exit_code_is_0_for_a_ready_server_and_1_for_a_stopping_one(models: Path) -> None:
    async with served(models) as server:
        assert await check_health(server.url) == 0
        assert await check_health(f"{server.url}/") == 0
        server.app[ADMISSION].leaving = True
        assert await check_health(server.url) == 1


async def test_a_server_with_a_full_queue_is_ready(models: Path, jpeg: bytes) -> None:
    gate = Gate()
    async with served(models, held=gate, in_flight=1, queue=2, pixel_threads=1) as server:
        admission = server.app[ADMISSION]
        async with admission.place("a"), admission.place("b"):  # all places of the queue
            assert await check_health(server.url) == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "nonsense", "http://127.0.0.1:99999"])
def test_the_exit_code_is_1_if_no_server_can_be_reached(url: str) -> None:
    assert main(["check-health", "--url", url]) == 1


async def test_a_server_whose_response_is_not_http_is_not_ready() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await check_health(f"http://127.0.0.1:{port}") == 1


async def test_without_a_url_the_address_in_the_settings_is_checked(models: Path) -> None:
    async with served(models) as server:
        for host in ("127.0.0.1", "0.0.0.0"):
            settings = Settings(host=host, port=server.port, open=True)
            assert await asyncio.to_thread(is_ready, settings)


def test_the_command_imports_none_of_the_libraries_for_serving() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout)
    assert code == 1
    assert not {"aiohttp", "asyncio", "cv2", "numpy", "openvino", "prometheus_client"} & set(modules)
