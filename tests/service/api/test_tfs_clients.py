"""Unmodified clients of TensorFlow Serving and OVMS, over gRPC and REST."""

import asyncio
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest

from danmatte.api.grpc.messages import message
from tests.service.api.test_grpc import Connect, connect
from tests.service.conftest import Start
from tests.service.toy import Toy

__all__ = ["connect"]
TOY = Toy()
SHAPE = (1, TOY.height, TOY.width, 3)
# In a separate process: TensorFlow takes seconds, and much memory.
TENSORFLOW_SERVING = """
import sys
import grpc
import numpy as np
from tensorflow import make_ndarray, make_tensor_proto
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1])
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
picture = np.full((1, 96, 160, 3), 255, np.uint8)
request = predict_pb2.PredictRequest()
request.model_spec.name = "toy"
request.inputs["frame"].CopyFrom(make_tensor_proto(picture))
answer = stub.Predict(request, timeout=20)
values = make_ndarray(answer.outputs["person"])
print("pixels", values.shape, values.dtype, values.min(), answer.model_spec.version.value)
request.inputs["frame"].CopyFrom(make_tensor_proto(255, dtype="uint8", shape=picture.shape))  # one value fills it
print("filled", make_ndarray(stub.Predict(request, timeout=20).outputs["person"]).min())
request.inputs["frame"].CopyFrom(make_tensor_proto([open(sys.argv[2], "rb").read()]))
request.model_spec.version.value = 1
request.model_spec.signature_name = "mask"
answer = stub.Predict(request, timeout=20)
print("mask", make_ndarray(answer.outputs["mask"])[0][:4], answer.model_spec.version.value)
about = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
about.model_spec.name = "toy"
signatures = get_model_metadata_pb2.SignatureDefMap()
stub.GetModelMetadata(about, timeout=20).metadata["signature_def"].Unpack(signatures)
print("inputs", list(signatures.signature_def["serving_default"].inputs), sorted(signatures.signature_def))
status = get_model_status_pb2.GetModelStatusRequest()
status.model_spec.name = "toy"
states = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status, timeout=20).model_version_status
print("states", [(each.version, each.state, each.status.error_code) for each in states])
request.model_spec.name = "unknown"
try:
    stub.Predict(request, timeout=20)
except grpc.RpcError as error:
    print("unknown", error.code().name)
"""


@pytest.mark.slow
async def test_tensorflow_servings_client_works_unmodified(connect: Connect, jpeg: bytes, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_serving")
    side = await connect()
    picture = tmp_path / "frame.jpg"
    picture.write_bytes(jpeg)
    command = [sys.executable, "-c", TENSORFLOW_SERVING, f"127.0.0.1:{side.port}", str(picture)]
    run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=240)
    assert run.stdout.splitlines() == [
        "pixels (1, 24, 40, 1) float32 1.0 2",
        "filled 1.0",
        "mask b'\\x89PNG' 1",
        "inputs ['frame'] ['mask', 'serving_default']",
        "states [(2, 30, 0), (1, 30, 0)]",
        "unknown NOT_FOUND",
    ], run.stderr[-2000:]


async def test_ovmsclient_works_over_grpc(connect: Connect, jpeg: bytes) -> None:
    ovms = pytest.importorskip("ovmsclient")
    side = await connect()

    def ask() -> None:
        client = ovms.make_grpc_client(f"127.0.0.1:{side.port}")
        pixels = client.predict({"frame": np.full(SHAPE, 255, np.uint8)}, "toy")
        assert (pixels.shape, pixels.min()) == ((1, 24, 40, 1), 1.0)
        assert client.predict({"frame": [jpeg]}, "toy").shape == (1, 24, 40, 1)
        about = client.get_model_metadata("toy")
        assert about["inputs"]["frame"] == {"shape": [-1, 96, 160, 3], "dtype": "DT_UINT8"}
        assert about["model_version"] == 2
        assert {version: state["state"] for version, state in client.get_model_status("toy").items()} == {
            1: "AVAILABLE",
            2: "AVAILABLE",
        }
        with pytest.raises(ovms.tfs_compat.base.errors.ModelNotFoundError):
            client.predict({"frame": [jpeg]}, "unknown")

    await asyncio.to_thread(ask)


async def test_ovmsclient_works_over_rest(start: Start, jpeg: bytes) -> None:
    ovms = pytest.importorskip("ovmsclient")
    server = await start()

    def ask() -> None:
        client = ovms.make_http_client(f"{server.host}:{server.port}")
        assert client.predict({"frame": np.full(SHAPE, 255, np.uint8)}, "toy").shape == (1, 24, 40, 1)
        assert client.predict({"frame": [jpeg]}, "toy").shape == (1, 24, 40, 1)
        assert "frame" in str(client.get_model_metadata("toy"))
        assert client.get_model_status("toy")[2]["state"] == "AVAILABLE"

    await asyncio.to_thread(ask)


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        ({"dtype": 4, "tensor_shape": {"dim": [{"size": 1}]}, "int_val": [256]}, "expected values of UINT8"),
        ({"dtype": 4, "tensor_shape": {"dim": [{"size": -1}]}, "int_val": [1]}, "positive sides"),
        ({"dtype": 4, "tensor_shape": {"dim": [{"size": 3}]}, "int_val": [1, 2]}, "expected 3 values, received 2"),
        ({"dtype": 4, "tensor_shape": {"dim": [{"size": 3}]}, "tensor_content": b"xx"}, "expected 3 bytes"),
        ({"dtype": 8}, "dtype: 8 isn't supported"),
        ({"dtype": 7}, "frame"),
        (
            {"dtype": 4, "tensor_shape": {"dim": [{"size": 2**31}] * 8}, "int_val": [1]},
            "expected at most 16777216 values",
        ),
    ],
)
async def test_an_invalid_tensor_is_refused_with_the_reason(connect: Connect, tensor: dict, says: str) -> None:
    side = await connect()
    kind = message("tensorflow.serving.PredictRequest")
    request = kind(model_spec={"name": "toy"}, inputs={"frame": message("tensorflow.serving.TensorProto")(**tensor)})
    call = side.channel.unary_unary(
        "/tensorflow.serving.PredictionService/Predict", request_serializer=kind.SerializeToString
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(request, timeout=20)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert says in refused.value.details()


async def test_unsupported_methods_of_the_service_are_unimplemented(connect: Connect) -> None:
    side = await connect()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await side.channel.unary_unary("/tensorflow.serving.PredictionService/Classify")(b"", timeout=20)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
