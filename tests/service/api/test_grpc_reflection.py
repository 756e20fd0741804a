"""The reflection service, with gRPC's reflection client (v1alpha) and tools that use v1."""

import asyncio

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from danmatte.api.grpc.messages import message
from danmatte.api.grpc.service import Service
from danmatte.api.grpc.services import reflection
from tests.service.conftest import Start

V1 = "grpc.reflection.v1"


@pytest.fixture
async def port(start: Start, unused_tcp_port: int) -> int:
    """The gRPC address of a server."""
    await start(grpc_port=unused_tcp_port)
    return unused_tcp_port


async def ask(channel: grpc.aio.Channel, **question: object) -> object:
    """Return the response to one v1 request."""
    request, response = (message(f"{V1}.ServerReflection{kind}") for kind in ("Request", "Response"))
    call = channel.stream_stream(
        f"/{V1}.ServerReflection/ServerReflectionInfo", request.SerializeToString, response.FromString
    )
    return await call(iter([request(**question)])).read()


async def test_a_client_without_proto_files_can_call_the_server_by_reflection(port: int) -> None:
    def call() -> tuple[list[str], str]:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            known = DescriptorPool(database)
            service = known.FindServiceByName("inference.GRPCInferenceService")
            method = service.FindMethodByName("ModelMetadata")
            input_class, output_class = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            ask = channel.unary_unary(
                f"/{service.full_name}/{method.name}", input_class.SerializeToString, output_class.FromString
            )
            return sorted(database.get_services()), ask(input_class(name="toy")).platform

    services, platform = await asyncio.to_thread(call)
    assert services == sorted(Service.registered)
    assert platform == "openvino"


async def test_a_file_response_includes_all_imported_files(port: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for question in (
            {"file_by_filename": "prediction.proto"},
            {"file_containing_symbol": "tensorflow.serving.PredictionService"},
            {"file_containing_symbol": "tensorflow.serving.PredictionService.Predict"},
            {"file_containing_symbol": "tensorflow.serving.TensorProto"},
        ):
            answer = await ask(channel, **question)
            pool = DescriptorPool()
            for data in reversed(answer.file_descriptor_response.file_descriptor_proto):
                pool.AddSerializedFile(data)
            assert pool.FindServiceByName("tensorflow.serving.PredictionService")


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"file_by_filename": "none.proto"}, 5),
        ({"file_containing_symbol": "unknown"}, 5),
        ({"file_containing_symbol": "inference.GRPCInferenceService.Nothing"}, 5),
        ({"file_containing_extension": {"containing_type": "inference.ModelInferRequest", "extension_number": 1}}, 5),
        ({"all_extension_numbers_of_type": "unknown"}, 5),
        ({}, 3),
    ],
)
async def test_an_unknown_name_or_empty_query_gets_an_error_response(port: int, question: dict, code: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = await ask(channel, **question)
    assert answer.error_response.error_code == code
    assert answer.original_request == message(f"{V1}.ServerReflectionRequest")(**question)


async def test_an_idle_reflection_stream_is_ended(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflection, "_IDLE_S", 0.05)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream(f"/{V1}.ServerReflection/ServerReflectionInfo")()
        async with asyncio.timeout(30):
            assert await call.read() is grpc.aio.EOF


async def test_open_reflection_streams_are_limited(port: int) -> None:
    path = f"/{V1}.ServerReflection/ServerReflectionInfo"
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        question = message(f"{V1}.ServerReflectionRequest")(list_services="").SerializeToString()
        calls = []
        for _ in range(reflection._STREAMS):
            calls.append(channel.stream_stream(path)())
            await calls[-1].write(question)
            await calls[-1].read()
        refused = channel.unary_stream(path)(question)
        assert await refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for call in calls:
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
        assert (await ask(channel, list_services="")).HasField("list_services_response")
