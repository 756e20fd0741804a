"""The container file agrees with the project: its paths, settings and extras exist."""

import re
import tomllib
from pathlib import Path

import danmatte
from danmatte.settings import describe_settings, to_variable

FILE = Path(danmatte.__file__).parents[1].joinpath("Containerfile")
ROOT = FILE.parents[1]


def lines() -> list[str]:
    """Return its instructions, each on one line."""
    text = FILE.read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_every_copied_path_exists() -> None:
    for line in lines():
        if line.startswith("COPY") and "--from" not in line:
            *sources, _ = line.split()[1:]
            assert all((ROOT / source).exists() for source in sources), line


def test_every_variable_of_the_container_is_a_setting() -> None:
    variables = set(re.findall(r"\b(DANMATTE_\w+)=", FILE.read_text()))
    assert variables
    assert variables <= {to_variable(name) for name in describe_settings()}


def test_the_container_runs_without_root_and_checks_its_health() -> None:
    found = lines()
    user = next(line for line in found if line.startswith("USER")).split()[1]
    assert all(number.isdecimal() and int(number) > 0 for number in user.split(":"))
    assert 'HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["danmatte", "check-health"]' in found
    assert "DANMATTE_OPEN" not in " ".join(found)


def test_the_container_installs_all_extras_of_the_service_except_ray() -> None:
    install = next(line for line in lines() if "pip install" in line)
    installed = set(re.search(r"'\.\[(.+)\]'", install)[1].split(","))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    wanted = {extra for file in Path(danmatte.__file__).parent.rglob("*.py") for extra in list_extras(file)}
    assert "ray" in wanted
    assert wanted - {"ray"} == installed  # a cluster of Ray has its own images
    assert installed <= set(extras)


def list_extras(file: Path) -> list[str]:
    """Return the extras that a module's errors name."""
    return re.findall(r'MissingExtraError\([^,]+, "(\w+)"', file.read_text("utf-8"))
