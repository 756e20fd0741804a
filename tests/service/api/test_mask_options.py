"""Mask options from the query and the Accept header."""

import pytest
from aiohttp.test_utils import make_mocked_request

from danmatte.api import mask_options
from danmatte.api.mask_options import PARAMETERS, MaskQuery
from danmatte.codecs import Encoder
from danmatte.errors import InvalidParameterError, NotAcceptableError, RequestError
from danmatte.frame import Size
from danmatte.http.query import Query
from danmatte.inference.matting import MaskOptions
from danmatte.inference.request import VersionSelector


def read(query: str = "", accept: str = "*/*") -> MaskQuery:
    """Parse a request with this query and Accept header."""
    request = make_mocked_request("POST", f"/v1/mattes?{query}", headers={"Accept": accept})
    return MaskQuery.read(request, Query(request.query, PARAMETERS))


def test_nothing_said_means_a_hard_png_of_the_frames_size_by_the_default_model() -> None:
    asked = read()
    assert asked.selector == VersionSelector()
    assert asked.options == MaskOptions("png", None, "own", "person")


def test_everything_said_is_taken() -> None:
    asked = read("model=toy&version=3&width=320&height=180&format=raw&threshold=.25&polarity=background")
    assert asked.selector == VersionSelector("toy", 3)
    assert asked.options == MaskOptions("raw", Size(180, 320), 0.25, "background")


def test_soft_edges_have_no_threshold() -> None:
    assert read("soft=true").options.threshold is None
    with pytest.raises(InvalidParameterError, match="threshold: expected with a hard mask"):
        read("soft=1&threshold=0.5")
    assert read("soft=0&threshold=0").options.threshold == 0


@pytest.mark.parametrize("query", ["width=320", "height=180"])
def test_half_a_size_is_refused_by_the_name_of_the_other_half(query: str) -> None:
    missing = "height" if query.startswith("width") else "width"
    with pytest.raises(InvalidParameterError, match=f"^{missing}: expected with the other one"):
        read(query)


def test_a_label_stands_instead_of_a_version() -> None:
    assert read("label=canary").selector == VersionSelector(label="canary")
    with pytest.raises(InvalidParameterError, match="label: expected without version"):
        read("label=canary&version=1")


@pytest.mark.parametrize("name", list(Encoder.registered))
def test_a_format_may_be_named_or_accepted(name: str) -> None:
    media_type = Encoder.registered[name].media_type
    assert read(f"format={name}", "text/plain").options.format == name
    assert Encoder.registered[read("", media_type).options.format].media_type == media_type


def test_several_headers_are_one_list_and_multipart_ones_are_no_format() -> None:
    assert read("", "multipart/mixed, image/webp").options.format == "webp"
    with pytest.raises(NotAcceptableError):
        read("", "text/html")


@pytest.mark.parametrize("media_type", ["application/x-nv12", "application/x-rgb24"])
def test_a_raw_picture_is_as_large_as_its_mask(media_type: str) -> None:
    assert read("width=4&height=2").declare_size(media_type) == Size(2, 4)
    with pytest.raises(InvalidParameterError, match=f"width, height: expected with {media_type}"):
        read().declare_size(media_type)


@pytest.mark.parametrize("media_type", ["", "image/jpeg", "application/octet-stream"])
def test_a_picture_of_a_size_of_its_own_declares_none(media_type: str) -> None:
    assert read("width=4&height=2").declare_size(media_type) is None


def test_the_same_query_is_parsed_once() -> None:
    mask_options._parse.cache_clear()
    assert read("width=64&height=36") is read("width=64&height=36")
    assert read("width=64&height=36") is not read("width=64&height=36", "image/png")
    assert mask_options._parse.cache_info().misses == 2


def test_a_refusal_is_not_kept() -> None:
    for _ in range(2):
        with pytest.raises(RequestError):
            read("width=x&height=1")
