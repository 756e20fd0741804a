"""BRISQUE's scores of pictures, as its own package gives them: a folder of PNG files in, JSON on standard output.

Its scale goes the other way round: 0 is good, 100 is bad.
"""

import json
import sys
from pathlib import Path

import cv2
from brisque import BRISQUE


def main() -> None:
    """Score every picture below the folder that is given, by its path there."""
    folder, judge = Path(sys.argv[1]), BRISQUE(url=False)
    pictures = sorted(folder.rglob("*.png"))
    scores = {str(path.relative_to(folder)): float(judge.score(cv2.imread(str(path)))) for path in pictures}
    json.dump(scores, sys.stdout)


if __name__ == "__main__":
    main()
