"""The OpenAPI document, put together from every protocol's own description."""

from collections.abc import Sequence
from typing import Any, Final

from danmatte.api.metadata import read_version
from danmatte.api.openapi.operations import describe_json
from danmatte.api.openapi.schemas import SCHEMAS
from danmatte.api.protocols import PROTOCOLS

_ABOUT: Final = """Person masks for video frames.

Every error is `{"error": …}`. Existing inference clients work unchanged: the Open Inference Protocol with Triton's
extensions (`/v2`, and the same over gRPC), and TensorFlow Serving's REST (`/v1/models`)."""


def build_document(models: Sequence[str] = ()) -> dict[str, Any]:
    """The whole document; `models` are examples of names, the default one first."""
    tags = dict(protocol.tag for protocol in PROTOCOLS)
    paths = {path: item for protocol in PROTOCOLS for path, item in protocol.describe(models).items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "danmatte",
            "version": read_version(),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": "./"}],  # beside this document, whatever path a proxy has put before it
        "tags": [{"name": name, "description": description} for name, description in tags.items()],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {"Error": {"description": "what is wrong", "content": describe_json("Error")}},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "where keys are used"}},
        },
        "security": [{}, {"key": []}],
    }
