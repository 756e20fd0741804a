"""Benchmarks store valid JSON even if some figures aren't finite."""

import json
import math
from pathlib import Path

from finite import drop_infinite
from load.callers import Tally


def test_a_run_without_responses_is_stored_as_valid_json() -> None:
    stored = json.loads(json.dumps(drop_infinite(Tally().facts()), allow_nan=False))
    assert stored["p99_ms"] is None
    assert stored["answered"] == 0


def test_nested_figures_and_paths_become_plain_data() -> None:
    found = drop_infinite({"rows": [{"ratio": math.inf}, {"ratio": 0.5}], "file": Path("a/b"), "by": {3: (1, 2)}})
    assert found == {"rows": [{"ratio": None}, {"ratio": 0.5}], "file": "a/b", "by": {"3": [1, 2]}}
