"""The locks install as they are, whatever has been released since, with an old pip and with the newest."""

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
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[1]
PIPS = REPOSITORY / "build" / "pip"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ \\;]+)(?: ; (?P<marker>[^\\]+?))? \\$", re.MULTILINE)
NEWER = "9999.0"

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
    found = sorted(PIPS.glob("pip-*.whl"))
    chosen = [path for path in found if (path.name == "pip-23.2-py3-none-any.whl") == (request.param == "23.2")]
    if not chosen:
        pytest.skip(f"pip {request.param} is not in build/pip: run make build/pip/stamp")
    return chosen[0]


@pytest.fixture
def checkout(pip: Path, wheels: dict[str, str], tmp_path: Path) -> Path:
    """The Makefile next to locks of packages without code, and an environment that has just this pip."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    for lock in ("requirements.lock", "requirements-dev.lock"):
        write_lock(lock, tmp_path, wheels)
    (tmp_path / "pyproject.toml").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    python = tmp_path / ".venv" / "bin" / "python"
    own = {**os.environ, "PYTHONPATH": str(pip), "PIP_CONFIG_FILE": os.devnull}
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-index", pip], check=True, env=own)
    return tmp_path


def make(checkout: Path, target: str, wheels: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`make TARGET`, with nothing but the folder of wheels to install from."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "MAKE", "MFLAGS"))}
    offered = {**keep, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels[""], "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(["make", target], cwd=checkout, env=offered, capture_output=True, text=True, check=False)


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
    run = make(checkout, ".venv/run.stamp", wheels)
    assert (run.returncode, run.stderr) == (0, "")
    assert installed(checkout) == pins("requirements.lock")
    (checkout / ".venv" / "bin" / "basis").touch()
    dev = make(checkout, ".venv/dev.stamp", wheels)
    assert (dev.returncode, dev.stderr) == (0, "")
    assert installed(checkout) == pins("requirements-dev.lock")


def test_make_refuses_a_lock_that_lacks_a_package(checkout: Path, wheels: dict[str, str]) -> None:
    lock = checkout / "requirements.lock"
    lock.write_text(re.sub(r"^markdown-it-py==.*\n", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8")
    run = make(checkout, ".venv/run.stamp", wheels)
    assert run.returncode != 0
    assert "requires markdown-it-py, which is not installed" in run.stdout
    assert not (checkout / ".venv" / "run.stamp").exists()
