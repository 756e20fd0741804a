"""Print the BRISQUE scores of a folder of PNG files as JSON, by the package brisque.

BRISQUE's scale is inverted: 0 is good, 100 is bad.
"""

import json
import sys
from pathlib import Path

import cv2
from brisque import BRISQUE


def main() -> None:
    """Score every picture below the folder in the first argument; print scores by the pictures' relative paths."""
    folder, judge = Path(sys.argv[1]), BRISQUE(url=False)
    pictures = sorted(folder.rglob("*.png"))
    scores = {str(path.relative_to(folder)): float(judge.score(cv2.imread(str(path)))) for path in pictures}
    json.dump(scores, sys.stdout)


if __name__ == "__main__":
    main()
