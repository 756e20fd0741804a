"""Query parameters of the mask routes: which model is used, and the options of its masks.

A new parameter needs a constant here, an entry in PARAMETERS, and its use in `_parse`. The parser, the OpenAPI document
and the reference are derived from these.
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

MODEL: Final = Text("model", "name of the model; default: the server's default model", _NAME, "a model's name")
VERSION: Final = Integer("version", "version of the model; default: as the model's serving policy says", 1, 2**53)
LABEL: Final = Text("label", "label of a version, instead of its number", _NAME, "a label's name")
WIDTH: Final = Integer("width", "width of the mask; default: the frame's; required for raw frames", 1, _SIDE)
HEIGHT: Final = Integer("height", "height of the mask; required with width", 1, _SIDE)
FORMAT: Final = Choice("format", "format of the mask; default: chosen by the Accept header", Encoder.registered.keys())
SOFT: Final = Flag("soft", "soft edges instead of a threshold")
THRESHOLD: Final = Number("threshold", "threshold of a hard mask; default: the region's own, 0.5 for people", 0, 1)
MARGIN: Final = Number("margin", "margin around the masked regions, as a share of the mask's height", 0, MAX_MARGIN)
POLARITY: Final = Choice("polarity", "whether people or the background are painted", ("person", "background"))
REGION: Final = Text(
    "region",
    "regions to mask together, such as person,text, found by any of the models; default: the model's own",
    f"{REGION_NAME}(,{REGION_NAME}){{0,7}}",
    "names of regions, separated by commas",
)
PARAMETERS: Final[tuple[Parameter[object], ...]] = (
    *(MODEL, VERSION, LABEL),
    *(WIDTH, HEIGHT, FORMAT, SOFT, THRESHOLD, MARGIN, POLARITY, REGION),
)


class MaskQuery(NamedTuple):
    """The requested version and mask options."""

    selector: VersionSelector
    options: MaskOptions

    @classmethod
    def read(cls, request: web.Request, query: Query) -> "MaskQuery":
        """Parse the query and the Accept header; `query` has to declare PARAMETERS. Raises RequestError."""
        return _parse(query.select(PARAMETERS), ",".join(request.headers.getall("Accept", [])))

    def declare_size(self, media_type: str) -> Size | None:
        """Return the size of a raw picture, which is also that of its mask; None for other formats.

        Raises InvalidParameterError if a raw picture's size is missing.
        """
        if not needs_size(media_type):
            return None
        if self.options.size is None:
            raise InvalidParameterError(f"width, height: expected with {media_type}")
        return self.options.size


def describe_parameters(models: Sequence[str]) -> list[dict[str, Any]]:
    """Describe PARAMETERS in OpenAPI, with these models as examples."""
    return [describe_query(parameter, models if parameter is MODEL else ()) for parameter in PARAMETERS]


@lru_cache(256)  # a player sends the same query thirty times a second
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
