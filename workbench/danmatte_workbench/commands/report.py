"""``workbench report``: write a run's page again from the run's folder."""

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Add the argument."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder, with run.json and masks/")


def run(arguments: argparse.Namespace) -> int:
    """Write RUN/report.html."""
    from danmatte_workbench.report import run_page

    print(run_page.write_report(arguments.run))
    return 0
