"""The list of HTTP protocols; add new ones here."""

from typing import Final

from danmatte.api.health import HealthRoutes
from danmatte.api.mattes import MattesRoutes
from danmatte.api.metrics import MetricsRoutes
from danmatte.api.protocol import HttpProtocol
from danmatte.api.stream import StreamRoutes
from danmatte.api.tfs.routes import TfsRoutes
from danmatte.api.v2.routes import V2Routes

PROTOCOLS: Final[tuple[type[HttpProtocol], ...]] = (
    MattesRoutes,
    StreamRoutes,
    HealthRoutes,
    MetricsRoutes,
    V2Routes,
    TfsRoutes,
)
