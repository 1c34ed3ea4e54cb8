"""How long the package and the command take to start, next to the bare interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from figures import best_of, show

BASIS = str(Path(sys.executable).with_name("basis"))


def _ms(*command: str) -> float:
    return best_of(7, lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)) * 1e3


def main() -> None:
    floor = _ms(sys.executable, "-c", "pass")
    show("import basis_strategy_v1", _ms(sys.executable, "-c", "import basis_strategy_v1"), 150, "ms", floor, "the bare interpreter")
    show("basis --help", _ms(BASIS, "--help"), 400, "ms", floor, "the bare interpreter")


if __name__ == "__main__":
    main()
