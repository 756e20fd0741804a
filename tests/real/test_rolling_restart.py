"""A rolling restart of two servers behind nginx loses no post; a page works behind a prefix.

DANMATTE_RESTART_POSTS is the least number of posts sent meanwhile.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector

from danmatte.messages import Answer, Offer
from tests.service.serving import read_environment

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not NGINX, reason="nginx isn't installed")]
POSTS = int(os.environ.get("DANMATTE_RESTART_POSTS", "5000"))
ROOT = Path(__file__).parents[2]
CONFIGURATION = """
daemon off; master_process on; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream masks {{ {servers} keepalive 16; }}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port};
    location /masks/ {{
      proxy_pass http://masks/; proxy_http_version 1.1; proxy_request_buffering on;
      proxy_set_header Connection $connection_upgrade; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Host $http_host;
      proxy_next_upstream error timeout http_503 non_idempotent;
    }}
  }}
}}
"""


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def serve(models: Path, port: int) -> subprocess.Popen[str]:
    """A server that takes posts when this returns."""
    command = [sys.executable, "-m", "danmatte", "serve", "--port", str(port), "--models", str(models)]
    flags = ["--grace-s", "2", "--trusted-proxies", "127.0.0.1", "--max-wait-s", "10"]
    quiet = read_environment()
    server = subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=quiet)
    assert server.stdout.readline().startswith("danmatte: ready")
    return server


def wait_for(port: int) -> None:
    """Wait until the port accepts connections."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"nothing listens on {port}")


def kill(server: subprocess.Popen[str]) -> None:
    """Kill a server and close its output."""
    server.kill()
    server.wait()
    server.stdout.close()


@contextmanager
def proxy(folder: Path, ports: list[int]) -> Iterator[str]:
    """nginx in front of servers; the address of what it serves."""
    port = find_port()
    servers = " ".join(f"server 127.0.0.1:{each} max_fails=0;" for each in ports)
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, servers=servers, port=port))
    with subprocess.Popen([str(NGINX), "-c", str(file), "-p", str(folder), "-e", str(folder / "error.log")]) as process:
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}/masks"
        finally:
            process.terminate()


@asynccontextmanager
async def load(url: str, body: bytes, outcomes: Counter[object]) -> AsyncIterator[None]:
    """Posts from eight callers until the block ends."""
    done = asyncio.Event()

    async def post_often(session: ClientSession) -> None:
        while not done.is_set():
            try:
                async with session.post(f"{url}/v1/mattes", data=body) as answer:
                    await answer.read()
                    outcomes[answer.status] += 1
            except OSError as error:
                outcomes[repr(error)] += 1

    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        callers = [asyncio.create_task(post_often(session)) for _ in range(8)]
        await asyncio.sleep(0.5)
        try:
            yield
        finally:
            done.set()
            await asyncio.gather(*callers)


async def test_a_rolling_restart_loses_no_request(models: Path, jpeg: bytes, tmp_path: Path) -> None:
    ports = [find_port(), find_port()]
    servers = [await asyncio.to_thread(serve, models, port) for port in ports]
    outcomes: Counter[object] = Counter()
    restarts = 0
    try:
        with proxy(tmp_path, ports) as url:
            async with load(url, jpeg, outcomes):
                while outcomes.total() < POSTS or restarts < 2:
                    which = restarts % 2
                    servers[which].send_signal(signal.SIGTERM)
                    assert await asyncio.to_thread(servers[which].wait, 60) == 0
                    servers[which].stdout.close()
                    servers[which] = await asyncio.to_thread(serve, models, ports[which])
                    restarts += 1
    finally:
        for server in servers:
            kill(server)
    print(f"\n{restarts} restarts, {dict(outcomes)}")
    assert set(outcomes) == {200}


async def test_page_live_and_docs_work_behind_a_prefix(models: Path, jpeg: bytes, tmp_path: Path) -> None:
    port = find_port()
    server = await asyncio.to_thread(serve, models, port)
    try:
        with proxy(tmp_path, [port]) as url:
            async with ClientSession() as session:
                for path in ("/", "/danmatte.js", "/docs", "/openapi.json", "/v2/health/ready"):
                    assert (await session.get(url + path)).status == 200
                document = await (await session.get(f"{url}/openapi.json")).json()
                assert document["servers"] == [{"url": "./"}]
                page = await (await session.get(f"{url}/")).text()
                assert 'src="/' not in page
                assert 'href="/' not in page
                own = {"Origin": url.removesuffix("/masks")}
                async with session.ws_connect(f"{url}/v1/stream", headers=own) as live:
                    await live.send_bytes(Offer(7.0, jpeg).pack())
                    answer = Answer.unpack((await live.receive()).data)
                    assert (answer.pts, answer.status) == (7.0, 200)
    finally:
        kill(server)
