"""The description against the server, by Schemathesis: nothing fails, and every response is as described."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.toy import Toy

pytestmark = pytest.mark.slow
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy(height=16, width=16)


# Test cases that allow a millisecond expect 503, or 504 in TensorFlow Serving's protocol.
RULES = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503, 504]
"""


def test_responses_match_the_openapi_description(address: str, tmp_path: Path) -> None:
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{address}/openapi.json"),
        *("--checks", ",".join(CHECKS), "--max-examples", "25", "--request-timeout", "10", "--seed", "1"),
        *("--phases", "examples,coverage,fuzzing", "--generation-database", "none"),
    ]
    (tmp_path / "schemathesis.toml").write_text(RULES)
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
