"""`GET /openapi.json`, and `/docs`, the page that shows it."""

from pathlib import Path
from typing import Final

from aiohttp import web

from danmatte.api.openapi.document import document
from danmatte.models import Repository

_WEB: Final = Path(__file__).parents[2] / "web"
_FILES: Final = {
    "/docs": ("docs.html", "text/html"),
    "/docs.css": ("docs.css", "text/css"),
    "/docs.js": ("docs.js", "text/javascript"),
}
PAGES: Final = frozenset({"/openapi.json", *_FILES})
"""What is open to everybody, keys or not."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Description:
    """The routes of the description."""

    def __init__(self, repository: Repository, *, named: bool) -> None:
        """`named`: whether everybody may know the models' names."""
        self._repository, self._named = repository, named

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        return [web.get("/openapi.json", self.document), *(web.get(path, self.file) for path in _FILES)]

    async def document(self, request: web.Request) -> web.Response:
        """The description, with the models as examples."""
        listed = sorted(self._repository.list_models(), key=lambda model: not model.default)
        return web.json_response(document([model.name for model in listed if self._named]))

    async def file(self, request: web.Request) -> web.FileResponse:
        """A file of the page."""
        name, media_type = _FILES[request.path]
        headers = {"Content-Type": f"{media_type}; charset=utf-8", "Cache-Control": "no-cache"}
        if media_type == "text/html":
            headers["Content-Security-Policy"] = _POLICY
        return web.FileResponse(_WEB / name, headers=headers)
