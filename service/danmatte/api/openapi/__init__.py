"""The description of everything that is spoken over HTTP: OpenAPI 3.1, and a page to try it on."""

from danmatte.api.openapi.document import document
from danmatte.api.openapi.page import PAGES, Description

__all__ = ["PAGES", "Description", "document"]
