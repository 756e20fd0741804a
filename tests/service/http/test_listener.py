"""Bytes that aren't HTTP requests, requests that never end, and the listening socket."""

import asyncio
import json
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import ClientSession

from danmatte.errors import SettingsError
from danmatte.http.listener import bind, read_certificate
from danmatte.settings import Settings
from tests.service.serving import served


async def send_raw(port: int, data: bytes) -> tuple[int, dict]:
    """Return status and body of the response to raw bytes; the connection has to be closed after it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    "data",
    [
        b"RUBBISH\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # a TLS ClientHello
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: \xff\xff\r\nConnection: close\r\n\r\n",
        b"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_malformed_http_is_refused_with_a_json_error(models: Path, data: bytes) -> None:
    async with served(models) as server:
        status, refusal = await send_raw(server.port, data)
        assert set(refusal) == {"error", "code", "status", "request_id"}
        assert (status, refusal["status"], refusal["code"]) == (400, 400, "bad_request")


async def test_headers_up_to_the_limit_pass_and_longer_ones_are_refused(models: Path) -> None:
    async with served(models, max_header_bytes=1000, max_headers=20) as server:
        fitting = {"X": "x" * 990}
        async with ClientSession() as session, session.get(f"{server.url}/v2/health/live", headers=fitting) as answer:
            assert answer.status == 200
        status, refusal = await send_raw(server.port, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 1001 + b"\r\n\r\n")
        assert (status, refusal["code"]) == (431, "headers_too_large")
        status, refusal = await send_raw(server.port, b"GET /" + b"x" * 1001 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, refusal["code"]) == (431, "headers_too_large")
        status, refusal = await send_raw(server.port, b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 21 + b"\r\n")
        assert (status, refusal["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (b"Expect: wonders", 417, "expectation_failed"),
        (b"Content-Encoding: zstd", 415, "unsupported_media_type"),
        (b"Content-Encoding: br", 415, "unsupported_media_type"),
        (b"Content-Encoding: x-gzip", 415, "unsupported_media_type"),
    ],
)
async def test_unsupported_expectations_and_codings_are_refused_with_a_json_error(
    models: Path, header: bytes, status: int, code: str
) -> None:
    async with served(models) as server:
        head = b"POST /v1/mattes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n"
        received, refusal = await send_raw(server.port, head + header + b"\r\n\r\nx")
        assert (received, refusal["code"], len(refusal["request_id"])) == (status, code, 32)


@pytest.mark.parametrize("begun", [b"", b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_with_incomplete_headers_is_closed_after_a_timeout(models: Path, begun: bytes) -> None:
    async with served(models, keepalive_s=0.3) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begun)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_an_idle_connection_is_closed_after_a_timeout(models: Path) -> None:
    async with served(models, keepalive_s=0.3) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(5):
            assert b'{"live": true}' in await reader.read()
        writer.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    about = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    try:
        subprocess.run([*command, *about, "-keyout", key, "-out", cert], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl isn't here to make a certificate")
    return str(cert), str(key)


async def test_a_server_with_a_certificate_serves_https(models: Path, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    trust = ssl.create_default_context(cafile=cert)
    async with served(models, tls_certificate=cert, tls_key=key) as server:
        assert server.url.startswith("https://127.0.0.1:")
        async with ClientSession() as session, session.get(f"{server.url}/v2/health/live", ssl=trust) as answer:
            assert answer.status == 200


def test_an_invalid_certificate_is_a_settings_error(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("rubbish")
    settings = Settings.read(None, tls_certificate=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"))
    with pytest.raises(SettingsError, match="expected a PEM certificate"):
        read_certificate(settings)


def test_binding_to_an_address_of_a_different_host_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
        bind(Settings.read(None, host="192.0.2.1", open=True, port=0))


async def test_a_grpc_port_in_use_is_refused(models: Path, unused_tcp_port: int) -> None:
    pytest.importorskip("grpc")
    async with served(models, grpc_port=unused_tcp_port):
        with pytest.raises(SettingsError, match="expected a free port"):
            async with served(models, grpc_port=unused_tcp_port):
                pytest.fail("the second one listens, too")


@pytest.mark.parametrize("setting", ["admin_port", "admin_grpc_port"])
async def test_an_admin_port_in_use_is_refused(models: Path, unused_tcp_port: int, setting: str) -> None:
    pytest.importorskip("grpc")
    ports = {setting: unused_tcp_port, "workers": 2}  # several workers share the public port, but not this one
    async with served(models, **ports):
        with pytest.raises(SettingsError, match=f"{setting}: .*{unused_tcp_port}"):
            async with served(models, **ports):
                pytest.fail("the second one listens, too")


async def test_a_client_that_reads_no_response_is_disconnected(models: Path, jpeg: bytes) -> None:
    request_line = "POST /v1/mattes?width=4096&height=4096&format=raw HTTP/1.1"
    head = f"{request_line}\r\nHost: x\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    async with asyncio.timeout(10):
        with socket.socket() as client:
            async with served(models, keepalive_s=0.3, drain_s=60) as server:  # the shutdown waits for unsent responses
                client.connect(("127.0.0.1", server.port))
                client.sendall(head.encode() + jpeg)
                assert await asyncio.to_thread(client.recv, 8) == b"HTTP/1.1"


async def test_a_client_that_reads_slowly_gets_the_whole_response(models: Path, jpeg: bytes) -> None:
    async with served(models, keepalive_s=0.3) as server:
        url, size = f"{server.url}/v1/mattes?width=4096&height=4096&format=raw", 0
        async with ClientSession() as session, session.post(url, data=jpeg) as answer:
            async for chunk in answer.content.iter_chunked(2**20):
                size += len(chunk)
                await asyncio.sleep(0.05)
    assert size == 4096 * 4096
