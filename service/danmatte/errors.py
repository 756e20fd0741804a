"""What can go wrong in the service; every error owns its HTTP status and a code that clients may rely on.

ServiceError                     500  internal_error
├── RequestError                 400  bad_request           the caller can mend it
│   ├── UnauthorizedError        401  unauthorized          no key, or an unknown one
│   ├── ForbiddenError           403  forbidden             not from where it came
│   ├── UnknownParameterError    400  unknown_parameter
│   ├── InvalidParameterError    422  invalid_parameter
│   ├── BodyError                400  bad_body              empty, or broken on the way
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
│   └── PolicyError              422  invalid_policy        of how a model's versions are served
├── OverloadError                503  overloaded            come back after `retry_after_s`
│   ├── QueueFullError           429  queue_full
│   ├── QuotaError               429  quota_exceeded        more than the key may ask for; says which limit
│   ├── DeadlineError            503  deadline_exceeded
│   └── DrainingError            503  draining
├── ModelError                   503  model_unavailable     a version on disk that can't be served
│   └── ManifestError            503  invalid_manifest
├── EngineError                  500  engine_failed
├── TrackError                   422  corrupt_track         a track that isn't one, or can't be written so
├── StorageError                 502  storage_failed        a place of videos or tracks that can't be used
├── LostWorkerError              500  lost_worker           a process that crashed, hung, or couldn't do its work
└── SettingsError                500  invalid_settings      at start only
    └── MissingExtraError        500  missing_extra         a library that one of danmatte's extras brings

On the command line they end with exit code 2, a MissingExtraError with 3, and a StorageError with 4: it may go well
another time.
"""

import math
from typing import ClassVar


class ServiceError(Exception):
    """The root; never raised itself."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 2


class RequestError(ServiceError):
    """The caller's question can't be answered; the message says what to change."""

    status = 400
    code = "bad_request"


class UnauthorizedError(RequestError):
    """The request carries no API key, or an unknown one."""

    status = 401
    code = "unauthorized"


class ForbiddenError(RequestError):
    """Nobody may ask this from there."""

    status = 403
    code = "forbidden"


class UnknownParameterError(RequestError):
    """A query parameter that doesn't exist."""

    code = "unknown_parameter"


class InvalidParameterError(RequestError):
    """A query parameter whose value is impossible."""

    status = 422
    code = "invalid_parameter"


class BodyError(RequestError):
    """The body is empty, or broke on the way."""

    code = "bad_body"


class BodyTimeoutError(RequestError):
    """The body didn't arrive in time."""

    status = 408
    code = "body_timeout"


class BodyTooLargeError(RequestError):
    """The body is over the limit."""

    status = 413
    code = "body_too_large"


class MediaTypeError(RequestError):
    """Neither the header nor the bytes are of a kind that is served."""

    status = 415
    code = "unsupported_media_type"


class PictureError(RequestError):
    """The bytes begin like a picture and aren't a whole one."""

    status = 422
    code = "corrupt_picture"


class PictureTooLargeError(RequestError):
    """The picture's header claims too many pixels; nothing was decoded."""

    status = 413
    code = "picture_too_large"


class TensorError(RequestError):
    """A tensor that the model doesn't have, or whose datatype, shape or values aren't its own."""

    code = "bad_tensor"


class NotAcceptableError(RequestError):
    """No mask format suits the Accept header."""

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
    """How a model's versions are to be served is impossible: says the file, or what was asked."""

    status = 422
    code = "invalid_policy"


class OverloadError(ServiceError):
    """Too much at once; the same request may succeed `retry_after_s` seconds later."""

    status = 503
    code = "overloaded"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = min(60, max(1, math.ceil(retry_after_s)))


class QueueFullError(OverloadError):
    """Every place is taken, or the wait would be too long."""

    status = 429
    code = "queue_full"


class QuotaError(OverloadError):
    """More than the key may ask for."""

    status = 429
    code = "quota_exceeded"


class DeadlineError(OverloadError):
    """The answer would have come too late."""

    code = "deadline_exceeded"


class DrainingError(OverloadError):
    """The server is going; another one may be there already."""

    code = "draining"

    def __init__(self, message: str, retry_after_s: float = 5.0) -> None:
        super().__init__(message, retry_after_s)


class ModelError(ServiceError):
    """A version on disk can't be served."""

    status = 503
    code = "model_unavailable"


class ManifestError(ModelError):
    """A published version breaks the contract: says the file, the field, what was expected and received."""

    code = "invalid_manifest"

    def __init__(self, file: str, field: str, expected: str, received: object) -> None:
        super().__init__(f"{file}: {field}: expected {expected}, received {brief(received)}")
        self.file, self.field, self.expected = file, field, expected


class EngineError(ServiceError):
    """Inference failed."""

    code = "engine_failed"


class TrackError(ServiceError):
    """The file isn't a whole mask track, or what was to be written can't be in one."""

    status = 422
    code = "corrupt_track"


class StorageError(ServiceError):
    """A place of videos or tracks can't be read or written."""

    status = 502
    code = "storage_failed"
    exit_code = 4


class LostWorkerError(ServiceError):
    """A process that works on its own crashed, hung, or couldn't do what it was asked for; the message says which."""

    code = "lost_worker"


class SettingsError(ServiceError):
    """The server can't start like this."""

    code = "invalid_settings"


class MissingExtraError(SettingsError):
    """A setting needs a library that isn't installed: says which extra of danmatte brings it."""

    code = "missing_extra"
    exit_code = 3

    def __init__(self, wanted_by: str, extra: str, library: str) -> None:
        super().__init__(f"{wanted_by}: needs {library}, which an extra brings: pip install 'danmatte[{extra}]'")


def brief(value: object, limit: int = 80) -> str:
    """The value's `repr`, cut: what a stranger sent never fills a log or an answer."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def say_where(place: str, reason: str) -> str:
    """A reason with its place before it, which many reasons begin with already."""
    return reason if reason.startswith(f"{place}: ") else f"{place}: {reason}"
