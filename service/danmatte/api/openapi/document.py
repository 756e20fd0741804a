"""The OpenAPI document, from one table of operations."""

from collections.abc import Sequence
from typing import Any, Final

from danmatte.api.metadata import version
from danmatte.api.openapi.schemas import FLAG, SCHEMAS, TEXT, Schema, ref
from danmatte.api.v2.request import LENGTH_HEADER
from danmatte.codecs import Decoder, Encoder
from danmatte.http.query import DEADLINE

_NAME: Final = "[a-z0-9][a-z0-9_-]{0,63}"
_MODEL: Final[Schema] = {"type": "string", "pattern": f"^{_NAME}$"}
_VERSION: Final[Schema] = {"type": "string", "pattern": "^[1-9][0-9]{0,14}$"}
_SIDE: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65_535}
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


def document(models: Sequence[str] = ()) -> dict[str, Any]:
    """The whole document; `models` are examples of names, the default one first."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "danmatte", "version": version(), "description": _ABOUT, "license": {"name": "Apache-2.0"}},
        "tags": [
            {"name": "mattes", "description": "our own: a frame in, its mask out"},
            {"name": "health", "description": "for whoever watches over the server"},
            {"name": "v2", "description": "Open Inference Protocol"},
            {"name": "tfs", "description": "TensorFlow Serving's REST"},
        ],
        "paths": _mattes(models) | _health() | _v2(models) | _tfs(models),
        "components": {
            "schemas": SCHEMAS,
            "responses": {"Error": {"description": "what is wrong", "content": _json("Error")}},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "where keys are used"}},
        },
        "security": [{}, {"key": []}],
    }


def _mattes(models: Sequence[str]) -> dict[str, Any]:
    look = [
        _query("model", _examples(_MODEL, models), "the default one otherwise"),
        _query("version", {"type": "integer", "minimum": 1}, "the newest otherwise"),
        _query("label", _MODEL, "a label instead of a version"),
        _query("width", _SIDE, "the mask's, and a raw frame's; the frame's own otherwise"),
        _query("height", _SIDE, "with width"),
        _query("format", {"enum": [encoder.format for encoder in Encoder.registered.values()]}, "or Accept"),
        _query("soft", FLAG, "soft edges, instead of a threshold"),
        _query("threshold", {"type": "number", "minimum": 0, "maximum": 1}, "of a hard mask"),
        _query("polarity", {"enum": ["person", "background"]}, "what is painted"),
    ]
    pts = _query("pts", {"type": "number"}, "milliseconds; comes back in X-Frame-Pts")
    several = {
        "type": "object",
        "additionalProperties": {"type": "string", "format": "binary"},
        "description": "a frame in each part, its pts as the name",
    }
    frames: Schema = {media_type: {"schema": {}} for media_type in Decoder.registered}
    masks: Schema = {encoder.media_type: {"schema": {}} for encoder in Encoder.registered.values()}
    frames["multipart/form-data"] = {"schema": several}
    masks["multipart/mixed"] = {"schema": {"description": "a mask or an error in each part, in order"}}
    stream = _operation("mattes", "Live: frames in and masks out over a WebSocket", {}, look)
    stream["responses"] = {"101": {"description": "the WebSocket"}, "default": _error()}
    return {
        "/v1/mattes": {
            "post": _operation("mattes", "The person mask of a frame", masks, [*look, pts, _PATIENCE])
            | {"requestBody": {"required": True, "content": frames}}
        },
        "/v1/stream": {"get": stream},
        "/v1/models": {"get": _operation("mattes", "Models, their versions and states", _json("Models"))},
    }


def _health() -> dict[str, Any]:
    return {
        "/v2/health/live": {"get": _operation("health", "Whether the process answers", _json("Live"))},
        "/v2/health/ready": {
            "get": _operation("health", "Whether posts are let in", _json("Ready")) | {"responses": _ready()}
        },
        "/metrics": {"get": _operation("health", "Counters for Prometheus", {"text/plain": {"schema": TEXT}})},
    }


def _v2(models: Sequence[str]) -> dict[str, Any]:
    found = {
        "/v2": {"get": _operation("v2", "The server and its extensions", _json("Server"))},
        "/v2/models/stats": {"get": _operation("v2", "Statistics of all models", _json("Statistics"))},
    }
    answer = _json("InferAnswer") | {"application/octet-stream": {"schema": {}}}
    body = {"required": True, "content": _json("InferRequest") | {"application/octet-stream": {"schema": {}}}}
    for path, where in _named("/v2/models/{name}", models, "/versions/{version}", "version"):
        found[path] = {"get": _operation("v2", "A model's inputs and outputs", _json("Model"), where)}
        found[f"{path}/config"] = {"get": _operation("v2", "Its configuration", _json("Config"), where)}
        found[f"{path}/stats"] = {"get": _operation("v2", "Its statistics", _json("Statistics"), where)}
        ready = _operation("v2", "Whether it can be asked", _json("Ready"), where)
        found[f"{path}/ready"] = {"get": ready | {"responses": _ready()}}
        infer = _operation("v2", "Tensors in, tensors out", answer, [*where, _LENGTH, _PATIENCE])
        found[f"{path}/infer"] = {"post": infer | {"requestBody": body}}
    return found


def _tfs(models: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    paths = [
        *_named("/v1/models/{name}", models, "/versions/{version}", "version"),
        _named("/v1/models/{name}", models, "/labels/{label}", "label")[1],
    ]
    body = {"required": True, "content": _json("Predict")}
    for path, where in paths:
        found[path] = {"get": _operation("tfs", "The states of its versions", _json("VersionStates"), where)}
        found[f"{path}/metadata"] = {"get": _operation("tfs", "Its signatures", _json("Signatures"), where)}
        predict = _operation(
            "tfs", "Rows or columns in, predictions or outputs out", _json("Predictions"), [*where, _PATIENCE]
        )
        found[f"{path}:predict"] = {"post": predict | {"requestBody": body}}
    return found


def _named(path: str, models: Sequence[str], further: str, parameter: str) -> list[tuple[str, list[Schema]]]:
    """The path of a model, and the one of its version or label; each with its parameters."""
    name = {"in": "path", "name": "name", "required": True, "schema": _examples(_MODEL, models)}
    schema = _VERSION if parameter == "version" else _MODEL
    return [
        (path, [name]),
        (path + further, [name, {"in": "path", "name": parameter, "required": True, "schema": schema}]),
    ]


def _operation(tag: str, summary: str, content: Schema, parameters: Sequence[Schema] = ()) -> dict[str, Any]:
    answers = {"200": {"description": "done", "content": content}, "default": _error()}
    return {"tags": [tag], "summary": summary, "parameters": list(parameters), "responses": answers}


def _ready() -> dict[str, Any]:
    return {
        "200": {"description": "yes", "content": _json("Ready")},
        "503": {
            "description": "no",
            "content": {"application/json": {"schema": {"anyOf": [ref("Ready"), ref("Error")]}}},
        },
        "default": _error(),
    }


def _error() -> Schema:
    return {"$ref": "#/components/responses/Error"}


def _json(name: str) -> Schema:
    return {"application/json": {"schema": ref(name)}}


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"in": "query", "name": name, "schema": schema, "description": description}


def _examples(schema: Schema, values: Sequence[str]) -> Schema:
    return schema | {"examples": list(values)} if values else schema
