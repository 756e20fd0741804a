"""Requirements of every query parameter of our own routes; a new one needs no line here."""

from pathlib import Path

import jsonschema
import pytest
from multidict import MultiDict

from danmatte.api.mask_options import PARAMETERS
from danmatte.api.mattes import PTS
from danmatte.api.openapi.document import build_document
from danmatte.api.stream import STABILISE
from danmatte.errors import InvalidParameterError
from danmatte.http.query import Parameter, Query
from tests.service.conftest import Start, jpeg, models, start

__all__ = ["jpeg", "models", "start"]
PLACES = {
    "/v1/mattes": ("post", (*PARAMETERS, PTS)),
    "/v1/stream": ("get", (*PARAMETERS, STABILISE)),
}
ALL = [*PARAMETERS, PTS, STABILISE]


def test_parameter_names_are_unique() -> None:
    assert len({parameter.name for parameter in ALL}) == len(ALL)


@pytest.mark.parametrize("path", PLACES)
def test_a_route_is_described_with_all_of_its_parameters(path: str) -> None:
    method, parameters = PLACES[path]
    described = build_document(["toy"])["paths"][path][method]["parameters"]
    given = {entry["name"]: entry for entry in described if entry["in"] == "query"}
    assert given.keys() == {parameter.name for parameter in parameters}
    for parameter in parameters:
        assert given[parameter.name]["description"] == parameter.description
        assert parameter.schema.items() <= given[parameter.name]["schema"].items()


@pytest.mark.parametrize("parameter", ALL, ids=lambda parameter: parameter.name)
def test_the_schema_of_a_parameter_is_valid(parameter: Parameter[object]) -> None:
    jsonschema.Draft202012Validator.check_schema(parameter.schema)


@pytest.mark.parametrize("parameter", ALL, ids=lambda parameter: parameter.name)
def test_an_invalid_value_is_refused_with_the_parameters_name(parameter: Parameter[object]) -> None:
    for value in ("", "\x00", "!" * 500):
        with pytest.raises(InvalidParameterError) as refused:
            Query(MultiDict({parameter.name: value}), ALL)[parameter]
        assert str(refused.value).startswith(f"{parameter.name}: expected")
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize("parameter", ALL, ids=lambda parameter: parameter.name)
def test_an_absent_parameter_has_the_default_of_its_schema(parameter: Parameter[object]) -> None:
    value = Query(MultiDict(), ALL)[parameter]
    if "default" in parameter.schema:
        assert value == parameter.schema["default"]


@pytest.mark.parametrize("parameter", [*PARAMETERS, PTS], ids=lambda parameter: parameter.name)
async def test_a_repeated_parameter_is_refused_with_its_name(start: Start, parameter: Parameter[object]) -> None:
    client = await start()
    answer = await client.post(f"/v1/mattes?{parameter.name}=1&{parameter.name}=1", data=b"x")
    assert (answer.status, (await answer.json())["error"].split(":")[0]) == (422, parameter.name)


def test_the_description_lists_the_served_models_as_examples(models: Path) -> None:
    described = build_document(["one", "two"])["paths"]["/v1/mattes"]["post"]["parameters"]
    assert [entry["schema"]["examples"] for entry in described if entry["name"] == "model"] == [["one", "two"]]
