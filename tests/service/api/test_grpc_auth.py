"""Authentication over gRPC, and the limit on memory that unauthenticated clients can take."""

import asyncio
import hashlib
import json
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from danmatte.api.grpc.messages import inference
from tests.service.api.test_grpc import Connect, Side, connect, infer
from tests.service.serving import program

__all__ = ["connect"]
MIB = 2**20
SERVICE = "/inference.GRPCInferenceService"
KEY = (("authorization", "Bearer secret"),)
HEADERS, DATA, SETTINGS = 1, 0, 4
END_STREAM, END_HEADERS = 1, 4


@pytest.fixture
def keys(tmp_path: Path) -> str:
    """A file with one key, `secret`."""
    file = tmp_path / "keys.toml"
    file.write_text(f'player = "sha256:{hashlib.sha256(b"secret").hexdigest()}"\n')
    return str(file)


class Wire:
    """A raw HTTP/2 client, whose calls send only the beginning of their message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + make_frame(SETTINGS, 0, 0, b""))

    async def stall(self, path: str, number: int = 1) -> None:
        """Begin a call with a message of 8 MiB."""
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x"}
        fields |= {"te": "trailers", "content-type": "application/grpc"}
        block = b"".join(b"\0" + encode_string(name) + encode_string(value) for name, value in fields.items())
        begun = b"\0" + struct.pack(">I", 8 * MIB) + b"\n" + bytes(99)
        self._writer.write(make_frame(HEADERS, END_HEADERS, number, block) + make_frame(DATA, 0, number, begun))
        await self._writer.drain()

    async def read_end(self) -> tuple[int, bytes]:
        """Return the next call that the server ends, with its trailing headers."""
        while True:
            head = await self._reader.readexactly(9)
            content = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] == HEADERS and head[4] & END_STREAM:
                return int.from_bytes(head[5:], "big"), content


def make_frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def encode_string(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Wire(reader, writer)
    writer.close()


async def refused(side: Side, path: str, **options) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await side.channel.unary_unary(path)(b"", **options)
    return error.value


async def test_calls_without_a_valid_key_are_unauthenticated(connect: Connect, keys: str) -> None:
    side = await connect(keys=keys)
    await side.call("ModelInfer", infer(), metadata=KEY)
    await side.call("ModelInfer", infer(), metadata=(("x-api-key", "secret"),))
    for given in ((), (("authorization", "Bearer guess"),)):
        for method in ("ModelInfer", "ModelStreamInfer", "ServerMetadata", "Nothing"):
            error = await refused(side, f"{SERVICE}/{method}", metadata=given)
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED, method
            assert "guess" not in error.details()


async def test_health_calls_need_no_key(connect: Connect, keys: str) -> None:
    side = await connect(keys=keys)
    assert (await side.call("ServerLive")).live
    assert (await side.call("ServerReady")).ready
    assert await side.health() == 1


async def test_an_unknown_method_is_unimplemented_for_an_authenticated_client(connect: Connect, keys: str) -> None:
    error = await refused(await connect(keys=keys), f"{SERVICE}/Nothing", metadata=KEY)
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_unauthenticated_calls_are_refused_before_their_message_arrives(connect: Connect, keys: str) -> None:
    side = await connect(keys=keys, queue=1, live_connections=1)
    streams = range(1, 301, 2)  # more than the server's limit of calls
    async with wire(side.port) as intruder, asyncio.timeout(10):
        for number in streams:
            await intruder.stall(f"{SERVICE}/ModelInfer", number)
            ended, headers = await intruder.read_end()
            assert ended == number
            assert number > 1 or b"grpc-status\x0216" in headers
        assert (await side.call("ModelInfer", infer(), metadata=KEY)).outputs


@pytest.mark.parametrize(
    "path", ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", f"{SERVICE}/ServerLive"]
)
async def test_unauthenticated_health_calls_time_out_if_their_message_stalls(
    connect: Connect, keys: str, path: str
) -> None:
    side = await connect(keys=keys)
    async with wire(side.port) as intruder, asyncio.timeout(5):
        await intruder.stall(path)
        assert b"grpc-status\x013" in (await intruder.read_end())[1]


async def test_concurrent_unauthenticated_calls_are_limited(connect: Connect, keys: str) -> None:
    side = await connect(keys=keys)
    path, number = "/grpc.health.v1.Health/Check", 1
    async with wire(side.port) as intruder, asyncio.timeout(10):
        for number in range(1, 2 * 33, 2):
            await intruder.stall(path, number)
        ended, headers = await intruder.read_end()
        assert (ended, b"grpc-status\x018" in headers) == (number, True)
        assert (await side.call("ModelInfer", infer(), metadata=KEY)).outputs


async def test_unauthenticated_calls_are_logged_and_counted(
    connect: Connect, keys: str, capfd: pytest.CaptureFixture[str]
) -> None:
    side = await connect(keys=keys, access_log="json", open_metrics=True)
    error = await refused(side, f"{SERVICE}/ModelInfer", metadata=(("x-request-id", "abc-1"),))
    assert dict(error.trailing_metadata())["x-request-id"] == "abc-1"
    await refused(side, "/any.Thing/AtAll")
    await side.call("ModelInfer", infer(), metadata=KEY)
    text = await (await side.client.get("/metrics")).text()
    assert re.search(r'rejected_total\{code="unauthorized"\} 2.0', text), text
    await side.client.close()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if "gRPC" in line]
    facts = [(line["path"], line["status"], line["code"], line["caller"]) for line in lines]
    assert facts == [
        (f"{SERVICE}/ModelInfer", 401, "unauthorized", ""),
        (f"{SERVICE}/other", 401, "unauthorized", ""),
        (f"{SERVICE}/ModelInfer", 200, "", "player"),
    ]
    assert lines[0]["request_id"] == "abc-1"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux reports a process's peak memory")
async def test_a_compressed_message_is_not_decompressed_beyond_the_limit(models: Path, unused_tcp_port: int) -> None:
    flags = ("--grpc-port", str(unused_tcp_port), "--max-body-bytes", str(4 * MIB))
    with program(models, *flags) as (server, _):
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{unused_tcp_port}", options) as channel:
            method = channel.unary_unary(
                f"{SERVICE}/ModelInfer", response_deserializer=inference("ModelInferResponse").FromString
            )
            packed = {"compression": grpc.Compression.Gzip}
            assert (await method(infer().SerializeToString(), **packed)).outputs
            before = peak_bytes(server.pid)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await method(bytes(200 * MIB), **packed)
            assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert peak_bytes(server.pid) - before < 32 * MIB


def peak_bytes(pid: int) -> int:
    """Return the peak memory of a process."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(line) * 1024
