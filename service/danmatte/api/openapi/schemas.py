"""JSON Schemas of request and response bodies."""

from typing import Any, Final, TypeAlias

from danmatte.inference.tensors import BYTES, DATATYPES

Schema: TypeAlias = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
FREE: Final[Schema] = {"type": "object"}


def ref(name: str) -> Schema:
    """Return a reference to one of the named schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(of: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": of}


def describe_object(required: Schema, **optional: Schema) -> Schema:
    """Return the schema of an object with these fields."""
    return {"type": "object", "properties": required | optional, "required": list(required)}


_PARAMETERS: Final[Schema] = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}
_SHAPE: Final = list_of(WHOLE)
_DURATION: Final = describe_object({"count": COUNT, "ns": COUNT})
_PICTURE: Final = describe_object({"b64": {"type": "string", "contentEncoding": "base64"}})
_ROW: Final[Schema] = {"anyOf": [_PICTURE, {"type": "array"}, FREE]}
_DATATYPE: Final[Schema] = {"enum": [*DATATYPES.values(), BYTES]}
_PORT: Final = describe_object({"name": TEXT, "datatype": _DATATYPE, "shape": _SHAPE})
_DATA: Final[Schema] = {"type": "array", "description": "nested or flat, row-major; base64 strings for BYTES"}

SCHEMAS: Final[dict[str, Schema]] = {
    "Error": describe_object({"error": TEXT}, code=TEXT, status=WHOLE, request_id=TEXT),
    "Picture": _PICTURE,
    "Models": describe_object(
        {
            "models": list_of(
                describe_object(
                    {
                        "name": TEXT,
                        "default": FLAG,
                        "versions": list_of(
                            describe_object(
                                {"version": WHOLE, "state": TEXT},
                                input=list_of(WHOLE),
                                precision=TEXT,
                                reason=TEXT,
                                labels=list_of(TEXT),
                                outputs={"type": "object", "additionalProperties": TEXT},
                                regions=list_of(TEXT),
                            )
                        ),
                    }
                )
            )
        }
    ),
    "Live": describe_object({"live": FLAG}),
    "Ready": describe_object({"ready": FLAG}, name=TEXT),
    "Server": describe_object({"name": TEXT, "version": TEXT, "extensions": list_of(TEXT)}),
    "Model": describe_object(
        {
            "name": TEXT,
            "versions": list_of(TEXT),
            "platform": TEXT,
            "inputs": list_of(_PORT),
            "outputs": list_of(_PORT),
        }
    ),
    "Config": describe_object(
        {
            "name": TEXT,
            "platform": TEXT,
            "max_batch_size": COUNT,
            "input": list_of(describe_object({"name": TEXT, "data_type": TEXT, "dims": _SHAPE}, format=TEXT)),
            "output": list_of(describe_object({"name": TEXT, "data_type": TEXT, "dims": _SHAPE})),
        },
        backend=TEXT,
        parameters=FREE,
    ),
    "Statistics": describe_object(
        {
            "model_stats": list_of(
                describe_object(
                    {
                        "name": TEXT,
                        "version": TEXT,
                        "last_inference": COUNT,
                        "inference_count": COUNT,
                        "execution_count": COUNT,
                        "inference_stats": {"type": "object", "additionalProperties": _DURATION},
                        "batch_stats": list_of(describe_object({"batch_size": COUNT})),
                        "region_stats": list_of(describe_object({"region": TEXT})),
                    }
                )
            )
        }
    ),
    "InferRequest": describe_object(
        {
            "inputs": list_of(
                describe_object(
                    {"name": TEXT, "shape": _SHAPE, "datatype": _DATATYPE},
                    parameters=_PARAMETERS,
                    data=_DATA,
                )
            )
        },
        id=TEXT,
        parameters=_PARAMETERS
        | {"properties": {"timeout": COUNT | {"description": "microseconds"}, "binary_data_output": FLAG}},
        outputs=list_of(describe_object({"name": TEXT}, parameters=_PARAMETERS)),
    ),
    "InferAnswer": describe_object(
        {
            "model_name": TEXT,
            "model_version": TEXT,
            "outputs": list_of(
                describe_object(
                    {"name": TEXT, "datatype": TEXT, "shape": _SHAPE},
                    parameters=describe_object({"binary_data_size": COUNT}),
                    data=_DATA,
                )
            ),
        },
        id=TEXT,
    ),
    "Predict": {
        "type": "object",
        "properties": {
            "signature_name": {"enum": ["", "serving_default", "mask"]},
            "instances": {"type": "array", "items": _ROW, "description": "rows"},
            "inputs": _ROW | {"description": "columns"},
        },
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
    "Predictions": {
        "type": "object",
        "properties": {"predictions": {"type": "array"}, "outputs": {"type": ["array", "object", "number", "boolean"]}},
        "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
    },
    "VersionStates": describe_object(
        {
            "model_version_status": list_of(
                describe_object(
                    {
                        "version": TEXT,
                        "state": {"enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END", "UNKNOWN"]},
                        "status": describe_object({"error_code": TEXT, "error_message": TEXT}),
                    }
                )
            )
        }
    ),
    "Signatures": describe_object({"model_spec": FREE, "metadata": FREE}),
}
