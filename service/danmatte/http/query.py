"""Strict parsing of query parameters and of the Accept header; errors name the parameter.

A parameter is declared once, as a constant in the module that uses it. The parser, the OpenAPI document and the
reference documentation are derived from this declaration.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from multidict import MultiMapping

from danmatte.contract.near_words import did_you_mean
from danmatte.errors import InvalidParameterError, NotAcceptableError, UnknownParameterError, brief

DEADLINE: Final = "X-Deadline-Ms"
TOKEN: Final = "token"  # allowed in every query; the authentication reads it
T_co = TypeVar("T_co", covariant=True)
Word = TypeVar("Word", bound=str)
_QUALITY = re.compile(r"q=(0?\.\d{1,3}|0\.?|1(\.0{0,3})?)$", re.ASCII)
_RANGE = re.compile(r"(\*/\*|[\w!#$&^.+-]+/(\*|[\w!#$&^.+-]+))$", re.ASCII)


@dataclass(frozen=True)
class Parameter(ABC, Generic[T_co]):
    """A query parameter; `description` appears in the reference."""

    name: str
    description: str

    @property
    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """JSON Schema of its values."""

    @abstractmethod
    def parse(self, value: str | None) -> T_co:
        """Parse the text, which is None if the parameter is absent; raises InvalidParameterError."""

    def _match(self, value: str, pattern: str, expected: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise InvalidParameterError(f"{self.name}: expected {expected}, received {brief(value)}")
        return value


@dataclass(frozen=True)
class Text(Parameter[str]):
    """Text that has to match the whole pattern; empty if absent. `expected` describes it in error messages."""

    pattern: str
    expected: str

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}

    def parse(self, value: str | None) -> str:
        return "" if value is None else self._match(value, self.pattern, self.expected)


@dataclass(frozen=True)
class Integer(Parameter[int | None]):
    """A decimal integer from `low` to `high`; None if absent."""

    low: int
    high: int

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def parse(self, value: str | None) -> int | None:
        if value is None:
            return None
        expected = f"an integer from {self.low} to {self.high}"
        number = int(self._match(value, r"[+-]?\d{1,20}", expected))
        if not self.low <= number <= self.high:
            raise InvalidParameterError(f"{self.name}: expected {expected}, received {value}")
        return number


@dataclass(frozen=True)
class Number(Parameter[float | None]):
    """A decimal number from `low` to `high`; None if absent."""

    low: float
    high: float

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}

    def parse(self, value: str | None) -> float | None:
        if value is None:
            return None
        expected = f"a number from {self.low} to {self.high}"
        number = float(self._match(value, r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})", expected))
        if not self.low <= number <= self.high:
            raise InvalidParameterError(f"{self.name}: expected {expected}, received {value}")
        return number


@dataclass(frozen=True)
class Choice(Parameter[Word]):
    """One of `words`; the first if absent. If `words` is a mapping, its keys are read at each use."""

    words: Collection[Word]

    @property
    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}

    def parse(self, value: str | None) -> Word:
        for word in self.words:
            if value is None or word == value:
                return word
        raise InvalidParameterError(f"{self.name}: expected one of {', '.join(self.words)}, received {brief(value)}")


@dataclass(frozen=True)
class Flag(Parameter[bool]):
    """`true` or `1`, `false` or `0`; false if absent."""

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "boolean", "default": False}

    def parse(self, value: str | None) -> bool:
        return Choice(self.name, "", ("false", "0", "true", "1")).parse(value) in ("true", "1")


class Query:
    """A query. Undeclared or repeated parameters raise RequestError."""

    def __init__(self, given: MultiMapping[str], declared: Sequence[Parameter[object]]) -> None:
        known = [parameter.name for parameter in declared] if given else []
        for name in given:
            if name not in known and name != TOKEN:
                raise UnknownParameterError(f"unknown parameter {brief(name)}{did_you_mean(name, known)}")
            if len(given.getall(name)) > 1:
                raise InvalidParameterError(f"{name}: expected once, received {len(given.getall(name))} times")
        self._given = given

    def __contains__(self, parameter: Parameter[object]) -> bool:
        return parameter.name in self._given

    def __getitem__(self, parameter: Parameter[T_co]) -> T_co:
        """Return the parameter's value, its default if absent; raises InvalidParameterError."""
        return parameter.parse(self._given.get(parameter.name))

    def select(self, parameters: Sequence[Parameter[object]]) -> tuple[tuple[str, str], ...]:
        """Return the names and texts of those parameters that were given, in the order of the query."""
        names = [parameter.name for parameter in parameters] if self._given else []
        return tuple((name, value) for name, value in self._given.items() if name in names)


def read_timeout_s(headers: Mapping[str, str]) -> float | None:
    """Return how long the client waits for the response after sending its body, None if it sets no limit."""
    value = headers.get(DEADLINE)
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or not int(value):
        raise InvalidParameterError(f"{DEADLINE}: expected milliseconds, at least 1, received {brief(value)}")
    return int(value) / 1000


def negotiate(accept: str, offers: Mapping[str, str]) -> str:
    """Return the format that the Accept header prefers; `offers` are formats by media type (RFC 9110, 12.5.1).

    Between equal weights, the first offer wins. Invalid media ranges are ignored, because some old clients send them.
    Raises NotAcceptableError if no offer is acceptable.
    """
    ranges: dict[str, float] = {}
    for part in (accept or "*/*").split(","):
        kind, *extras = (piece.strip().lower() for piece in part.split(";"))
        kind = "*/*" if kind == "*" else kind
        weights = [extra for extra in extras if extra.startswith("q=")]
        if _RANGE.match(kind) and all(_QUALITY.match(weight) for weight in weights):
            ranges[kind] = float(weights[0][2:]) if weights else 1.0

    def weigh(offer: str) -> float:
        for kind in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
            if kind in ranges:
                return ranges[kind]
        return 0.0

    best = max(offers, key=weigh)
    if not weigh(best):
        raise NotAcceptableError(f"Accept: expected one of {', '.join(offers)}, received {brief(accept)}")
    return offers[best]
