"""What a query asks of every frame that comes with it, the same for all of our own routes."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aiohttp import web
from multidict import MultiDict

from danmatte.codecs import Encoder, needs_size
from danmatte.errors import InvalidParameterError
from danmatte.frame import Size
from danmatte.http.query import Parameters, acceptable
from danmatte.inference.matting import Look, Order

ASKED: Final = ("model", "version", "label", "width", "height", "format", "soft", "threshold", "polarity")
_POLARITIES: Final = ("person", "background")
_SIDE = 65_535


@dataclass(frozen=True)
class Asked:
    """Which model is asked, and what its masks are like; the newest version unless `version` or `label` says."""

    model: str
    version: int | None
    label: str
    format: str
    look: Look

    @classmethod
    def read(cls, request: web.Request, query: Parameters) -> "Asked":
        """From a query that allows `ASKED`, and Accept; raises RequestError."""
        return _read(query.among(ASKED), ",".join(request.headers.getall("Accept", [])))

    @classmethod
    def of(cls, query: Parameters, accept: str) -> "Asked":
        """From a query of nothing else, and Accept; raises RequestError."""
        version = query.integer("version", 1, 2**53)
        label = query.text("label", "[a-z0-9][a-z0-9_-]{0,63}", "a label's name")
        if label and version is not None:
            raise InvalidParameterError("label: expected without version")
        return cls(
            model=query.text("model", "[a-z0-9][a-z0-9_-]{0,63}", "a model's name"),
            version=version,
            label=label,
            format=_format(query, accept),
            look=Look(_size(query), _threshold(query), query.choice("polarity", _POLARITIES, _POLARITIES[0])),
        )

    def order(self, media_type: str) -> Order:
        """The order for a body; a raw one has the masks' size."""
        is_raw = needs_size(media_type)
        if is_raw and self.look.size is None:
            raise InvalidParameterError(f"width, height: expected with {media_type}")
        return Order(media_type, self.format, self.look, self.look.size if is_raw else None)


def _size(query: Parameters) -> Size | None:
    height, width = query.integer("height", 1, _SIDE), query.integer("width", 1, _SIDE)
    if height is None and width is None:
        return None
    if height is None or width is None:
        raise InvalidParameterError(f"{'width' if width is None else 'height'}: expected with the other one")
    return Size(height, width)


def _threshold(query: Parameters) -> float | None:
    """None for a soft mask."""
    if not query.flag("soft"):
        return query.number("threshold", 0, 1, default=0.5)
    if "threshold" in query:
        raise InvalidParameterError("threshold: expected with a hard mask, received with soft")
    return None


def _format(query: Parameters, accept: str) -> str:
    if "format" in query:
        return query.choice("format", list(Encoder.registered), "")
    own = ",".join(kind for kind in accept.split(",") if not kind.strip().startswith("multipart/"))
    return acceptable(own, {encoder.media_type: name for name, encoder in Encoder.registered.items()})


@lru_cache(256)  # a player asks for the same thirty times a second
def _read(query: tuple[tuple[str, str], ...], accept: str) -> Asked:
    return Asked.of(Parameters(MultiDict(query), ASKED), accept)
