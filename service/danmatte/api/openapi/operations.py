"""Building blocks for protocols' OpenAPI descriptions."""

from collections.abc import Sequence
from typing import Any, Final

from danmatte.api.openapi.schemas import Schema, ref
from danmatte.http.query import DEADLINE, Parameter

_NAME: Final = "[a-z0-9][a-z0-9_-]{0,63}"
_MODEL: Final[Schema] = {"type": "string", "pattern": f"^{_NAME}$"}
_VERSION: Final[Schema] = {"type": "string", "pattern": "^[1-9][0-9]{0,14}$"}
DEADLINE_HEADER: Final[Schema] = {
    "in": "header",
    "name": DEADLINE,
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "description": "milliseconds after which the client no longer needs the response",
}
REFUSAL: Final[Schema] = {"$ref": "#/components/responses/Error"}


def describe_operation(tag: str, summary: str, content: Schema, parameters: Sequence[Schema] = ()) -> dict[str, Any]:
    """Describe an operation that returns 200 with this content, or an error."""
    answers = {"200": {"description": "done", "content": content}, "default": REFUSAL}
    return {"tags": [tag], "summary": summary, "parameters": list(parameters), "responses": answers}


def describe_readiness(tag: str, summary: str, parameters: Sequence[Schema] = ()) -> dict[str, Any]:
    """Describe an operation that returns 200 if something is ready, and 503 if not."""
    no = {"application/json": {"schema": {"anyOf": [ref("Ready"), ref("Error")]}}}
    answers = {
        "200": {"description": "ready", "content": describe_json("Ready")},
        "503": {"description": "not ready", "content": no},
        "default": REFUSAL,
    }
    return {"tags": [tag], "summary": summary, "parameters": list(parameters), "responses": answers}


def describe_json(name: str) -> Schema:
    """Describe a JSON body of one of the named schemas."""
    return {"application/json": {"schema": ref(name)}}


def describe_query(parameter: Parameter[object], examples: Sequence[str] = ()) -> Schema:
    """Describe a query parameter from its declaration."""
    schema = add_examples(parameter.schema, examples)
    return {"in": "query", "name": parameter.name, "schema": schema, "description": parameter.description}


def list_model_paths(path: str, models: Sequence[str], *further: str) -> list[tuple[str, list[Schema]]]:
    """Return a model's path with its path parameters, then one path for each of `further` (`version`, `label`)."""
    name = {"in": "path", "name": "name", "required": True, "schema": add_examples(_MODEL, models)}
    found = [(path, [name])]
    for parameter in further:
        schema = _VERSION if parameter == "version" else _MODEL
        more = {"in": "path", "name": parameter, "required": True, "schema": schema}
        found.append((f"{path}/{parameter}s/{{{parameter}}}", [name, more]))
    return found


def add_examples(schema: Schema, values: Sequence[str]) -> Schema:
    """Return the schema with examples added, if there are any."""
    return schema | {"examples": list(values)} if values else schema
