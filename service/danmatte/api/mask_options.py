"""The query of every frame that comes over our own routes: which model, and what its masks are like.

A new parameter is a constant here, its place in PARAMETERS and in `_parse`; parser, OpenAPI and docs follow from it.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aiohttp import web
from multidict import MultiDict

from danmatte.api.openapi.operations import describe_query
from danmatte.codecs import Encoder, needs_size
from danmatte.contract.ports import REGION as REGION_NAME
from danmatte.errors import InvalidParameterError
from danmatte.frame import Size
from danmatte.http.query import Choice, Flag, Integer, Number, Parameter, Query, Text, negotiate
from danmatte.inference.matting import OWN, MaskOptions
from danmatte.inference.request import VersionSelector
from danmatte.video.silhouette import MAX_MARGIN

_NAME: Final = "[a-z0-9][a-z0-9_-]{0,63}"
_SIDE: Final = 65_535

MODEL: Final = Text("model", "the default one otherwise", _NAME, "a model's name")
VERSION: Final = Integer("version", "the newest otherwise", 1, 2**53)
LABEL: Final = Text("label", "a label instead of a version", _NAME, "a label's name")
WIDTH: Final = Integer("width", "the mask's, and a raw frame's; the frame's own otherwise", 1, _SIDE)
HEIGHT: Final = Integer("height", "with width", 1, _SIDE)
FORMAT: Final = Choice("format", "or Accept", Encoder.registered.keys())
SOFT: Final = Flag("soft", "soft edges, instead of a threshold")
THRESHOLD: Final = Number("threshold", "of a hard mask; each region's own otherwise, 0.5 for people", 0, 1)
MARGIN: Final = Number("margin", "around what is painted, a share of the mask's height", 0, MAX_MARGIN)
POLARITY: Final = Choice("polarity", "what is painted", ("person", "background"))
REGION: Final = Text(
    "region",
    "what is painted together, such as person,text, by whichever models find it; the model's own otherwise",
    f"{REGION_NAME}(,{REGION_NAME}){{0,7}}",
    "regions' names with commas between them",
)
PARAMETERS: Final[tuple[Parameter[object], ...]] = (
    *(MODEL, VERSION, LABEL),
    *(WIDTH, HEIGHT, FORMAT, SOFT, THRESHOLD, MARGIN, POLARITY, REGION),
)


class MaskQuery(NamedTuple):
    """Which version is asked, and what its masks are like."""

    selector: VersionSelector
    options: MaskOptions

    @classmethod
    def read(cls, request: web.Request, query: Query) -> "MaskQuery":
        """From a query that allows PARAMETERS, and Accept; raises RequestError."""
        return _parse(query.select(PARAMETERS), ",".join(request.headers.getall("Accept", [])))

    def declare_size(self, media_type: str) -> Size | None:
        """The size of a raw picture, which is that of its mask; None for others, which know their own.

        Raises InvalidParameterError for a raw one whose size wasn't given.
        """
        if not needs_size(media_type):
            return None
        if self.options.size is None:
            raise InvalidParameterError(f"width, height: expected with {media_type}")
        return self.options.size


def describe_parameters(models: Sequence[str]) -> list[dict[str, Any]]:
    """PARAMETERS in OpenAPI, with these models as examples."""
    return [describe_query(parameter, models if parameter is MODEL else ()) for parameter in PARAMETERS]


@lru_cache(256)  # a player asks for the same thirty times a second
def _parse(texts: tuple[tuple[str, str], ...], accept: str) -> MaskQuery:
    query = Query(MultiDict(texts), PARAMETERS)
    model, version, label = query[MODEL], query[VERSION], query[LABEL]
    if label and version is not None:
        raise InvalidParameterError("label: expected without version")
    height, width = query[HEIGHT], query[WIDTH]
    if (height is None) != (width is None):
        raise InvalidParameterError(f"{'width' if width is None else 'height'}: expected with the other one")
    size = Size(height, width) if height is not None and width is not None else None
    if FORMAT in query:
        format_ = query[FORMAT]
    else:
        own = ",".join(kind for kind in accept.split(",") if not kind.strip().startswith("multipart/"))
        format_ = negotiate(own, {encoder.media_type: name for name, encoder in Encoder.registered.items()})
    soft = query[SOFT]
    if soft and THRESHOLD in query:
        raise InvalidParameterError("threshold: expected with a hard mask, received with soft")
    given = query[THRESHOLD]
    threshold = None if soft else OWN if given is None else given
    regions = tuple(dict.fromkeys(filter(None, query[REGION].split(","))))
    options = MaskOptions(format_, size, threshold, query[POLARITY], regions, query[MARGIN] or 0.0)
    return MaskQuery(VersionSelector(model, version, label), options)
