"""The OpenAPI document, from one table of operations."""

from collections.abc import Sequence
from typing import Any, Final

from danmatte.api import mask_options, mattes, stream
from danmatte.api.metadata import read_version
from danmatte.api.openapi.schemas import SCHEMAS, TEXT, Schema, ref
from danmatte.api.v2.request import LENGTH_HEADER
from danmatte.codecs import Decoder, Encoder
from danmatte.http.query import DEADLINE, Parameter

_NAME: Final = "[a-z0-9][a-z0-9_-]{0,63}"
_MODEL: Final[Schema] = {"type": "string", "pattern": f"^{_NAME}$"}
_VERSION: Final[Schema] = {"type": "string", "pattern": "^[1-9][0-9]{0,14}$"}
_LENGTH: Final[Schema] = {
    "in": "header",
    "name": LENGTH_HEADER,
    "schema": {"type": "integer", "minimum": 0},
    "description": "how much of the body is JSON, before the tensors; 0 for a body that is the input itself",
}
_PATIENCE: Final[Schema] = {
    "in": "header",
    "name": DEADLINE,
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "description": "milliseconds within which an answer is of use",
}
_ABOUT: Final = """Person masks for video frames.

Every error is `{"error": …}`. Existing inference clients work unchanged: the Open Inference Protocol with Triton's
extensions (`/v2`, and the same over gRPC), and TensorFlow Serving's REST (`/v1/models`)."""


def build_document(models: Sequence[str] = ()) -> dict[str, Any]:
    """The whole document; `models` are examples of names, the default one first."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "danmatte",
            "version": read_version(),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "tags": [
            {"name": "mattes", "description": "our own: a frame in, its mask out"},
            {"name": "health", "description": "for whoever watches over the server"},
            {"name": "v2", "description": "Open Inference Protocol"},
            {"name": "tfs", "description": "TensorFlow Serving's REST"},
        ],
        "paths": _describe_mattes(models) | _describe_health() | _describe_v2(models) | _describe_tfs(models),
        "components": {
            "schemas": SCHEMAS,
            "responses": {"Error": {"description": "what is wrong", "content": _json("Error")}},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "where keys are used"}},
        },
        "security": [{}, {"key": []}],
    }


def _describe_mattes(models: Sequence[str]) -> dict[str, Any]:
    shared = [_query(parameter, models) for parameter in mask_options.PARAMETERS]
    pts, stabilise = _query(mattes.PTS), _query(stream.STABILISE)
    several = {
        "type": "object",
        "additionalProperties": {"type": "string", "format": "binary"},
        "description": "a frame in each part, its pts as the name",
    }
    frames: Schema = {media_type: {"schema": {}} for media_type in Decoder.registered}
    masks: Schema = {encoder.media_type: {"schema": {}} for encoder in Encoder.registered.values()}
    frames["multipart/form-data"] = {"schema": several}
    masks["multipart/mixed"] = {"schema": {"description": "a mask or an error in each part, in order"}}
    live = _describe("mattes", "Live: frames in and masks out over a WebSocket", {}, [*shared, stabilise])
    live["responses"] = {"101": {"description": "the WebSocket"}, "default": _refer_to_error()}
    return {
        "/v1/mattes": {
            "post": _describe("mattes", "The person mask of a frame", masks, [*shared, pts, _PATIENCE])
            | {"requestBody": {"required": True, "content": frames}}
        },
        "/v1/stream": {"get": live},
        "/v1/models": {"get": _describe("mattes", "Models, their versions and states", _json("Models"))},
    }


def _describe_health() -> dict[str, Any]:
    return {
        "/v2/health/live": {"get": _describe("health", "Whether the process answers", _json("Live"))},
        "/v2/health/ready": {
            "get": _describe("health", "Whether posts are let in", _json("Ready")) | {"responses": _describe_ready()}
        },
        "/metrics": {"get": _describe("health", "Counters for Prometheus", {"text/plain": {"schema": TEXT}})},
    }


def _describe_v2(models: Sequence[str]) -> dict[str, Any]:
    found = {
        "/v2": {"get": _describe("v2", "The server and its extensions", _json("Server"))},
        "/v2/models/stats": {"get": _describe("v2", "Statistics of all models", _json("Statistics"))},
    }
    answer = _json("InferAnswer") | {"application/octet-stream": {"schema": {}}}
    body = {"required": True, "content": _json("InferRequest") | {"application/octet-stream": {"schema": {}}}}
    for path, where in _list_paths("/v2/models/{name}", models, "/versions/{version}", "version"):
        found[path] = {"get": _describe("v2", "A model's inputs and outputs", _json("Model"), where)}
        found[f"{path}/config"] = {"get": _describe("v2", "Its configuration", _json("Config"), where)}
        found[f"{path}/stats"] = {"get": _describe("v2", "Its statistics", _json("Statistics"), where)}
        ready = _describe("v2", "Whether it can be asked", _json("Ready"), where)
        found[f"{path}/ready"] = {"get": ready | {"responses": _describe_ready()}}
        infer = _describe("v2", "Tensors in, tensors out", answer, [*where, _LENGTH, _PATIENCE])
        found[f"{path}/infer"] = {"post": infer | {"requestBody": body}}
    return found


def _describe_tfs(models: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    paths = [
        *_list_paths("/v1/models/{name}", models, "/versions/{version}", "version"),
        _list_paths("/v1/models/{name}", models, "/labels/{label}", "label")[1],
    ]
    body = {"required": True, "content": _json("Predict")}
    for path, where in paths:
        found[path] = {"get": _describe("tfs", "The states of its versions", _json("VersionStates"), where)}
        found[f"{path}/metadata"] = {"get": _describe("tfs", "Its signatures", _json("Signatures"), where)}
        predict = _describe(
            "tfs", "Rows or columns in, predictions or outputs out", _json("Predictions"), [*where, _PATIENCE]
        )
        found[f"{path}:predict"] = {"post": predict | {"requestBody": body}}
    return found


def _list_paths(path: str, models: Sequence[str], further: str, parameter: str) -> list[tuple[str, list[Schema]]]:
    """The path of a model, and the one of its version or label; each with its parameters."""
    name = {"in": "path", "name": "name", "required": True, "schema": _add_examples(_MODEL, models)}
    schema = _VERSION if parameter == "version" else _MODEL
    return [
        (path, [name]),
        (path + further, [name, {"in": "path", "name": parameter, "required": True, "schema": schema}]),
    ]


def _describe(tag: str, summary: str, content: Schema, parameters: Sequence[Schema] = ()) -> dict[str, Any]:
    answers = {"200": {"description": "done", "content": content}, "default": _refer_to_error()}
    return {"tags": [tag], "summary": summary, "parameters": list(parameters), "responses": answers}


def _describe_ready() -> dict[str, Any]:
    return {
        "200": {"description": "yes", "content": _json("Ready")},
        "503": {
            "description": "no",
            "content": {"application/json": {"schema": {"anyOf": [ref("Ready"), ref("Error")]}}},
        },
        "default": _refer_to_error(),
    }


def _refer_to_error() -> Schema:
    return {"$ref": "#/components/responses/Error"}


def _json(name: str) -> Schema:
    return {"application/json": {"schema": ref(name)}}


def _query(parameter: Parameter[object], models: Sequence[str] = ()) -> Schema:
    schema = parameter.schema if parameter is not mask_options.MODEL else _add_examples(parameter.schema, models)
    return {"in": "query", "name": parameter.name, "schema": schema, "description": parameter.description}


def _add_examples(schema: Schema, values: Sequence[str]) -> Schema:
    return schema | {"examples": list(values)} if values else schema
