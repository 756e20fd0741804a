"""The shapes of bodies, in JSON Schema."""

from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
FREE: Final[Schema] = {"type": "object"}


def ref(name: str) -> Schema:
    """One of the named schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(of: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": of}


def table(required: Schema, **optional: Schema) -> Schema:
    """An object with these fields."""
    return {"type": "object", "properties": required | optional, "required": list(required)}


_PARAMETERS: Final[Schema] = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}
_SHAPE: Final = listed(WHOLE)
_DURATION: Final = table({"count": COUNT, "ns": COUNT})
_PICTURE: Final = table({"b64": {"type": "string", "contentEncoding": "base64"}})
_ROW: Final[Schema] = {"anyOf": [_PICTURE, {"type": "array"}, FREE]}
_PORT: Final = table({"name": TEXT, "datatype": {"enum": ["UINT8", "FP32", "BYTES"]}, "shape": _SHAPE})
_DATA: Final[Schema] = {"type": "array", "description": "nested or flat, row-major; base64 strings for BYTES"}

SCHEMAS: Final[dict[str, Schema]] = {
    "Error": table({"error": TEXT}, code=TEXT, status=WHOLE, request_id=TEXT),
    "Picture": _PICTURE,
    "Models": table(
        {
            "models": listed(
                table(
                    {
                        "name": TEXT,
                        "default": FLAG,
                        "versions": listed(
                            table(
                                {"version": WHOLE, "state": TEXT},
                                input=listed(WHOLE),
                                precision=TEXT,
                                reason=TEXT,
                                labels=listed(TEXT),
                            )
                        ),
                    }
                )
            )
        }
    ),
    "Live": table({"live": FLAG}),
    "Ready": table({"ready": FLAG}, name=TEXT),
    "Server": table({"name": TEXT, "version": TEXT, "extensions": listed(TEXT)}),
    "Model": table(
        {
            "name": TEXT,
            "versions": listed(TEXT),
            "platform": TEXT,
            "inputs": listed(_PORT),
            "outputs": listed(_PORT),
        }
    ),
    "Config": table(
        {
            "name": TEXT,
            "platform": TEXT,
            "max_batch_size": COUNT,
            "input": listed(table({"name": TEXT, "data_type": TEXT, "dims": _SHAPE}, format=TEXT)),
            "output": listed(table({"name": TEXT, "data_type": TEXT, "dims": _SHAPE})),
        },
        backend=TEXT,
        parameters=FREE,
    ),
    "Statistics": table(
        {
            "model_stats": listed(
                table(
                    {
                        "name": TEXT,
                        "version": TEXT,
                        "last_inference": COUNT,
                        "inference_count": COUNT,
                        "execution_count": COUNT,
                        "inference_stats": {"type": "object", "additionalProperties": _DURATION},
                        "batch_stats": listed(table({"batch_size": COUNT})),
                    }
                )
            )
        }
    ),
    "InferRequest": table(
        {
            "inputs": listed(
                table(
                    {"name": TEXT, "shape": _SHAPE, "datatype": {"enum": ["UINT8", "BYTES"]}},
                    parameters=_PARAMETERS,
                    data=_DATA,
                )
            )
        },
        id=TEXT,
        parameters=_PARAMETERS
        | {"properties": {"timeout": COUNT | {"description": "microseconds"}, "binary_data_output": FLAG}},
        outputs=listed(table({"name": TEXT}, parameters=_PARAMETERS)),
    ),
    "InferAnswer": table(
        {
            "model_name": TEXT,
            "model_version": TEXT,
            "outputs": listed(
                table(
                    {"name": TEXT, "datatype": TEXT, "shape": _SHAPE},
                    parameters=table({"binary_data_size": COUNT}),
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
        "properties": {"predictions": {"type": "array"}, "outputs": {"type": "array"}},
        "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
    },
    "VersionStates": table(
        {
            "model_version_status": listed(
                table(
                    {
                        "version": TEXT,
                        "state": {"enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END", "UNKNOWN"]},
                        "status": table({"error_code": TEXT, "error_message": TEXT}),
                    }
                )
            )
        }
    ),
    "Signatures": table({"model_spec": FREE, "metadata": FREE}),
}
