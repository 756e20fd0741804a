"""`GET /` and its files: the demo page, and the player's JavaScript modules, which other pages may import."""

from pathlib import Path

from aiohttp import web

WEB = Path(__file__).parent.parent / "web"
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".mattes": "application/x-mattes",
    ".svg": "image/svg+xml",
    ".webm": "video/webm",
}
MODULES = (
    "controls",
    "cues",
    "cutout",
    "cuts",
    "danmatte",
    "element",
    "film",
    "frame-clock",
    "live",
    "look-ahead",
    "margin",
    "mattes",
    "options",
    "outline",
    "placement",
    "preferences",
    "timeline",
    "track",
    "transforms",
    "vtt",
    "webmask",
)
ADAPTERS = ("artplayer", "danmaku", "dplayer", "hls", "nplayer", "videojs", "xgplayer")
DEMO = (
    *("comments.js", "demo.css", "demo-comments.js", "demo.js", "sample.mattes", "sample.webm"),
    *("full.svg", "icon.svg", "pause.svg", "play.svg", "send.svg"),
)
# URL paths and their files; no other file of the folder is served.
FILES = {
    "/": "index.html",
    **{f"/{name}": name for name in DEMO},
    **{f"/{name}.js": f"{name}.js" for name in MODULES},
    **{f"/adapters/{name}.js": f"adapters/{name}.js" for name in ADAPTERS},
}
PATHS = frozenset(FILES)
"""Paths that need no API key."""

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DOCUMENT = {"Content-Security-Policy": _POLICY, "Permissions-Policy": "camera=(self), microphone=(), geolocation=()"}
# Browsers revalidate the files at each use, and get 304 if they are unchanged, because the modules have to match.
_FILE = {
    "Cache-Control": "no-cache",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class PageRoutes:
    """The routes of the page's files; aiohttp handles ETag and byte ranges."""

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, for `Application.add_routes`."""
        return [web.get(path, self.get_file) for path in FILES]

    async def get_file(self, request: web.Request) -> web.FileResponse:
        """Return a file, or the requested range of it."""
        path = WEB / FILES[request.path]
        extra = _DOCUMENT if path.suffix == ".html" else _FILE
        charset = "" if path.suffix in (".webm", ".mattes", ".svg") else "; charset=utf-8"
        return web.FileResponse(path, headers={"Content-Type": TYPES[path.suffix] + charset, **extra})
