"""Build the site from docs/, papers elsewhere in the repository, and references generated from the code; check links.

    scripts/docs            writes build/docs/html/index.html

Links in papers are relative to the paper's place in the repository. Links between papers become links between pages. A
link to another file becomes the file's name, if the file exists.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

from reference import TABLES

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build/docs"

# Papers outside of docs/, and the page that each becomes.
PAPERS = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "THREAT_MODEL.md": "guides/threat-model.md",
    "models/CONTRACT.md": "reference/contract.md",
    "models/SERVING.md": "guides/versions.md",
    "models/deeplab/MODEL_CARD.md": "reference/model-card.md",
    "service/danmatte/tracks/FORMAT.md": "reference/mattes.md",
    "service/danmatte/web/README.md": "guides/players.md",
    "workbench/danmatte_workbench/samples/README.md": "reference/samples.md",
}
GENERATED = re.compile(r"<!-- generated: ([\w-]+) -->")
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


class BrokenLinksError(Exception):
    """Papers link to files that don't exist; the message names them all."""


def main() -> int:
    """Assemble the pages and build them; any warning of Sphinx is a failure."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description=__doc__)
    parser.add_argument("--out", type=Path, default=BUILT, metavar="DIR", help="folder for source/ and html/")
    out = parser.parse_args().out
    try:
        stage(ROOT, out / "source")
    except BrokenLinksError as error:
        print(error, file=sys.stderr)
        return 1
    release = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-d", out / "doctrees"]
    command += ["-D", f"release={release}", "-D", f"html_title=danmatte {release}"]
    code = subprocess.run([*command, out / "source", out / "html"], cwd=ROOT, check=False).returncode
    if code == 0:
        print(out / "html/index.html")
    return code


def stage(root: Path, target: Path) -> None:
    """Write every page into ``target``, with generated tables and adapted links. Raises BrokenLinksError."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root / "docs", target)
    pages = {
        f"docs/{path.relative_to(root / 'docs').as_posix()}": path.relative_to(root / "docs").as_posix()
        for path in sorted((root / "docs").rglob("*.md"))
    }
    pages |= {paper: page for paper, page in PAPERS.items() if (root / paper).is_file()}
    broken: list[str] = []
    for paper, page in pages.items():
        text = (root / paper).read_text("utf-8")
        text = GENERATED.sub(lambda found: TABLES[found[1]](), text)
        text = turn_links(text, paper, pages, root=root, target=target, broken=broken)
        (target / page).parent.mkdir(parents=True, exist_ok=True)
        (target / page).write_text(text, "utf-8")
    if broken:
        raise BrokenLinksError("links to missing files:\n" + "\n".join(broken))


def turn_links(text: str, paper: str, pages: dict[str, str], *, root: Path, target: Path, broken: list[str]) -> str:
    """Return a paper's text with links relative to its page; copy pictures; append missing files to ``broken``."""
    home = PurePosixPath(pages[paper]).parent

    def turn(found: re.Match[str]) -> str:
        name, hash_, anchor = found["target"].partition("#")
        if ":" in name or not name:
            return found[0]
        file = PurePosixPath(os.path.normpath(PurePosixPath(paper).parent / name)).as_posix()
        if not (root / file).exists():
            broken.append(f"{paper}: {found['target']}")
            return found[0]
        if file in pages:
            return f"[{found['text']}]({os.path.relpath(pages[file], home)}{hash_}{anchor})"
        if not found["image"]:
            return found["text"] if found["text"].strip("`") == file else f"{found['text']} (`{file}`)"
        (target / "_pictures").mkdir(exist_ok=True)
        shutil.copy(root / file, target / "_pictures")
        picture = f"_pictures/{PurePosixPath(file).name}"
        return f"![{found['text']}]({os.path.relpath(picture, home)})"

    return LINK.sub(turn, text)


if __name__ == "__main__":
    sys.exit(main())
