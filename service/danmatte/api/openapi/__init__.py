"""The description of everything that is spoken over HTTP: OpenAPI 3.1, and a page to try it on."""

from danmatte.api.openapi.document import build_document
from danmatte.api.openapi.page import PATHS, OpenApiRoutes

__all__ = ["PATHS", "OpenApiRoutes", "build_document"]
