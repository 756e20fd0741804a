"""Requirements of every gRPC service; a new one is found by its import, and only needs an example request here."""

import hashlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp.test_utils import TestClient, TestServer
from google.protobuf import descriptor_pb2

from danmatte.api.grpc import services
from danmatte.api.grpc.messages import FOLDER, message, pool
from danmatte.api.grpc.service import Service
from danmatte.app import build
from danmatte.engine import FakeEngine
from danmatte.errors import UnknownModelError
from danmatte.settings import Settings
from tests.service.conftest import models

__all__ = ["models"]

SERVICES = sorted(Service.registered)
METHODS = [f"/{name}/{method.name}" for name in SERVICES for method in pool().FindServiceByName(name).methods]
PUBLIC = {f"/{name}/{method}" for name, kind in Service.registered.items() for method in kind.public}
KEY = (("x-api-key", "secret"),)
GARBLED = b"\x0a\xff\x01x"  # a field whose declared length exceeds the message


@asynccontextmanager
async def connect(models: Path, **settings: object) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a new server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chosen = Settings.read(None, models=str(models), grpc_port=port, **settings)
    app = build(chosen, lambda found: FakeEngine(found.manifest))
    async with TestClient(TestServer(app)), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


@pytest.fixture
def keys(tmp_path: Path) -> str:
    """A file with one key, `secret`."""
    file = tmp_path / "keys.toml"
    file.write_text(f'player = "sha256:{hashlib.sha256(b"secret").hexdigest()}"\n')
    return str(file)


async def ask(channel: grpc.aio.Channel, path: str, data: bytes = b"", **options: Any) -> grpc.StatusCode:
    """Return the status of a call with one message, OK as soon as a response arrives."""
    # Not `stream_stream`: that client reports INTERNAL if the server ends the call before the message is written.
    call = channel.unary_stream(path)(data, **options)
    try:
        answer = await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()
    return await call.code() if answer is grpc.aio.EOF else grpc.StatusCode.OK


def test_every_file_of_the_folder_is_imported_and_has_its_proto() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert files == set(services.__all__)
    assert {path.stem for path in FOLDER.glob("*.proto")} == {path.stem for path in FOLDER.glob("*.binpb")} == files


@pytest.mark.parametrize("name", SERVICES)
def test_public_methods_are_methods_of_the_proto(name: str) -> None:
    methods = {method.name for method in pool().FindServiceByName(name).methods}
    assert Service.registered[name].public <= methods


@pytest.mark.parametrize("path", METHODS)
async def test_only_public_methods_can_be_called_without_a_key(models: Path, keys: str, path: str) -> None:
    async with connect(models, keys=keys) as channel:
        code = await ask(channel, path)
        assert (code is grpc.StatusCode.UNAUTHENTICATED) == (path not in PUBLIC)
        assert await ask(channel, path, metadata=KEY) is not grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("path", METHODS)
async def test_a_garbled_message_causes_no_server_error(
    models: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with connect(models) as channel:
        code = await ask(channel, path, GARBLED)
    # methods whose requests have no fields don't read them, and so succeed
    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OK)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", SERVICES)
async def test_the_health_service_reports_every_other_service(models: Path, name: str) -> None:
    request = message("grpc.health.v1.HealthCheckRequest")(service=name).SerializeToString()
    async with connect(models) as channel:
        known = name != "grpc.health.v1.Health"
        code = await ask(channel, "/grpc.health.v1.Health/Check", request)
        assert code is (grpc.StatusCode.OK if known else grpc.StatusCode.NOT_FOUND)


@pytest.fixture
def echo() -> Iterator[str]:
    """Register a new service during the test."""
    text = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
    file = descriptor_pb2.FileDescriptorProto(name="trial_echo.proto", package="trial", syntax="proto3")
    for name in ("Said", "Echoed"):
        field = descriptor_pb2.FieldDescriptorProto(name="text", number=1, type=text, label=1)
        file.message_type.add(name=name).field.append(field)
    described = file.service.add(name="Echo")
    for name, streams in (("SayAgain", False), ("SayOften", True)):
        described.method.add(name=name, input_type=".trial.Said", output_type=".trial.Echoed", server_streaming=streams)
    try:
        pool().FindServiceByName("trial.Echo")
    except KeyError:
        pool().Add(file)

    class EchoService(Service):
        name = "trial.Echo"

        async def say_again(self, request: Any, call: Any) -> Any:
            if request.text == "unknown":
                raise UnknownModelError("no such name")
            return message("trial.Echoed")(text=f"{call.caller}: {request.text}")

        async def say_often(self, request: Any, call: Any) -> AsyncIterator[Any]:
            for _ in range(3):
                yield message("trial.Echoed")(text=request.text)

    yield EchoService.name
    del Service.registered[EchoService.name]


async def test_a_new_service_class_is_served_without_further_changes(models: Path, keys: str, echo: str) -> None:
    said, echoed = message("trial.Said"), message("trial.Echoed")
    async with connect(models, keys=keys) as channel:
        again = channel.unary_unary(
            f"/{echo}/SayAgain", request_serializer=said.SerializeToString, response_deserializer=echoed.FromString
        )
        assert (await again(said(text="hello"), metadata=KEY)).text == "player: hello"
        with pytest.raises(grpc.aio.AioRpcError, match="no such name") as refused:
            await again(said(text="unknown"), metadata=KEY)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert dict(refused.value.trailing_metadata())["x-request-id"]
        often = channel.unary_stream(
            f"/{echo}/SayOften", request_serializer=said.SerializeToString, response_deserializer=echoed.FromString
        )
        assert [answer.text async for answer in often(said(text="yes"), metadata=KEY)] == ["yes"] * 3
        assert await ask(channel, f"/{echo}/SayAgain") is grpc.StatusCode.UNAUTHENTICATED
        assert await ask(channel, "/grpc.health.v1.Health/Check", b"\n\ntrial.Echo") is grpc.StatusCode.OK
