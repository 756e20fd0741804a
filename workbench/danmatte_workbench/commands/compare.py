"""``workbench compare``: compare two runs."""

import argparse
from pathlib import Path

from danmatte_workbench.commands.terminal import make_console


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: two runs, and an optional page."""
    parser.add_argument("before", type=Path, metavar="A", help="a run's folder, or its run.json")
    parser.add_argument("after", type=Path, metavar="B", help="the run to compare with A")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="also write the comparison as an HTML page (default: no page)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what changed from A to B."""
    from danmatte_workbench.report import comparison_table, page
    from danmatte_workbench.report.comparison import compare_runs, render_comparison
    from danmatte_workbench.report.records import read_run

    found = compare_runs(read_run(arguments.before), read_run(arguments.after))
    comparison_table.print_comparison(found, make_console())
    if arguments.html:
        print(page.write_page(render_comparison(found), arguments.html))
    return 0
