"""The exceptions of the service. Each has an HTTP status and a stable code that clients may rely on.

ServiceError                     500  internal_error
├── RequestError                 400  bad_request           the client has to change the request
│   ├── UnauthorizedError        401  unauthorized          no API key, or an unknown one
│   ├── ForbiddenError           403  forbidden             not allowed for this origin, token or port
│   ├── UnknownParameterError    400  unknown_parameter
│   ├── InvalidParameterError    422  invalid_parameter
│   ├── BodyError                400  bad_body              empty, malformed, or incomplete
│   ├── BodyTimeoutError         408  body_timeout
│   ├── BodyTooLargeError        413  body_too_large
│   ├── MediaTypeError           415  unsupported_media_type
│   ├── PictureError             422  corrupt_picture
│   ├── PictureTooLargeError     413  picture_too_large
│   ├── TensorError              400  bad_tensor            its name, datatype, shape or values
│   ├── NotAcceptableError       406  not_acceptable
│   ├── UnknownModelError        404  unknown_model
│   ├── UnknownVersionError      404  unknown_version
│   ├── UnknownLabelError        404  unknown_label
│   └── PolicyError              422  invalid_policy        an invalid serving policy of a model
├── OverloadError                503  overloaded            retry after `retry_after_s` seconds
│   ├── QueueFullError           429  queue_full
│   ├── QuotaError               429  quota_exceeded        a limit of the API key; the message says which
│   ├── DeadlineError            503  deadline_exceeded
│   └── DrainingError            503  draining
├── ModelError                   503  model_unavailable     a version on disk can't be served
│   └── ManifestError            503  invalid_manifest
├── EngineError                  500  engine_failed
├── TrackError                   422  corrupt_track         not a mask track, or the format can't store the masks
├── StorageError                 502  storage_failed        storage of videos or tracks can't be read or written
├── LostWorkerError              500  lost_worker           a worker process crashed, hung, or failed
└── SettingsError                500  invalid_settings      raised only at startup
    └── MissingExtraError        500  missing_extra         a library of an optional extra isn't installed

On the command line, MissingExtraError ends with exit code 3, StorageError with 4 (a retry may succeed), and all others
with 2.
"""

import math
from typing import ClassVar


class ServiceError(Exception):
    """The base class; never raised itself."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 2


class RequestError(ServiceError):
    """The request is invalid; the message says what to change."""

    status = 400
    code = "bad_request"


class UnauthorizedError(RequestError):
    """The request carries no API key, or an unknown one."""

    status = 401
    code = "unauthorized"


class ForbiddenError(RequestError):
    """The request isn't allowed from this origin, with this token, or on this port."""

    status = 403
    code = "forbidden"


class UnknownParameterError(RequestError):
    """A query parameter doesn't exist."""

    code = "unknown_parameter"


class InvalidParameterError(RequestError):
    """A parameter has an invalid value."""

    status = 422
    code = "invalid_parameter"


class BodyError(RequestError):
    """The body is empty, malformed, or incomplete."""

    code = "bad_body"


class BodyTimeoutError(RequestError):
    """The body didn't arrive in time."""

    status = 408
    code = "body_timeout"


class BodyTooLargeError(RequestError):
    """The body exceeds the size limit."""

    status = 413
    code = "body_too_large"


class MediaTypeError(RequestError):
    """The media type or the content encoding isn't supported."""

    status = 415
    code = "unsupported_media_type"


class PictureError(RequestError):
    """The picture is truncated or corrupt."""

    status = 422
    code = "corrupt_picture"


class PictureTooLargeError(RequestError):
    """The picture's header declares too many pixels; it wasn't decoded."""

    status = 413
    code = "picture_too_large"


class TensorError(RequestError):
    """A tensor is unknown to the model, or its datatype, shape or values don't match the model's."""

    code = "bad_tensor"


class NotAcceptableError(RequestError):
    """No mask format matches the Accept header."""

    status = 406
    code = "not_acceptable"


class UnknownModelError(RequestError):
    """No model has this name."""

    status = 404
    code = "unknown_model"


class UnknownVersionError(RequestError):
    """The model has no such version."""

    status = 404
    code = "unknown_version"


class UnknownLabelError(RequestError):
    """The model has no such label."""

    status = 404
    code = "unknown_label"


class PolicyError(RequestError):
    """A serving policy of a model is invalid; the message names the file, or the field of the request."""

    status = 422
    code = "invalid_policy"


class OverloadError(ServiceError):
    """The server is overloaded; the same request may succeed after `retry_after_s` seconds."""

    status = 503
    code = "overloaded"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = min(60, max(1, math.ceil(retry_after_s)))


class QueueFullError(OverloadError):
    """The queue is full, or the predicted wait is too long."""

    status = 429
    code = "queue_full"


class QuotaError(OverloadError):
    """The request exceeds a limit of the API key."""

    status = 429
    code = "quota_exceeded"


class DeadlineError(OverloadError):
    """The response wasn't ready before the deadline."""

    code = "deadline_exceeded"


class DrainingError(OverloadError):
    """The server is shutting down; another one may already be running."""

    code = "draining"

    def __init__(self, message: str, retry_after_s: float = 5.0) -> None:
        super().__init__(message, retry_after_s)


class ModelError(ServiceError):
    """A version on disk can't be served."""

    status = 503
    code = "model_unavailable"


class ManifestError(ModelError):
    """A published version breaks the contract; the message names file, field, expected and received value."""

    code = "invalid_manifest"

    def __init__(self, file: str, field: str, expected: str, received: object) -> None:
        super().__init__(f"{file}: {field}: expected {expected}, received {brief(received)}")
        self.file, self.field, self.expected = file, field, expected


class EngineError(ServiceError):
    """Inference failed."""

    code = "engine_failed"


class TrackError(ServiceError):
    """The file isn't a complete mask track, or the track format can't store these masks."""

    status = 422
    code = "corrupt_track"


class StorageError(ServiceError):
    """The storage of videos or tracks can't be read or written."""

    status = 502
    code = "storage_failed"
    exit_code = 4


class LostWorkerError(ServiceError):
    """A worker process crashed, hung, or failed; the message says which."""

    code = "lost_worker"


class SettingsError(ServiceError):
    """The server can't start with these settings."""

    code = "invalid_settings"


class MissingExtraError(SettingsError):
    """A setting needs a library that isn't installed; the message names the optional extra to install."""

    code = "missing_extra"
    exit_code = 3

    def __init__(self, wanted_by: str, extra: str, library: str) -> None:
        super().__init__(f"{wanted_by}: needs {library}, an optional dependency: pip install 'danmatte[{extra}]'")


def brief(value: object, limit: int = 80) -> str:
    """Return the value's `repr`, truncated so that untrusted input can't fill a log or a response."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def say_where(place: str, reason: str) -> str:
    """Return the reason prefixed with the place, unless it already begins with it."""
    return reason if reason.startswith(f"{place}: ") else f"{place}: {reason}"
