"""The description against the server, by Schemathesis: nothing fails, and every answer is as described."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.toy import Toy, publish

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.fixture
def build_url(tmp_path: Path) -> Iterator[str]:
    """A server of a small toy."""
    publish(tmp_path, Toy(height=16, width=16))
    command = [sys.executable, "-m", "danmatte", "serve", "--port", "0", "--models", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.kill()


# 503 is an answer where a test case asks for one within a millisecond.
RULES = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
"""


def test_answers_are_as_described(address: str, tmp_path: Path) -> None:
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{address}/openapi.json"),
        *("--checks", ",".join(CHECKS), "--max-examples", "25", "--request-timeout", "10", "--seed", "1"),
        *("--phases", "examples,coverage,fuzzing", "--generation-database", "none"),
    ]
    (tmp_path / "schemathesis.toml").write_text(RULES)
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
