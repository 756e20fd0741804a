"""``workbench describe``: write a first ``model.toml`` of a graph, with what was detected and what was assumed."""

import argparse
import filecmp
import shutil
from pathlib import Path

from danmatte_workbench.commands.reading_flags import add_reading, read_options
from danmatte_workbench.errors import InputError, MachineError


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: the graph, how to read it, and the output file."""
    parser.add_argument("model", type=Path, metavar="PATH", help="a graph in any supported format")
    add_reading(parser)
    parser.add_argument(
        "--size", metavar="WIDTHxHEIGHT", help="input size of a graph that accepts any (default: one that fits)"
    )
    parser.add_argument(
        "--meaning",
        action="append",
        default=[],
        metavar="[OUTPUT=]KIND",
        help="kind of an output, as in `workbench optimize`; may be given several times (default: detected)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="file to write; - prints it (default: model.toml beside the graph)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write FILE. If the graph needed flags to be read, also write the graph beside it as it was read."""
    from danmatte_workbench import source as sources
    from danmatte_workbench.artifact import resolve_graph_path
    from danmatte_workbench.experiment.search import parse_exact_size
    from danmatte_workbench.graph import probing

    size = parse_exact_size(arguments.size) if arguments.size else None
    if arguments.size and size is None:
        raise InputError(f"--size: expected WIDTHxHEIGHT, received {arguments.size}")
    graph = resolve_graph_path(arguments.model)
    source = probing.inspect(graph, size, read_options(arguments))
    source = sources.override_meanings(source, tuple(arguments.meaning))
    sources.check_size(source)  # refuse what `workbench optimize` would refuse
    target: Path = arguments.output or graph.parent / "model.toml"
    if str(target) == "-":
        print(sources.describe(source, str(source.path.resolve())), end="")
        return 0
    taken = f"{target}: already exists; give another --output, or remove it"
    if target.exists():  # before a graph is written beside it
        raise InputError(taken)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        text = sources.describe(source, _place_graph(source.path, graph, target.parent))
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InputError(taken) from error
    except OSError as error:
        raise MachineError(f"{target}: can't be written ({error.strerror})") from error
    print(f"{target}: {source.meaning}, {source.size[1]}×{source.size[0]}; optimize it:  workbench optimize {target}")
    return 0


def _place_graph(read: Path, given: Path, folder: Path) -> str:
    """Return the path of the graph for the description in ``folder``.

    If the graph needed flags, ``read`` differs from ``given`` and is copied to the folder. Raises InputError if the
    copy would overwrite a different file, such as the given graph.
    """
    if read == given:
        here, there = given.resolve(), folder.resolve()
        return str(here.relative_to(there) if here.is_relative_to(there) else here)
    files = [file for file in (read, read.with_suffix(".bin")) if file.exists()]
    for stem in (read.stem, f"{read.stem}-as-read"):
        copies = {folder / f"{stem}{file.suffix}": file for file in files}
        if all(not copy.exists() or filecmp.cmp(file, copy, shallow=False) for copy, file in copies.items()):
            for copy, file in copies.items():
                shutil.copyfile(file, copy)
            return f"{stem}{read.suffix}"
    taken = folder / f"{read.stem}-as-read{read.suffix}"
    raise InputError(f"{taken}: already exists; give an --output in another folder, or remove it")
