"""Uses of libraries' private APIs are listed here, and each such library has an upper bound."""

import importlib
import inspect
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement

from tests.architecture.sources import ROOT, imports, modules

# Private modules of libraries, with their distribution and the modules that use them.
PRIVATE_MODULES = {
    "aiohttp.web_protocol": ("aiohttp", {"danmatte.http.runner"}),
    "openvino._offline_transformations": ("openvino", {"danmatte_workbench.graph.cleanup"}),
    "tensorflow.python": (
        "tensorflow-cpu",
        {
            "danmatte_workbench.runtimes.frozen",
            "danmatte_workbench.training.deeplab.export",
            "danmatte_workbench.training.quality.export",
        },
    ),
}
# Private members that our subclasses override or read, by the library's class that must have them.
PRIVATE_MEMBERS = {
    ("aiohttp.web", "AppRunner"): ("_make_server",),
    ("aiohttp.web", "Server"): ("__call__",),
    ("aiohttp.web_protocol", "RequestHandler"): (
        "pause_writing",
        "resume_writing",
        "connection_lost",
        "finish_response",
        "eof_received",
        "close",
        "handle_error",
    ),
}


def test_private_modules_are_used_only_where_listed() -> None:
    used: dict[str, set[str]] = {name: set() for name in PRIVATE_MODULES}
    unlisted = []
    for module in modules():
        for found in imports(module):
            private = next((name for name in PRIVATE_MODULES if found.name.startswith(f"{name}.")), None)
            parts = found.name.split(".")
            if private:
                used[private].add(module.name)
            elif parts[0] not in ("danmatte", "danmatte_workbench") and any(is_private(part) for part in parts[:-1]):
                unlisted.append(f"{module.where}:{found.line}: {found.name}")
    assert used == {name: users for name, (_, users) in PRIVATE_MODULES.items()}
    assert not unlisted, "list them in PRIVATE_MODULES, with an upper bound:\n" + "\n".join(unlisted)


def is_private(part: str) -> bool:
    return part.startswith("_") and not part.startswith("__")


def requirements() -> Iterator[Requirement]:
    """Yield all requirements of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for lines in (project["dependencies"], *project["optional-dependencies"].values()):
        yield from map(Requirement, lines)


@pytest.mark.parametrize("name", sorted({library for library, _ in PRIVATE_MODULES.values()}))
def test_libraries_whose_private_parts_are_used_have_an_upper_bound(name: str) -> None:
    bounds = [bound.operator for line in requirements() if line.name == name for bound in line.specifier]
    assert "<" in bounds, f"{name}: its next release may change what we use; found {bounds}"


@pytest.mark.parametrize(("place", "members"), PRIVATE_MEMBERS.items(), ids=lambda item: str(item[-1]))
def test_overridden_private_members_exist(place: tuple[str, str], members: tuple[str, ...]) -> None:
    module, name = place
    found = getattr(importlib.import_module(module), name)
    assert [member for member in members if not hasattr(found, member)] == []


async def test_aiohttp_servers_accept_the_arguments_that_the_runner_passes() -> None:
    """`Runner` creates its server from the handler, factory and keywords of another one."""
    from aiohttp import web

    made = web.Server(lambda _: None, tcp_keepalive=False)
    assert made._kwargs == {"tcp_keepalive": False}
    expected = {"handler", "request_factory", "handler_cancellation"}
    assert expected <= set(inspect.signature(web.Server.__init__).parameters)
