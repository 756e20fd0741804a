"""Query and Accept, read strictly: whatever can't be meant is refused by its name."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from multidict import MultiMapping

from danmatte.contract.near_words import did_you_mean
from danmatte.errors import InvalidParameterError, NotAcceptableError, UnknownParameterError, brief

DEADLINE: Final = "X-Deadline-Ms"
Word = TypeVar("Word", bound=str)
_QUALITY = re.compile(r"q=(0?\.\d{1,3}|0\.?|1(\.0{0,3})?)$", re.ASCII)
_RANGE = re.compile(r"(\*/\*|[\w!#$&^.+-]+/(\*|[\w!#$&^.+-]+))$", re.ASCII)


class Parameters:
    """A query in which every name is known and given once."""

    def __init__(self, query: MultiMapping[str], known: Sequence[str]) -> None:
        for name in query:
            if name not in known:
                raise UnknownParameterError(f"unknown parameter {brief(name)}{did_you_mean(name, list(known))}")
            if len(query.getall(name)) > 1:
                raise InvalidParameterError(f"{name}: expected once, received {len(query.getall(name))} times")
        self._query = query

    def __contains__(self, name: str) -> bool:
        return name in self._query

    def among(self, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Those of these names, with their values, in the order they came."""
        return tuple((name, value) for name, value in self._query.items() if name in names)

    def text(self, name: str, pattern: str, expected: str) -> str:
        """The value, matching the whole pattern, or the empty string when absent."""
        value = self._query.get(name)
        if value is not None and not re.fullmatch(pattern, value, re.ASCII):
            raise InvalidParameterError(f"{name}: expected {expected}, received {brief(value)}")
        return value or ""

    def integer(self, name: str, low: int, high: int) -> int | None:
        """A decimal integer within the bounds, or None when absent."""
        value = self.text(name, r"[+-]?\d{1,20}", f"an integer from {low} to {high}")
        if value and not low <= int(value) <= high:
            raise InvalidParameterError(f"{name}: expected an integer from {low} to {high}, received {value}")
        return int(value) if value else None

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A decimal number within the bounds."""
        value = self.text(name, r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})", f"a number from {low} to {high}")
        if value and not low <= float(value) <= high:
            raise InvalidParameterError(f"{name}: expected a number from {low} to {high}, received {value}")
        return float(value) if value else default

    def choice(self, name: str, among: Sequence[Word], default: Word) -> Word:
        """One of these words."""
        value = self._query.get(name, default)
        for word in among:
            if word == value:
                return word
        raise InvalidParameterError(f"{name}: expected one of {', '.join(among)}, received {brief(value)}")

    def flag(self, name: str) -> bool:
        """`true` or `1`, `false` or `0`; false when absent."""
        return self.choice(name, ("true", "1", "false", "0"), "false") in ("true", "1")


def timeout_s(headers: Mapping[str, str]) -> float | None:
    """How long the caller waits for an answer once its body is there, or None when it doesn't say."""
    value = headers.get(DEADLINE)
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or not int(value):
        raise InvalidParameterError(f"{DEADLINE}: expected milliseconds, at least 1, received {brief(value)}")
    return int(value) / 1000


def acceptable(accept: str, offers: Mapping[str, str]) -> str:
    """The first of the offers (format by media type) that the header likes best (RFC 9110, 12.5.1).

    Ranges that are none are passed over: clients of old send some. Raises NotAcceptableError when nothing fits.
    """
    parts = [part for part in (accept or "*/*").split(",") if part.strip()]
    ranges = dict(weighted for part in parts if (weighted := _weighted(part)))
    weights = {offer: _weight(offer, ranges) for offer in offers}
    best = max(weights, key=lambda offer: weights[offer])
    if not weights[best]:
        raise NotAcceptableError(f"Accept: expected one of {', '.join(offers)}, received {brief(accept)}")
    return offers[best]


def _weighted(part: str) -> tuple[str, float] | None:
    kind, *extras = (piece.strip().lower() for piece in part.split(";"))
    kind = "*/*" if kind == "*" else kind
    weights = [extra for extra in extras if extra.startswith("q=")]
    if not _RANGE.match(kind) or not all(_QUALITY.match(weight) for weight in weights):
        return None
    return kind, float(weights[0][2:]) if weights else 1.0


def _weight(offer: str, ranges: Mapping[str, float]) -> float:
    for kind in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        if kind in ranges:
            return ranges[kind]
    return 0.0
