"""The npm package agrees with the Python package."""

import json
import tomllib

from tests.architecture.sources import ROOT

WEB = ROOT / "service/danmatte/web"
PACKAGE = json.loads((WEB / "package.json").read_text("utf-8"))


def test_name_version_and_licence_equal_those_of_the_python_package() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert (PACKAGE["name"], PACKAGE["version"]) == (project["name"], project["version"])
    assert PACKAGE["license"] == project["license"]


def test_every_entry_has_a_module_and_types_named_after_it() -> None:
    for name, entry in PACKAGE["exports"].items():
        if isinstance(entry, str):
            continue
        module = entry["default"].removeprefix("./")
        assert entry["types"] == f"./types/{module.removesuffix('.js')}.d.ts", name
        assert "*" in module or (WEB / module).is_file(), name


def test_tools_are_pinned_and_the_package_has_no_dependencies() -> None:
    assert all(version[0].isdigit() for version in PACKAGE["devDependencies"].values())
    assert not PACKAGE.keys() & {"dependencies", "peerDependencies", "optionalDependencies"}
