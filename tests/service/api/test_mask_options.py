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


def test_the_default_is_a_hard_png_of_the_frames_size_by_the_default_model() -> None:
    parsed = read()
    assert parsed.selector == VersionSelector()
    assert parsed.options == MaskOptions("png", None, "own", "person")


def test_every_query_parameter_sets_its_option() -> None:
    parsed = read("model=toy&version=3&width=320&height=180&format=raw&threshold=.25&polarity=background")
    assert parsed.selector == VersionSelector("toy", 3)
    assert parsed.options == MaskOptions("raw", Size(180, 320), 0.25, "background")


def test_a_threshold_is_refused_for_soft_masks() -> None:
    assert read("soft=true").options.threshold is None
    with pytest.raises(InvalidParameterError, match="threshold: expected with a hard mask"):
        read("soft=1&threshold=0.5")
    assert read("soft=0&threshold=0").options.threshold == 0


@pytest.mark.parametrize("query", ["width=320", "height=180"])
def test_width_or_height_alone_is_refused_naming_the_missing_one(query: str) -> None:
    missing = "height" if query.startswith("width") else "width"
    with pytest.raises(InvalidParameterError, match=f"^{missing}: expected with the other one"):
        read(query)


def test_a_label_selects_a_version_and_excludes_a_version_number() -> None:
    assert read("label=canary").selector == VersionSelector(label="canary")
    with pytest.raises(InvalidParameterError, match="label: expected without version"):
        read("label=canary&version=1")


@pytest.mark.parametrize("name", list(Encoder.registered))
def test_the_format_comes_from_the_query_or_the_accept_header(name: str) -> None:
    media_type = Encoder.registered[name].media_type
    assert read(f"format={name}", "text/plain").options.format == name
    assert Encoder.registered[read("", media_type).options.format].media_type == media_type


def test_multipart_types_in_the_accept_header_are_not_mask_formats() -> None:
    assert read("", "multipart/mixed, image/webp").options.format == "webp"
    with pytest.raises(NotAcceptableError):
        read("", "text/html")


@pytest.mark.parametrize("media_type", ["application/x-nv12", "application/x-rgb24"])
def test_a_raw_picture_takes_its_size_from_the_query(media_type: str) -> None:
    assert read("width=4&height=2").declare_size(media_type) == Size(2, 4)
    with pytest.raises(InvalidParameterError, match=f"width, height: expected with {media_type}"):
        read().declare_size(media_type)


@pytest.mark.parametrize("media_type", ["", "image/jpeg", "application/octet-stream"])
def test_an_encoded_picture_takes_no_size_from_the_query(media_type: str) -> None:
    assert read("width=4&height=2").declare_size(media_type) is None


def test_the_same_query_is_parsed_once() -> None:
    mask_options._parse.cache_clear()
    assert read("width=64&height=36") is read("width=64&height=36")
    assert read("width=64&height=36") is not read("width=64&height=36", "image/png")
    assert mask_options._parse.cache_info().misses == 2


def test_errors_of_parsing_are_not_cached() -> None:
    for _ in range(2):
        with pytest.raises(RequestError):
            read("width=x&height=1")
