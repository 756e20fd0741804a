"""Common clients, unmodified, in one run: their versions, and whether each was served.

The tests are those of `tests/`. A client that isn't installed is a failure here; there, the tests are skipped.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from load.server import ROOT

CALLERS = "tests/real/test_callers.py"
TFS = "tests/service/api/test_tfs_clients.py"
PROGRAMS = f"{os.environ['PATH']}:/usr/sbin"


@dataclass(frozen=True)
class Client:
    """A client: its tests, and the command that prints its version; without one, it is an installed distribution."""

    name: str
    tests: Sequence[str]
    ask: Sequence[str] = ()

    def find_version(self) -> str:
        """Return the client's version: the first word with a leading digit in its command's first line.

        Raises OSError if the command doesn't exist.
        """
        if not self.ask:
            return version(self.name)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": PROGRAMS}
        done = subprocess.run(self.ask, capture_output=True, text=True, check=True, env=environment)
        said = (done.stdout or done.stderr).splitlines()[0]
        return next(word for word in said.replace("/", " ").split() if word.lstrip("v")[:1].isdigit())


_KSERVE = os.environ.get("DANMATTE_KSERVE", "python")
CLIENTS = (
    Client("tritonclient", ["tests/service/api/test_triton_clients.py"]),
    Client(
        "kserve",
        [f"{CALLERS}::test_kserves_clients_are_served"],
        [_KSERVE, "-c", "import importlib.metadata as m; print(m.version('kserve'))"],
    ),
    Client("tensorflow-serving-api", [f"{TFS}::test_tensorflow_servings_client_works_unmodified"]),
    Client("ovmsclient", [f"{TFS}::test_ovmsclient_works_over_{kind}" for kind in ("grpc", "rest")]),
    Client("requests", [f"{CALLERS}::test_requests_posts_a_body_a_file_and_a_form"]),
    Client("node", [f"{CALLERS}::test_nodes_fetch_posts_every_kind_of_body"], ["node", "--version"]),
    Client(
        "chromium", [f"{CALLERS}::test_a_page_of_an_allowed_origin_is_served_with_a_token"], ["chromium", "--version"]
    ),
    Client("nginx", ["tests/real/test_rolling_restart.py"], ["nginx", "-v"]),
    Client("prometheus", ["tests/service/cluster/test_prometheus.py"], ["prometheus", "--version"]),
)


def run(options: Namespace) -> dict[str, Any]:
    """Run all clients' tests in one run of pytest. Raises SystemExit unless each client's tests ran and passed."""
    versions = {client.name: client.find_version() for client in CLIENTS}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        flags = ["-q", "-m", "slow or not slow", "-p", "no:cacheprovider", f"--junitxml={report}"]
        tests = [test for client in CLIENTS for test in client.tests]
        done = subprocess.run([sys.executable, "-m", "pytest", *flags, *tests], cwd=ROOT, check=False)
        if done.returncode or not report.exists():
            raise SystemExit(f"clients: the tests ended with {done.returncode}")
        passed = count_passed(report)
    clients = {
        client.name: {"version": versions[client.name], "tests": sum(passed.get(key(test), 0) for test in client.tests)}
        for client in CLIENTS
    }
    missing = [name for name, found in clients.items() if not found["tests"]]
    if missing:
        raise SystemExit(f"clients: expected the tests of every client to run, found none of {', '.join(missing)}")
    for name, found in clients.items():
        print(f"  {name} {found['version']}: {found['tests']} tests")
    return {"clients": clients}


def key(test: str) -> tuple[str, str]:
    """Return a report's names for a test with all its parameters, or for all tests of a file: module and name."""
    file, _, name = test.partition("::")
    return file.removesuffix(".py").replace("/", "."), name


def count_passed(report: Path) -> dict[tuple[str, str], int]:
    """Return the number of passed tests by module and name, and by module with an empty name for all of it.

    Raises SystemExit if a test was skipped or failed.
    """
    counts: dict[tuple[str, str], int] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        if len(case):  # skipped, failed
            raise SystemExit(f"clients: {case.get('classname')} {case.get('name')}: {case[0].get('message')}")
        module, name = str(case.get("classname")), str(case.get("name")).partition("[")[0]
        for each in ((module, name), (module, "")):
            counts[each] = counts.get(each, 0) + 1
    return counts
