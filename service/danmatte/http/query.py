"""Query parameters and the Accept header, read strictly: a value that is impossible is refused by its name.

A parameter is declared once, as a constant beside whoever reads it; the parser, the OpenAPI document and the reference
in the docs are made from its declaration.
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
TOKEN: Final = "token"  # may stand in every query, and is read with the keys
T_co = TypeVar("T_co", covariant=True)
Word = TypeVar("Word", bound=str)
_QUALITY = re.compile(r"q=(0?\.\d{1,3}|0\.?|1(\.0{0,3})?)$", re.ASCII)
_RANGE = re.compile(r"(\*/\*|[\w!#$&^.+-]+/(\*|[\w!#$&^.+-]+))$", re.ASCII)


@dataclass(frozen=True)
class Parameter(ABC, Generic[T_co]):
    """A query parameter; `description` is what its reference says."""

    name: str
    description: str

    @property
    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Its values in JSON Schema."""

    @abstractmethod
    def parse(self, value: str | None) -> T_co:
        """The value of this text, None when it is absent; raises InvalidParameterError."""

    def _match(self, value: str, pattern: str, expected: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise InvalidParameterError(f"{self.name}: expected {expected}, received {brief(value)}")
        return value


@dataclass(frozen=True)
class Text(Parameter[str]):
    """Text that matches the whole pattern, empty when absent; `expected` names it in messages."""

    pattern: str
    expected: str

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}

    def parse(self, value: str | None) -> str:
        return "" if value is None else self._match(value, self.pattern, self.expected)


@dataclass(frozen=True)
class Integer(Parameter[int | None]):
    """A decimal integer within bounds, None when absent."""

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
    """A decimal number within bounds, None when absent."""

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
    """One of these words, the first when absent. A mapping's are its keys at the moment it is read."""

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
    """`true` or `1`, `false` or `0`; false when absent."""

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "boolean", "default": False}

    def parse(self, value: str | None) -> bool:
        return Choice(self.name, "", ("false", "0", "true", "1")).parse(value) in ("true", "1")


class Query:
    """A query in which every name is declared and given once; others raise RequestError."""

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
        """The parameter's value, its default when absent; raises InvalidParameterError."""
        return parameter.parse(self._given.get(parameter.name))

    def select(self, parameters: Sequence[Parameter[object]]) -> tuple[tuple[str, str], ...]:
        """Those of these parameters that were given, with their texts, in the order they came."""
        names = [parameter.name for parameter in parameters] if self._given else []
        return tuple((name, value) for name, value in self._given.items() if name in names)


def read_timeout_s(headers: Mapping[str, str]) -> float | None:
    """How long the caller waits for an answer once its body is there, or None when it doesn't say."""
    value = headers.get(DEADLINE)
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or not int(value):
        raise InvalidParameterError(f"{DEADLINE}: expected milliseconds, at least 1, received {brief(value)}")
    return int(value) / 1000


def negotiate(accept: str, offers: Mapping[str, str]) -> str:
    """The first of the offers (format by media type) that the header likes best (RFC 9110, 12.5.1).

    Ranges that are none are passed over: some old clients send them. Raises NotAcceptableError when nothing fits.
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
