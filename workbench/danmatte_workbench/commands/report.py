"""``workbench report``: a run's page again, from what the run left."""

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """The run."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder, with run.json and masks/ in it")


def run(arguments: argparse.Namespace) -> int:
    """Write RUN/report.html."""
    from danmatte_workbench.report import run_page

    print(run_page.write_report(arguments.run))
    return 0
