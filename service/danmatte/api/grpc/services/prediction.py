"""`tensorflow.serving.PredictionService` and `ModelService`: TensorFlow Serving over gRPC.

Classify, Regress and MultiInference aren't served; clients get UNIMPLEMENTED.
"""

import math
from typing import Any, Final

import numpy as np
from google.protobuf import json_format

from danmatte.api.catalogue import Catalogue
from danmatte.api.grpc.call_context import CallContext
from danmatte.api.grpc.messages import message
from danmatte.api.grpc.service import Service, ServiceParts
from danmatte.api.tensor_bytes import NUMPY, check_shape, from_bytes, to_bytes
from danmatte.api.tfs.request import SIGNATURES, list_signatures
from danmatte.api.tfs.routes import build_signatures, list_states
from danmatte.contract.manifest import Manifest
from danmatte.contract.near_words import did_you_mean
from danmatte.errors import BodyError, TensorError, brief
from danmatte.inference.request import Request, VersionSelector
from danmatte.inference.tensors import BYTES, InferRequest, Tensor

_PACKAGE: Final = "tensorflow.serving"
# TensorFlow's datatype numbers, each with the Open Inference Protocol's name and the field of unpacked values.
_TYPES: Final = {
    1: ("FP32", "float_val"),
    2: ("FP64", "double_val"),
    3: ("INT32", "int_val"),
    4: ("UINT8", "int_val"),
    5: ("INT16", "int_val"),
    6: ("INT8", "int_val"),
    7: (BYTES, "string_val"),
    9: ("INT64", "int64_val"),
    10: ("BOOL", "bool_val"),
    17: ("UINT16", "int_val"),
    19: ("FP16", "half_val"),
    22: ("UINT32", "uint32_val"),
    23: ("UINT64", "uint64_val"),
}
_NUMBERS: Final = {word: number for number, (word, _) in _TYPES.items()}
_MAX_FILLED: Final = 2**24  # a single value may be repeated for the whole shape, so a tiny message can be a huge tensor
_INTERNAL: Final = 13  # google.rpc.Code


class PredictionService(Service):
    """The prediction service; `prediction.proto` describes its messages."""

    name = f"{_PACKAGE}.PredictionService"
    placed = frozenset({"Predict"})

    async def predict(self, request: Any, call: CallContext, held: Request) -> Any:
        """Run inference on tensors, and return the output tensors."""
        async with held.deadline(call.remaining_s):
            served = await held.find(_select(request))
        manifest = served.manifest
        known, signature = list_signatures(manifest), request.model_spec.signature_name or "serving_default"
        if signature not in known:
            raise TensorError(f"signature_name: unknown {brief(signature)}{did_you_mean(signature, known)}")
        names = tuple(request.output_filter) or ((SIGNATURES[signature] or ""),) * bool(SIGNATURES[signature])
        wanted = InferRequest(tuple(_read_tensor(*each) for each in sorted(request.inputs.items())), names)
        _, outputs = await held.infer(wanted, VersionSelector.of(manifest), call.timing, call.remaining_s)
        return message(f"{_PACKAGE}.PredictResponse")(
            outputs={tensor.name: _write_tensor(tensor) for tensor in outputs},
            model_spec=_describe(manifest, signature),
        )

    async def get_model_metadata(self, request: Any, call: CallContext) -> Any:
        """Return the inputs and outputs of every signature."""
        for field in request.metadata_field:
            if field != "signature_def":
                raise BodyError(f"metadata_field: expected signature_def, received {brief(field)}")
        manifest = (await self._parts.requests.find(_select(request))).manifest
        signatures = message(f"{_PACKAGE}.SignatureDefMap")()
        json_format.ParseDict({"signature_def": build_signatures(manifest)}, signatures)
        answer = message(f"{_PACKAGE}.GetModelMetadataResponse")(model_spec=_describe(manifest, ""))
        answer.metadata["signature_def"].Pack(signatures)
        return answer


class ModelService(Service):
    """The service for the states of versions."""

    name = f"{_PACKAGE}.ModelService"

    def __init__(self, parts: ServiceParts) -> None:
        super().__init__(parts)
        self._catalogue = Catalogue(parts.requests)

    async def get_model_status(self, request: Any, call: CallContext) -> Any:
        """Return the state of every version, or of the requested one."""
        states = await list_states(self._parts.requests, self._catalogue, _select(request))
        for state in states:
            state["status"]["error_code"] = 0 if state["status"]["error_code"] == "OK" else _INTERNAL
        return json_format.ParseDict({"model_version_status": states}, message(f"{_PACKAGE}.GetModelStatusResponse")())


def _select(request: Any) -> VersionSelector:
    spec = request.model_spec
    version = str(spec.version.value) if spec.HasField("version") else ""
    return VersionSelector.parse_tfs(spec.name, version, spec.version_label)


def _describe(manifest: Manifest, signature: str) -> Any:
    spec = message(f"{_PACKAGE}.ModelSpec")(name=manifest.name, signature_name=signature)
    spec.version.value = manifest.version
    return spec


def _read_tensor(name: str, given: Any) -> Tensor:
    """Read a tensor from its content or its unpacked values; as in TensorFlow, a single value fills the whole shape."""
    if given.dtype not in _TYPES:
        raise TensorError(f"{brief(name)}: dtype: {given.dtype} isn't supported")
    datatype, field = _TYPES[given.dtype]
    values = getattr(given, field)
    if datatype == BYTES:
        return Tensor(name, BYTES, (len(values),), list(values))
    shape = check_shape(name, [side.size for side in given.tensor_shape.dim])
    if given.tensor_content:
        return from_bytes(name, datatype, shape, given.tensor_content)
    try:
        if datatype == "FP16":
            numbers = np.array(values, np.uint16).view(np.float16)
        else:
            numbers = np.array(values, NUMPY[datatype])
    except (OverflowError, ValueError) as error:
        raise TensorError(f"{brief(name)}: expected values of {datatype}: {error}") from error
    if math.prod(shape) > _MAX_FILLED:
        raise TensorError(f"{brief(name)}: expected at most {_MAX_FILLED} values, received a shape of {list(shape)}")
    if len(numbers) not in (1, math.prod(shape)):
        raise TensorError(f"{brief(name)}: expected {math.prod(shape)} values, received {len(numbers)}")
    whole = np.broadcast_to(numbers, (math.prod(shape),)).reshape(shape)
    return Tensor(name, datatype, shape, np.ascontiguousarray(whole))


def _write_tensor(tensor: Tensor) -> Any:
    sides = [{"size": side} for side in tensor.shape]
    values = {"string_val": tensor.values} if tensor.datatype == BYTES else {"tensor_content": to_bytes(tensor)}
    kind = message(f"{_PACKAGE}.TensorProto")
    return kind(dtype=_NUMBERS[tensor.datatype], tensor_shape={"dim": sides}, **values)
