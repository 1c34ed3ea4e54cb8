"""The locks install as they are, whatever has been released since, and the package with nothing but Python and a pip, old or new."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import basis_strategy_v1

REPOSITORY = Path(__file__).resolve().parents[1]
# What `make` has downloaded: what the package needs, and the two pips. No test reaches the network.
DOWNLOADED = Path(sys.prefix) / "wheels"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ \\;]+)(?: ; (?P<marker>[^\\]+?))? \\$", re.MULTILINE)
NEWER = "9999.0"
OLD_PIP = "pip-23.2-py3-none-any.whl"

pytestmark = pytest.mark.installer


def pins(lock: str) -> dict[str, str]:
    """Name to version of what a lock pins for this Python and system."""
    found = PIN.finditer((REPOSITORY / lock).read_text(encoding="utf-8"))
    return {pin["name"]: pin["version"] for pin in found if pin["marker"] is None or Marker(pin["marker"]).evaluate()}


def metadata_of(name: str, version: str) -> str:
    """What stands in the metadata of the installed package, with another version."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata = importlib.metadata.metadata(name)
    return "\n".join([*lines, *(f"{key}: {value}" for key in ("Provides-Extra", "Requires-Dist") for value in metadata.get_all(key, []))])


def write_wheel(folder: Path, name: str, version: str) -> str:
    """A package without code, that asks for what the real one asks for; gives the hash of the file."""
    stem = f"{name.replace('-', '_').replace('.', '_')}-{version}"
    files = {
        f"{stem}.dist-info/METADATA": metadata_of(name, version),
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{stem}.dist-info/RECORD"
    files[record] = "".join(f"{path},sha256={digest(text)},{len(text.encode())}\n" for path, text in files.items()) + f"{record},,\n"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inner, text in files.items():
            wheel.writestr(inner, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder with every package of the locks, as it is pinned and in a newer release; hashes of the pinned ones by name."""
    folder = tmp_path_factory.mktemp("wheels")
    hashes = {name: write_wheel(folder, name, version) for name, version in pins("requirements-dev.lock").items()}
    for name in hashes:
        write_wheel(folder, name, NEWER)
    return {"": str(folder), **hashes}


def write_lock(lock: str, folder: Path, hashes: dict[str, str]) -> None:
    lines = [f"{name}=={version} --hash=sha256:{hashes[name]}" for name, version in pins(lock).items()]
    (folder / lock).write_text("\n".join([*lines, ""]), encoding="utf-8")


@pytest.fixture(params=["23.2", "newest"])
def pip(request: pytest.FixtureRequest) -> Path:
    """The wheel of a pip."""
    found = {path.name == OLD_PIP: path for path in DOWNLOADED.glob("pip-*.whl")}
    if len(found) != 2:
        pytest.skip(f"{DOWNLOADED} does not have the pips: run make .venv/wheels/stamp")
    return found[request.param == "23.2"]


@pytest.fixture
def checkout(pip: Path, wheels: dict[str, str], tmp_path: Path) -> Path:
    """The Makefile next to locks of packages without code, and an environment that has just this pip."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    for lock in ("requirements.lock", "requirements-dev.lock"):
        write_lock(lock, tmp_path, wheels)
    (tmp_path / "pyproject.toml").touch()
    make_environment(tmp_path / ".venv", pip)
    return tmp_path


def make_environment(folder: Path, pip: Path) -> None:
    """An environment that has just this pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", pip, cwd=folder, PYTHONPATH=str(pip))


def run(*words: str | Path, cwd: Path, status: int = 0, **more: str) -> str:
    """What a command prints, where it ends with `status`. It asks no index, and the caller's settings for pip and make do not reach it."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "MAKE", "MFLAGS", "COVERAGE_"))}
    offered = {**keep, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}
    done = subprocess.run(words, cwd=cwd, env=offered, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr if status == 0 else "") == (status, "")
    return done.stdout


def installed(checkout: Path) -> dict[str, str]:
    (site,) = (checkout / ".venv" / "lib").glob("python*/site-packages")
    found = {each.name: each.version for each in importlib.metadata.distributions(path=[str(site)])}
    del found["pip"]
    return found


def test_the_locks_ask_for_extras_somewhere() -> None:
    """Else the next test would not show what it is for: `coverage[toml]>=7` on `coverage==7.17` let pip look for a newer one."""
    asked = [Requirement(text) for name in pins("requirements-dev.lock") for text in importlib.metadata.requires(name) or []]
    with_extras = {
        canonicalize_name(one.name) for one in asked if one.extras and (one.marker is None or one.marker.evaluate({"extra": ""}))
    }
    assert "coverage" in with_extras


def test_make_installs_what_the_locks_pin_though_there_are_newer_releases_of_it_all(checkout: Path, wheels: dict[str, str]) -> None:
    run("make", ".venv/run.stamp", cwd=checkout, PIP_FIND_LINKS=wheels[""])
    assert installed(checkout) == pins("requirements.lock")
    (checkout / ".venv" / "bin" / "basis").touch()
    run("make", ".venv/dev.stamp", cwd=checkout, PIP_FIND_LINKS=wheels[""])
    assert installed(checkout) == pins("requirements-dev.lock")


def test_make_refuses_a_lock_that_lacks_a_package(checkout: Path, wheels: dict[str, str]) -> None:
    lock = checkout / "requirements.lock"
    lock.write_text(re.sub(r"^markdown-it-py==.*\n", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8")
    printed = run("make", ".venv/run.stamp", cwd=checkout, status=2, PIP_FIND_LINKS=wheels[""])
    assert "requires markdown-it-py, which is not installed" in printed
    assert not (checkout / ".venv" / "run.stamp").exists()


# The package.


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The files of the checkout that a build takes."""
    folder = tmp_path / "source"
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


@pytest.mark.parametrize("what", ["the folder", "the wheel"])
def test_python_and_pip_are_all_that_a_backtest_of_the_sample_needs(what: str, pip: Path, source: Path, tmp_path: Path) -> None:
    environment = tmp_path / "empty"
    make_environment(environment, pip)
    run_pip = partial(run, environment / "bin" / "python", "-m", "pip", cwd=tmp_path, PIP_FIND_LINKS=str(DOWNLOADED), PIP_QUIET="1")
    if what == "the wheel":
        run_pip("wheel", "--no-deps", "--wheel-dir", tmp_path, source)
        [source] = tmp_path.glob("basis_strategy-*.whl")
    run_pip("install", "--no-compile", source)

    def basis(*words: str) -> str:
        """The command with a path on which there is nothing else: no node, no npm, no make."""
        return run(environment / "bin" / "basis", *words, cwd=tmp_path, PATH=str(environment / "bin"))

    assert basis("--version") == f"basis {basis_strategy_v1.__version__}\n"
    basis("data", "sample", "build/sample")
    printed = basis("backtest", str(REPOSITORY / "config" / "eth_basis.yaml"), "--data", "build/sample")
    assert re.search(r"^Final equity +102,712\.82$", printed, re.MULTILINE)
    assert [path.name for path in (tmp_path / "results").glob("*/report.html")] == ["report.html"]
