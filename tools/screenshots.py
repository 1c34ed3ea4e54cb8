"""Pictures of a report in a real browser: wide and narrow, light and dark.

    .venv/bin/python tools/screenshots.py REPORT FOLDER

writes `1280-light.png` and so on; it ends with 1 where the page complains or asks for anything.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.report.chromium import Chromium, find_chromium

WIDTHS, SCHEMES = (1280, 390), ("light", "dark")


def main(report: Path, folder: Path) -> int:
    program = find_chromium()
    if program is None:
        print("no chromium is installed: no pictures were made")
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, Chromium(program, Path(profile)) as browser:
        faults = [fault for width, scheme in product(WIDTHS, SCHEMES) for fault in _picture(browser, report, folder, width, scheme)]
    print(*faults, sep="\n", end="")
    return 1 if faults else 0


def _picture(browser: Chromium, report: Path, folder: Path, width: int, scheme: str) -> list[str]:
    path = folder / f"{width}-{scheme}.png"
    browser.look(width=width, scheme=scheme)
    browser.open(report)
    browser.screenshot(path)
    print(path)
    asked = [address for address in browser.requests if address != report.resolve().as_uri()]
    return [f"{width} px, {scheme}: {fault}\n" for fault in (*browser.complaints, *asked)]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
