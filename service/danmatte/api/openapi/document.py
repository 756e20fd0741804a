"""The OpenAPI document, assembled from the descriptions of all protocols."""

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
    """Build the document; `models` are example names, the default one first."""
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
        # relative to this document, so that it works behind a proxy that adds a path prefix
        "servers": [{"url": "./"}],
        "tags": [{"name": name, "description": description} for name, description in tags.items()],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {"Error": {"description": "the error", "content": describe_json("Error")}},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "required if the server uses API keys"}
            },
        },
        "security": [{}, {"key": []}],
    }
