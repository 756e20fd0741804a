"""V2 over gRPC with a plain channel: all calls, errors, deadlines, cancelled calls, and shutdown."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
from aiohttp.test_utils import TestClient
from google.protobuf import descriptor_pb2

from danmatte.api.grpc import messages
from danmatte.api.grpc.messages import inference, message
from danmatte.app import ADMISSION, LIVE
from tests.service import pictures
from tests.service.conftest import Start
from tests.service.toy import Toy

TOY = Toy()
SHAPE = [1, TOY.height, TOY.width, 3]
PICTURE = np.full(SHAPE, 255, np.uint8).tobytes()
FOLDER = messages.FOLDER


@dataclass
class Side:
    """The application, and a channel to its gRPC port."""

    client: TestClient
    channel: grpc.aio.Channel
    port: int

    async def call(self, name: str, request=None, **options):
        """Make one unary call of the inference service."""
        request = request or inference(f"{name}Request")()
        answer = {"ModelInfer": "ModelInferResponse"}.get(name, f"{name}Response")
        method = self.channel.unary_unary(
            f"/inference.GRPCInferenceService/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=inference(answer).FromString,
        )
        return await method(request, **options)

    def stream(self, requests):
        method = self.channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=inference("ModelInferRequest").SerializeToString,
            response_deserializer=inference("ModelStreamInferResponse").FromString,
        )
        return method(requests)

    async def health(self, service: str = "") -> int:
        method = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=message("grpc.health.v1.HealthCheckRequest").SerializeToString,
            response_deserializer=message("grpc.health.v1.HealthCheckResponse").FromString,
        )
        return (await method(message("grpc.health.v1.HealthCheckRequest")(service=service))).status


Connect = Callable[..., Awaitable[Side]]


@pytest.fixture
async def connect(start: Start) -> AsyncIterator[Connect]:
    """Start a server with a gRPC port."""
    channels = []

    async def connected(**settings: object) -> Side:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        client = await start(grpc_port=port, **settings)
        channels.append(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        return Side(client, channels[-1], port)

    yield connected
    for channel in channels:
        await channel.close()


def infer(*, raw: bytes | None = PICTURE, outputs: tuple[str, ...] = (), **changes: object):
    """Return a ModelInferRequest with one picture."""
    tensor = {"name": "frame", "datatype": "UINT8", "shape": SHAPE} | changes
    return inference("ModelInferRequest")(
        model_name="toy",
        id="a7",
        inputs=[tensor],
        outputs=[{"name": name} for name in outputs],
        raw_input_contents=[] if raw is None else [raw],
    )


async def test_output_tensors_are_returned_as_raw_bytes(connect: Connect, free_loop: None) -> None:
    answer = await (await connect(real=True)).call("ModelInfer", infer())
    assert (answer.model_name, answer.model_version, answer.id) == ("toy", "2", "a7")
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("person", "FP32", [1, TOY.rows, TOY.columns, 1])
    assert np.frombuffer(answer.raw_output_contents[0], "<f4") == pytest.approx(1)


async def test_input_values_may_be_typed_contents_instead_of_raw_bytes(connect: Connect) -> None:
    answer = await (await connect()).call("ModelInfer", infer(raw=None, contents={"uint_contents": PICTURE}))
    assert np.frombuffer(answer.raw_output_contents[0], "<f4") == pytest.approx(1)


@pytest.mark.parametrize("raw", [True, False])
async def test_an_encoded_picture_gets_an_encoded_mask(connect: Connect, jpeg: bytes, raw: bool) -> None:
    sent = (
        {"raw": len(jpeg).to_bytes(4, "little") + jpeg}
        if raw
        else {"raw": None, "contents": {"bytes_contents": [jpeg]}}
    )
    answer = await (await connect()).call("ModelInfer", infer(**sent, datatype="BYTES", shape=[1], outputs=("mask",)))
    assert [output.name for output in answer.outputs] == ["mask"]
    assert answer.raw_output_contents[0][4:].startswith(b"\x89PNG")


async def test_messages_may_exceed_the_grpc_librarys_default_limit(connect: Connect) -> None:
    side = await connect()
    picture = pictures.encoded(".png", pictures.noise(1440, 2560))
    assert len(picture) > 4 * 2**20  # gRPC's default
    raw = len(picture).to_bytes(4, "little") + picture
    answer = await side.call("ModelInfer", infer(raw=raw, datatype="BYTES", shape=[1]))
    assert list(answer.outputs[0].shape) == [1, TOY.rows, TOY.columns, 1]


async def test_a_message_over_max_body_bytes_is_refused(connect: Connect) -> None:
    side = await connect(max_body_bytes=2 * len(PICTURE))
    await side.call("ModelInfer", infer())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await side.call("ModelInfer", infer(raw=PICTURE * 5, shape=[5, *SHAPE[1:]]))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_metadata_calls_describe_the_server_and_its_models(connect: Connect) -> None:
    side = await connect()
    assert (await side.call("ServerLive")).live
    assert (await side.call("ServerReady")).ready
    assert "binary_tensor_data" in (await side.call("ServerMetadata")).extensions
    named = {"name": "toy"}
    assert (await side.call("ModelReady", inference("ModelReadyRequest")(**named))).ready
    assert not (await side.call("ModelReady", inference("ModelReadyRequest")(name="toi"))).ready
    model = await side.call("ModelMetadata", inference("ModelMetadataRequest")(**named))
    assert (list(model.versions), list(model.inputs[0].shape)) == (["2", "1"], [-1, *SHAPE[1:]])
    config = (await side.call("ModelConfig", inference("ModelConfigRequest")(**named))).config
    assert (config.input[0].format, list(config.input[0].dims), config.max_batch_size) == (1, SHAPE[1:], 32)
    assert config.parameters["colour"].string_value == "RGB"
    index = await side.call("RepositoryIndex")
    assert [(entry.version, entry.state) for entry in index.models] == [("2", "READY"), ("1", "UNAVAILABLE")]
    ready = await side.call("RepositoryIndex", inference("RepositoryIndexRequest")(ready=True))
    assert [entry.version for entry in ready.models] == ["2"]


async def test_inferences_are_counted_in_model_statistics(connect: Connect) -> None:
    side = await connect()
    await side.call("ModelInfer", infer())
    (counted,) = (await side.call("ModelStatistics")).model_stats
    assert (counted.name, counted.inference_count, counted.inference_stats.success.count) == ("toy", 1, 1)
    assert counted.batch_stats[0].batch_size == 1


BAD = {
    "another name": (infer(name="fram"), grpc.StatusCode.INVALID_ARGUMENT, "did you mean 'frame'"),
    "too little": (infer(raw=PICTURE[1:]), grpc.StatusCode.INVALID_ARGUMENT, "for shape"),
    "another shape": (infer(raw=b"a", shape=[1]), grpc.StatusCode.INVALID_ARGUMENT, "shape: expected"),
    "no values": (infer(raw=None), grpc.StatusCode.INVALID_ARGUMENT, "received 0"),
    "numbers over 255": (
        infer(raw=None, shape=[1], contents={"uint_contents": [256]}),
        grpc.StatusCode.INVALID_ARGUMENT,
        "0 to 255",
    ),
    "an unknown output": (infer(outputs=("x",)), grpc.StatusCode.INVALID_ARGUMENT, "unknown 'x'"),
    "a corrupt picture": (
        infer(raw=b"\4\0\0\0\xff\xd8\xff\xd9", datatype="BYTES", shape=[1]),
        grpc.StatusCode.INVALID_ARGUMENT,
        "JPEG",
    ),
    "an unknown model": (
        inference("ModelInferRequest")(model_name="toi", inputs=infer().inputs, raw_input_contents=[PICTURE]),
        grpc.StatusCode.NOT_FOUND,
        "did you mean 'toy'",
    ),
    "an unknown version": (
        inference("ModelInferRequest")(
            model_name="toy", model_version="9", inputs=infer().inputs, raw_input_contents=[PICTURE]
        ),
        grpc.StatusCode.NOT_FOUND,
        "received 9",
    ),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_request_is_refused_and_the_next_one_served(connect: Connect, kind: str) -> None:
    request, code, says = BAD[kind]
    side = await connect()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await side.call("ModelInfer", request)
    assert (refused.value.code(), says in refused.value.details()) == (code, True), refused.value.details()
    await side.call("ModelInfer", infer())


async def test_requesting_classification_of_an_output_is_refused(connect: Connect) -> None:
    side, request = await connect(), infer(outputs=("person",))
    request.outputs[0].parameters["classification"].int64_param = 0  # 0 means that none are requested
    assert (await side.call("ModelInfer", request)).outputs
    request.outputs[0].parameters["classification"].int64_param = 3
    with pytest.raises(grpc.aio.AioRpcError, match="classification isn't supported") as refused:
        await side.call("ModelInfer", request)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_calls_over_the_queue_limit_are_refused(connect: Connect) -> None:
    side = await connect(delay_s=0.3, queue=1)
    calls = [asyncio.ensure_future(side.call("ModelInfer", infer())) for _ in range(3)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    codes = [answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2


async def test_a_call_over_its_timeout_parameter_fails_with_deadline_exceeded(connect: Connect) -> None:
    side = await connect(delay_s=60)
    request = infer()
    request.parameters["timeout"].int64_param = 50_000
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await side.call("ModelInfer", request)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "0.05 s" in late.value.details()


async def test_the_deadline_of_a_grpc_call_ends_the_request(connect: Connect) -> None:
    side = await connect(delay_s=60, deadline_s=60)
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await side.call("ModelInfer", infer(), timeout=0.2)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: side.client.app[ADMISSION].occupied == 0)


async def test_a_cancelled_call_frees_its_place(connect: Connect) -> None:
    side = await connect(delay_s=60, deadline_s=60)
    leaving = asyncio.create_task(side.call("ModelInfer", infer()))
    await until(lambda: side.client.app[ADMISSION].occupied == 1)
    leaving.cancel()
    await until(lambda: side.client.app[ADMISSION].occupied == 0)


async def test_stream_responses_keep_request_order_although_one_fails(connect: Connect) -> None:
    side = await connect()
    requests = [infer(), infer(name="fram"), infer()]
    for number, request in enumerate(requests):
        request.id = str(number)
    answers = [answer async for answer in side.stream(requests)]
    assert [answer.infer_response.id for answer in answers] == ["0", "1", "2"]
    assert ["did you mean" in answer.error_message for answer in answers] == [False, True, False]


async def test_a_cancelled_stream_frees_its_places(connect: Connect) -> None:
    side = await connect(delay_s=60, deadline_s=60)
    stream = side.stream([infer()] * 20)
    await until(lambda: side.client.app[ADMISSION].occupied == 9)  # the stream itself takes a place, too
    stream.cancel()
    await until(lambda: side.client.app[ADMISSION].occupied == 0)


async def test_the_health_service_reports_serving_draining_and_unknown_services(connect: Connect) -> None:
    side = await connect()
    assert await side.health() == 1
    assert await side.health("inference.GRPCInferenceService") == 1
    side.client.app[ADMISSION].draining = True
    assert await side.health() == 2
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await side.health("x")
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_draining_server_finishes_accepted_calls_and_refuses_new_ones(connect: Connect) -> None:
    side = await connect(delay_s=0.5)
    old = asyncio.create_task(side.call("ModelInfer", infer()))
    await until(lambda: side.client.app[ADMISSION].occupied == 1)
    draining = asyncio.create_task(side.client.app[ADMISSION].drain(10))
    await asyncio.sleep(0)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await side.call("ModelInfer", infer())
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert (await old).outputs
    assert await draining


async def test_a_health_watcher_is_notified_of_shutdown_and_does_not_delay_it(connect: Connect) -> None:
    side = await connect()
    watch = side.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=message("grpc.health.v1.HealthCheckRequest").SerializeToString,
        response_deserializer=message("grpc.health.v1.HealthCheckResponse").FromString,
    )(message("grpc.health.v1.HealthCheckRequest")())
    idle = side.stream(None)
    await idle.write(infer())
    assert (await idle.read()).infer_response.id == "a7"
    assert (await watch.read()).status == 1
    side.client.app[LIVE].end_all()
    assert await side.client.app[ADMISSION].drain(5)
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await idle.read()
    assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
    assert (await watch.read()).status == 2
    async with asyncio.timeout(15):
        await side.client.close()


@pytest.mark.parametrize("proto", sorted(FOLDER.glob("*.proto")), ids=lambda path: path.stem)
def test_the_stored_descriptors_match_the_proto_files(tmp_path: Path, proto: Path) -> None:
    pytest.importorskip("grpc_tools")
    made = tmp_path / "made.binpb"
    # In a separate process, because this compiler's native code conflicts with that of other libraries.
    compiler = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{FOLDER}",
        "--include_imports",
        f"--descriptor_set_out={made}",
    ]
    subprocess.run([*compiler, proto.name], check=True)
    assert parse_descriptors(made.read_bytes()) == parse_descriptors(proto.with_suffix(".binpb").read_bytes())


def parse_descriptors(data: bytes) -> descriptor_pb2.FileDescriptorSet:
    return descriptor_pb2.FileDescriptorSet.FromString(data)


async def until(condition) -> None:
    """Wait for a condition, at most a few seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
