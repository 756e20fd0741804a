"""Certificates that are replaced while a server runs, for HTTP and gRPC."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import ClientSession

from danmatte.http.certificate import Certificate
from danmatte.http.file_watch import FILES
from tests.service.serving import served


def make_pair(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for this machine with this name, and its key."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    about = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "2"]
    try:
        subprocess.run([*command, *about, "-keyout", key, "-out", chain], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl isn't here to make a certificate")
    return chain, key


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """The current certificate, and the one that replaces it."""
    folder = tmp_path_factory.mktemp("certificates")
    return [make_pair(folder, name) for name in ("old", "new")]


@pytest.fixture
def current(pairs: list[tuple[Path, Path]], tmp_path: Path) -> tuple[Path, Path]:
    """The files that a server reads."""
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    install(pairs[0], (chain, key))
    return chain, key


def install(pair: tuple[Path, Path], current: tuple[Path, Path]) -> None:
    for source, target in zip(pair, current, strict=True):
        shutil.copy(source, target)


async def ask(url: str, trusted: Path) -> bool:
    """Return whether a new connection to the server shows a trusted certificate."""
    trust = ssl.create_default_context(cafile=str(trusted))
    try:
        async with ClientSession() as session, session.get(f"{url}/v2/health/live", ssl=trust) as answer:
            return answer.status == 200
    except ssl.SSLError:
        return False


async def test_a_replaced_certificate_is_used_without_a_restart(
    models: Path, pairs: list[tuple[Path, Path]], current: tuple[Path, Path]
) -> None:
    chain, key = map(str, current)
    async with served(models, tls_certificate=chain, tls_key=key, watch_s=0) as server:
        old, new = pairs[0][0], pairs[1][0]
        assert [await ask(server.url, old), await ask(server.url, new)] == [True, False]
        install(pairs[1], current)
        for _ in range(2):
            await server.app[FILES].look()
        assert [await ask(server.url, old), await ask(server.url, new)] == [False, True]


async def test_a_certificate_that_does_not_match_its_key_changes_nothing(
    models: Path, pairs: list[tuple[Path, Path]], current: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    chain, key = map(str, current)
    async with served(models, tls_certificate=chain, tls_key=key, watch_s=0) as server:
        shutil.copy(pairs[1][0], current[0])  # the new key isn't written yet
        for _ in range(3):
            await server.app[FILES].look()
        assert caplog.text.count("the certificate is unchanged") == 1
        assert await ask(server.url, pairs[0][0])
        shutil.copy(pairs[1][1], current[1])
        for _ in range(2):
            await server.app[FILES].look()
        assert await ask(server.url, pairs[1][0])


def test_a_missing_file_keeps_the_current_certificate(current: tuple[Path, Path]) -> None:
    certificate = Certificate(*map(str, current))
    current[0].unlink()
    assert not certificate.renew()


async def test_grpc_uses_a_replaced_certificate_without_a_restart(
    models: Path, pairs: list[tuple[Path, Path]], current: tuple[Path, Path], unused_tcp_port: int
) -> None:
    grpc = pytest.importorskip("grpc")
    from danmatte.api.grpc.messages import message

    chain, key = map(str, current)

    async def call(trusted: bytes) -> bool:
        credentials = grpc.ssl_channel_credentials(trusted)
        async with grpc.aio.secure_channel(f"localhost:{unused_tcp_port}", credentials) as channel:
            ask_live = channel.unary_unary(
                "/inference.GRPCInferenceService/ServerLive",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=message("inference.ServerLiveResponse").FromString,
            )
            try:
                return bool((await ask_live(message("inference.ServerLiveRequest")(), timeout=20)).live)
            except grpc.aio.AioRpcError as error:
                return error.code() is not grpc.StatusCode.UNAVAILABLE

    async with asyncio.timeout(60), served(models, tls_certificate=chain, tls_key=key, grpc_port=unused_tcp_port):
        old, new = (chain.read_bytes() for chain, _ in pairs)
        assert [await call(old), await call(new)] == [True, False]
        shutil.copy(pairs[1][0], current[0])
        assert await call(old)  # the new key isn't written yet
        shutil.copy(pairs[1][1], current[1])
        assert [await call(new), await call(old)] == [True, False]
