"""Unmodified Triton clients: over HTTP, over HTTP with asyncio, and over gRPC."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from queue import Queue

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from tests.service import pictures
from tests.service.conftest import Start
from tests.service.toy import Toy

TOY = Toy()
Address = Callable[..., Awaitable[str]]


def light(count: int = 1) -> np.ndarray:
    """Return pictures with a fifth of the full brightness."""
    return np.full((count, TOY.height, TOY.width, 3), 51, np.uint8)


def tensor(library, values: np.ndarray, datatype: str = "UINT8", **options: object):
    """Return the client library's input."""
    found = library.InferInput("frame", list(values.shape), datatype)
    found.set_data_from_numpy(values, **options)
    return found


def encoded(jpeg: bytes) -> np.ndarray:
    """Return one picture as a BYTES tensor."""
    return np.array([jpeg], dtype=np.object_)


@pytest.fixture
def http(start: Start) -> Address:
    """Start a server, and return its address."""

    async def started(**settings: object) -> str:
        client = await start(**settings)
        return f"{client.host}:{client.port}"

    return started


@pytest.fixture
def grpc(start: Start) -> Address:
    """Start a server, and return its gRPC address."""

    async def started(**settings: object) -> str:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        await start(grpc_port=port, **settings)
        return f"127.0.0.1:{port}"

    return started


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
async def test_the_http_client_exchanges_tensors_as_json_and_binary_with_compression(
    http: Address, binary: bool, coding: str | None
) -> None:
    address = await http(real=True)

    def ask() -> np.ndarray:
        with tritonclient.http.InferenceServerClient(address) as client:
            sent = [tensor(tritonclient.http, light(2), binary_data=binary)]
            wanted = [tritonclient.http.InferRequestedOutput("person", binary_data=binary)]
            options = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
            answer = client.infer("toy", sent, outputs=wanted, request_id="a7", timeout=5_000_000, **options)
            assert answer.get_response()["id"] == "a7"
            return answer.as_numpy("person")

    values = await asyncio.to_thread(ask)
    assert values.shape == (2, TOY.rows, TOY.columns, 1)
    assert values == pytest.approx(0.2, abs=1e-6)


async def test_the_http_client_sends_pictures_and_gets_masks(http: Address, jpeg: bytes) -> None:
    address = await http(real=True)

    def ask() -> bytes:
        with tritonclient.http.InferenceServerClient(address) as client:
            sent = [tensor(tritonclient.http, encoded(jpeg), "BYTES")]
            everything = client.infer("toy", sent)
            assert everything.as_numpy("person").shape == (1, TOY.rows, TOY.columns, 1)
            answer = client.infer("toy", sent, outputs=[tritonclient.http.InferRequestedOutput("mask")])
            return answer.as_numpy("mask")[0]

    mask = pictures.decoded(await asyncio.to_thread(ask))
    assert (mask.shape, mask[135, 360]) == ((360, 640), 255)


async def test_the_http_client_reads_health_metadata_and_statistics(http: Address) -> None:
    address = await http()

    def ask() -> None:
        with tritonclient.http.InferenceServerClient(address) as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready("toy")
            assert client.is_model_ready("toy", "1")
            assert not client.is_model_ready("toi")
            assert client.get_server_metadata()["name"] == "danmatte"
            assert client.get_model_metadata("toy")["inputs"][0]["name"] == "frame"
            assert client.get_model_config("toy")["max_batch_size"] > 1
            client.infer("toy", [tensor(tritonclient.http, light())])
            (counted,) = client.get_inference_statistics("toy", "2")["model_stats"]
            assert counted["inference_count"] == 1

    await asyncio.to_thread(ask)


async def test_the_http_client_reports_refused_requests_and_remains_usable(http: Address) -> None:
    address = await http()

    def ask() -> None:
        with tritonclient.http.InferenceServerClient(address) as client:
            with pytest.raises(InferenceServerException, match="did you mean 'toy'"):
                client.infer("toi", [tensor(tritonclient.http, light())])
            with pytest.raises(InferenceServerException, match="shape: expected"):
                client.infer("toy", [tensor(tritonclient.http, light()[0])])
            assert client.infer("toy", [tensor(tritonclient.http, light())]).as_numpy("person") is not None

    await asyncio.to_thread(ask)


async def test_the_http_client_sends_concurrent_requests(http: Address) -> None:
    address = await http(real=True)

    def ask() -> list[np.ndarray]:
        with tritonclient.http.InferenceServerClient(address, concurrency=4) as client:
            pending = [client.async_infer("toy", [tensor(tritonclient.http, light())]) for _ in range(12)]
            return [request.get_result().as_numpy("person") for request in pending]

    answers = await asyncio.to_thread(ask)
    assert all(values == pytest.approx(0.2, abs=1e-6) for values in answers)


async def test_bodies_generated_and_parsed_by_the_http_client_are_compatible(http: Address) -> None:
    address = await http()

    def ask() -> np.ndarray:
        library = tritonclient.http.InferenceServerClient
        body, length = library.generate_request_body([tensor(tritonclient.http, light())])
        with tritonclient.http.InferenceServerClient(address) as client:
            answer = client._post("v2/models/toy/infer", body, {"Inference-Header-Content-Length": str(length)}, {})
            size = answer.get("Inference-Header-Content-Length")
            return library.parse_response_body(answer.read(), header_length=int(size)).as_numpy("person")

    assert (await asyncio.to_thread(ask)).shape == (1, TOY.rows, TOY.columns, 1)


async def test_the_asyncio_http_client_sends_tensors_and_pictures(http: Address, jpeg: bytes) -> None:
    library = tritonclient.http.aio
    async with library.InferenceServerClient(await http(real=True)) as client:
        answer = await client.infer("toy", [tensor(library, light())])
        assert answer.as_numpy("person") == pytest.approx(0.2, abs=1e-6)
        answer = await client.infer("toy", [tensor(library, encoded(jpeg), "BYTES")])
        assert answer.as_numpy("person").shape == (1, TOY.rows, TOY.columns, 1)
        assert await client.is_model_ready("toy")
        with pytest.raises(InferenceServerException, match="toy"):
            await client.infer("toi", [tensor(library, light())])


async def test_the_grpc_client_sends_tensors_and_pictures(grpc: Address, jpeg: bytes) -> None:
    address = await grpc(real=True)

    def ask() -> None:
        library = tritonclient.grpc
        with library.InferenceServerClient(address) as client:
            answer = client.infer("toy", [tensor(library, light(2))], request_id="a7", timeout=5_000_000)
            assert answer.as_numpy("person") == pytest.approx(0.2, abs=1e-6)
            assert answer.get_response().id == "a7"
            wanted = [library.InferRequestedOutput("mask")]
            answer = client.infer("toy", [tensor(library, encoded(jpeg), "BYTES")], outputs=wanted)
            assert pictures.decoded(answer.as_numpy("mask")[0]).shape == (360, 640)
            with pytest.raises(InferenceServerException, match="toy") as refused:
                client.infer("toi", [tensor(library, light())])
            assert refused.value.status() == "StatusCode.NOT_FOUND"

    await asyncio.to_thread(ask)


async def test_the_grpc_client_reads_health_metadata_and_statistics(grpc: Address) -> None:
    address = await grpc()

    def ask() -> None:
        with tritonclient.grpc.InferenceServerClient(address) as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready("toy")
            assert not client.is_model_ready("toi")
            assert client.get_server_metadata(as_json=True)["name"] == "danmatte"
            assert client.get_model_metadata("toy").outputs[0].datatype == "FP32"
            config = client.get_model_config("toy").config
            assert tritonclient.grpc.model_config_pb2.DataType.Name(config.input[0].data_type) == "TYPE_UINT8"
            assert client.get_model_repository_index().models[0].name == "toy"
            client.infer("toy", [tensor(tritonclient.grpc, light())])
            assert client.get_inference_statistics("toy").model_stats[0].inference_count == 1

    await asyncio.to_thread(ask)


async def test_the_grpc_client_continues_a_stream_after_a_failed_request(grpc: Address) -> None:
    address = await grpc(real=True)

    def ask() -> list[object]:
        answers: Queue[tuple[object, object]] = Queue()
        with tritonclient.grpc.InferenceServerClient(address) as client:
            client.start_stream(lambda result, error: answers.put((result, error)))
            for name in ("toy", "toi", "toy"):
                client.async_stream_infer(name, [tensor(tritonclient.grpc, light())])
            found = [answers.get(timeout=10) for _ in range(3)]
            client.stop_stream()
        return found

    first, second, third = await asyncio.to_thread(ask)
    assert first[0].as_numpy("person") == pytest.approx(0.2, abs=1e-6)
    assert "did you mean 'toy'" in str(second[1])
    assert third[0].as_numpy("person") == pytest.approx(0.2, abs=1e-6)


async def test_the_asyncio_grpc_client_sends_concurrent_and_streamed_requests(grpc: Address) -> None:
    library = tritonclient.grpc.aio
    async with library.InferenceServerClient(await grpc(real=True)) as client:
        answers = await asyncio.gather(*(client.infer("toy", [tensor(library, light())]) for _ in range(8)))
        assert all(answer.as_numpy("person") == pytest.approx(0.2, abs=1e-6) for answer in answers)

        async def requests() -> AsyncIterator[dict[str, object]]:
            for number in range(3):
                yield {"model_name": "toy", "inputs": [tensor(library, light())], "request_id": str(number)}

        found = [answer async for answer in client.stream_infer(requests())]
        assert [result.get_response().id for result, _ in found] == ["0", "1", "2"]
