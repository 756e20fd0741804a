"""`GET /openapi.json`, and `/docs`, the page that displays it."""

from pathlib import Path
from typing import Final

from aiohttp import web

from danmatte.api.openapi.document import build_document
from danmatte.models import Repository

_WEB: Final = Path(__file__).parents[2] / "web"
_FILES: Final = {
    "/docs": ("docs.html", "text/html"),
    "/docs.css": ("docs.css", "text/css"),
    "/docs.js": ("docs.js", "text/javascript"),
}
PATHS: Final = frozenset({"/openapi.json", *_FILES})
"""Paths that need no API key."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class OpenApiRoutes:
    """The routes of the OpenAPI document and its page."""

    def __init__(self, repository: Repository, *, show_models: bool) -> None:
        """`show_models` is whether the models' names are public; if so, they are used as examples."""
        self._repository, self._show_models = repository, show_models

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, for `Application.add_routes`."""
        return [web.get("/openapi.json", self.get_document), *(web.get(path, self.get_file) for path in _FILES)]

    async def get_document(self, request: web.Request) -> web.Response:
        """Return the OpenAPI document."""
        models = sorted(self._repository.list_models(), key=lambda model: not model.default)
        return web.json_response(build_document([model.name for model in models if self._show_models]))

    async def get_file(self, request: web.Request) -> web.FileResponse:
        """Return a file of the page."""
        name, media_type = _FILES[request.path]
        headers = {"Content-Type": f"{media_type}; charset=utf-8", "Cache-Control": "no-cache"}
        if media_type == "text/html":
            headers["Content-Security-Policy"] = _POLICY
        return web.FileResponse(_WEB / name, headers=headers)
