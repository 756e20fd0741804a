"""Figures as JSON holds them: null for what never came, a percentile of no answers say."""

from typing import Any

import msgspec


def drop_infinite(facts: dict[str, Any]) -> dict[str, Any]:
    """The same as plain data, with None for NaN and infinite numbers."""
    return dict(msgspec.json.decode(msgspec.json.encode(facts, enc_hook=str)))
