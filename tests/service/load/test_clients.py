"""The record of clients: a missing client is a failure, and every test is counted for its client."""

from pathlib import Path

import pytest

from load import clients

REPORT = """<testsuites><testsuite>
<testcase classname="tests.real.test_a" name="test_one[x]" />
<testcase classname="tests.real.test_a" name="test_one[y]" />
<testcase classname="tests.real.test_a" name="test_two" />{more}
</testsuite></testsuites>"""


def write_report(folder: Path, more: str = "") -> Path:
    report = folder / "report.xml"
    report.write_text(REPORT.format(more=more))
    return report


def test_passed_tests_are_counted_by_function_and_by_file(tmp_path: Path) -> None:
    counts = clients.count_passed(write_report(tmp_path))
    assert counts[clients.key("tests/real/test_a.py::test_one")] == 2
    assert counts[clients.key("tests/real/test_a.py")] == 3


def test_a_skipped_test_of_a_client_is_a_failure(tmp_path: Path) -> None:
    skipped = '<testcase classname="tests.real.test_b" name="test_kserve"><skipped message="not there" /></testcase>'
    with pytest.raises(SystemExit, match="test_kserve: not there"):
        clients.count_passed(write_report(tmp_path, skipped))


def test_every_client_has_tests_that_exist() -> None:
    for client in clients.CLIENTS:
        for test in client.tests:
            file, _, name = test.partition("::")
            text = (clients.ROOT / file).read_text(encoding="utf-8")
            assert f"def {name}(" in text if name else "def test_" in text, test


def test_the_version_is_the_first_number_in_the_output_of_a_program() -> None:
    client = clients.Client("echo", [], ["echo", "nginx version: nginx/1.22.1 (Debian 12)"])
    assert client.find_version() == "1.22.1"
