"""Long-lived gRPC calls, and the recording of calls."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from danmatte.api.grpc.messages import message
from danmatte.api.grpc.services.health import WATCHERS
from danmatte.inference.admission import Place
from tests.service.api.test_grpc import PICTURE, Connect, Side, connect, infer
from tests.service.test_app import until

__all__ = ["connect"]
GARBLED = b"\x0a\xff\x01x"  # a field whose declared length exceeds the message
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def watch_health(side: Side) -> grpc.aio.UnaryStreamCall:
    """Watch the server's health until the call ends."""
    return side.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=message("grpc.health.v1.HealthCheckRequest").SerializeToString,
        response_deserializer=message("grpc.health.v1.HealthCheckResponse").FromString,
    )(message("grpc.health.v1.HealthCheckRequest")())


async def has_room_to_watch(side: Side) -> bool:
    try:
        return (await watch_health(side).read()).status == 1
    except grpc.aio.AioRpcError:
        return False


async def test_health_watchers_are_limited_and_leave_room_for_other_calls(connect: Connect) -> None:
    side = await connect()
    watches = [watch_health(side) for _ in range(WATCHERS)]
    for watch in watches:
        assert (await watch.read()).status == 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await watch_health(side).read()
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await side.call("ModelInfer", infer())).outputs
    watches[0].cancel()
    async with asyncio.timeout(5):
        while not await has_room_to_watch(side):  # noqa: ASYNC110 - the server gives no event for it
            await asyncio.sleep(0.02)


@asynccontextmanager
async def vanishing_network(port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A proxy to a server, and an event after which it drops all data without closing connections."""
    vanished, ways = asyncio.Event(), list[asyncio.Task[None]]()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            if not vanished.is_set():
                writer.write(data)

    async def connect_both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        ways.extend(asyncio.create_task(pass_on(*ends)) for ends in ((reader, to_server), (from_server, writer)))

    async with await asyncio.start_server(connect_both, "127.0.0.1", 0) as between:
        yield between.sockets[0].getsockname()[1], vanished
        for way in ways:
            way.cancel()


async def test_watchers_on_dead_connections_are_ended_to_admit_new_ones(connect: Connect) -> None:
    side = await connect(live_heartbeat_s=0.5)
    async with vanishing_network(side.port) as (port, vanished):
        far = replace(side, channel=grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        watches = [watch_health(far) for _ in range(WATCHERS)]
        for watch in watches:
            assert (await watch.read()).status == 1
        await asyncio.sleep(1.2)  # connections with acknowledged pings stay open
        assert not any(watch.done() for watch in watches)
        vanished.set()
        async with asyncio.timeout(20):
            while not await has_room_to_watch(side):  # noqa: ASYNC110 - the server gives no event for it
                await asyncio.sleep(0.1)
        await far.channel.close()


async def test_streams_are_limited_by_live_connections(connect: Connect) -> None:
    side = await connect(live_connections=1)
    first = side.stream(None)
    await first.write(infer())
    assert (await first.read()).infer_response.id == "a7"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await side.stream(None).read()
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await first.done_writing()
    assert await first.read() is grpc.aio.EOF


async def test_a_stream_releases_the_bytes_that_it_held(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"hold": list[int](), "release": list[int]()}

    def record(name: str) -> None:
        method = getattr(Place, name)

        def record_count(place: Place, count: int) -> None:
            if place.long_lived:
                counts[name].append(count)
            method(place, count)

        monkeypatch.setattr(Place, name, record_count)

    record("hold")
    record("release")
    side = await connect()
    stream = side.stream([infer(), infer(shape=[7]), infer()])
    assert [bool(answer.error_message) async for answer in stream] == [False, True, False]
    assert len(counts["hold"]) == 2
    assert sorted(counts["hold"]) == sorted(counts["release"])


async def test_an_idle_stream_is_ended_after_its_pending_responses(connect: Connect) -> None:
    side = await connect(live_idle_s=0.2, delay_s=0.5)
    stream = side.stream(None)
    await stream.write(infer())
    async with asyncio.timeout(5):
        assert (await stream.read()).infer_response.id == "a7"
        assert await stream.read() is grpc.aio.EOF
    assert await stream.code() == grpc.StatusCode.OK


async def test_every_call_writes_a_line_to_the_access_log(connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    side = await connect(access_log="json")
    carried = (("x-request-id", "abc-1"), ("traceparent", TRACE))
    await side.call("ModelInfer", infer(), metadata=carried)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await side.call("ModelInfer", infer(raw=PICTURE[:-1]), metadata=(("x-request-id", "no id"),))
    stream = side.stream([infer(), infer(shape=[7])])
    assert [bool(answer.error_message) async for answer in stream] == [False, True]
    await side.client.close()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if "gRPC" in line]
    facts = [(line["path"].rpartition("Service/")[2], line["status"], line["code"]) for line in lines]
    assert facts[:2] == [("ModelInfer", 200, ""), ("ModelInfer", 400, "bad_tensor")]
    side_by_side = [("ModelStreamInfer/request", 200, ""), ("ModelStreamInfer/request", 400, "bad_tensor")]
    assert sorted(facts[2:4]) == side_by_side
    assert facts[4:] == [("ModelStreamInfer", 200, "")]
    assert (lines[0]["request_id"], lines[0]["traceparent"], lines[0]["caller"]) == ("abc-1", TRACE, "127.0.0.1")
    assert "infer_ms" in lines[0]
    ids = dict(refused.value.trailing_metadata())
    assert ids["x-request-id"] == lines[1]["request_id"] != "no id"


async def test_phases_of_a_call_are_exported_as_opentelemetry_spans(connect: Connect) -> None:
    pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    sent = ExportTraceServiceRequest()

    async def take(request: web.Request) -> web.Response:
        sent.MergeFromString(await request.read())
        return web.Response()

    collector = web.Application()
    collector.router.add_post("/v1/traces", take)
    async with TestServer(collector) as endpoint:
        side = await connect(otlp_endpoint=str(endpoint.make_url("/")))
        await side.call("ModelInfer", infer(), metadata=(("traceparent", TRACE),))
        await side.client.close()
    spans = {span.name: span for part in sent.resource_spans for scope in part.scope_spans for span in scope.spans}
    call = spans["/inference.GRPCInferenceService/ModelInfer"]
    assert call.parent_span_id.hex() == TRACE[36:52]
    assert spans["infer"].parent_span_id == call.span_id


async def test_a_call_abandoned_by_its_client_is_logged(connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    side = await connect(access_log="json", delay_s=5)
    with pytest.raises(grpc.aio.AioRpcError):
        await side.call("ModelInfer", infer(), timeout=0.3)
    output = []

    def logged() -> bool:
        output.append(capfd.readouterr().out)
        return '"status":' in "".join(output)

    await until(logged)
    assert json.loads("".join(output).splitlines()[0])["status"] in (499, 503)


@pytest.mark.parametrize("name", ["inference.GRPCInferenceService/ModelInfer", "grpc.health.v1.Health/Check"])
async def test_an_unparsable_message_gets_invalid_argument_without_a_traceback(
    connect: Connect, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    side = await connect()
    with pytest.raises(grpc.aio.AioRpcError, match="expected bytes of") as refused:
        await side.channel.unary_unary(f"/{name}")(GARBLED)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert not caplog.records


async def test_an_unparsable_message_ends_its_stream(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    side = await connect()
    sent = iter([infer().SerializeToString(), GARBLED])
    stream = side.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(sent)
    assert await stream.read()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream.read()
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert not caplog.records
