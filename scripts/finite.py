"""Conversion of figures for JSON: null for NaN and infinity, such as a percentile of no responses."""

from typing import Any

import msgspec


def drop_infinite(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts as plain data, with None for NaN and infinite numbers."""
    return dict(msgspec.json.decode(msgspec.json.encode(facts, enc_hook=str)))
