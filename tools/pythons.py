"""Prints a line `VERSION PATH` for each Python of the classifiers in pyproject.toml that is installed here, pyenv's included."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
IS_USABLE = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"


def main() -> None:
    for version in versions():
        path = next((path for path in candidates(version) if is_python(path, version)), None)
        if path is None:
            print(f"Python {version} is not installed here: nothing is run with it", file=sys.stderr)
        else:
            print(version, path, flush=True)


def versions() -> list[str]:
    classifiers = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    return [found[1] for text in classifiers if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text))]


def candidates(version: str) -> Iterator[str]:
    """Where such a Python may be. pyenv's own on the path answer only for versions that are switched on: its folder is searched too."""
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/python{version}")), reverse=True)


def is_python(path: str, version: str) -> bool:
    done = subprocess.run([path, "-c", IS_USABLE], capture_output=True, text=True, check=False)
    return (done.returncode, done.stdout.strip()) == (0, version)


if __name__ == "__main__":
    main()
