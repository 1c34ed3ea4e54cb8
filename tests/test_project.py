"""The project's own files: locks, Makefile, documents, and what importing the package costs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import basis_strategy_v1

REPOSITORY = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ \\;]+)(?P<rest>.*(?:\n    --hash=.*)*)", re.MULTILINE)
HEAVY = ("ccxt", "duckdb", "numpy", "pandas", "plotly", "web3")
# Put together here, so that this file does not hold what it looks for.
REGISTRY_HOSTS = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "registry." + "yarnpkg")
MACHINE_PATH = re.compile(r"(?<![\w.$}/~-])/(?:home|root|Users|work|workspace|opt)/[\w.]")


def pins(lock: str) -> dict[str, str]:
    """Name to version, as a lock file pins them."""
    return {canonicalize_name(pin["name"]): pin["version"] for pin in PINNED.finditer((REPOSITORY / lock).read_text())}


def project() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):(?!=)", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_in_a_lock_has_a_hash(lock: str) -> None:
    found = list(PINNED.finditer((REPOSITORY / lock).read_text()))
    assert found
    assert [pin["name"] for pin in found if "--hash=sha256:" not in pin["rest"]] == []


@pytest.mark.parametrize("lock", [*LOCKS, "package-lock.json"])
def test_a_lock_names_no_index_and_no_machine(lock: str) -> None:
    text = (REPOSITORY / lock).read_text()
    options = re.findall(r"^ *--(?!hash=)\S+", text, re.MULTILINE)
    addresses = re.findall(r'"resolved": .*|file:.*| @ .*|index-url.*', text)
    assert [*options, *addresses] == []


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        ("requirements.lock", [*project()["project"]["dependencies"], *project()["dependency-groups"]["build"]]),
        ("requirements-dev.lock", [*project()["project"]["optional-dependencies"]["live"], *project()["dependency-groups"]["dev"]]),
    ],
)
def test_a_lock_pins_what_pyproject_asks_for(lock: str, requirements: list[str]) -> None:
    pinned = pins(lock)
    unmet = [text for text in requirements if not Requirement(text).specifier.contains(pinned[canonicalize_name(Requirement(text).name)])]
    assert unmet == []


def test_the_two_locks_agree() -> None:
    runtime, development = (pins(lock) for lock in LOCKS)
    assert {name: development.get(name) for name in runtime} == runtime


def test_the_npm_packages_are_pinned_and_only_for_tests() -> None:
    wanted = json.loads((REPOSITORY / "package.json").read_text())
    locked = json.loads((REPOSITORY / "package-lock.json").read_text())["packages"]
    versions = {**wanted["devDependencies"], **wanted["optionalDependencies"]}
    assert "dependencies" not in wanted
    assert {name: version.rpartition("@")[2] for name, version in versions.items()} == {
        name: locked[f"node_modules/{name}"]["version"] for name in versions
    }
    assert [name for name, entry in locked.items() if name and "integrity" not in entry] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_every_make_target_that_a_document_names_exists(document: str) -> None:
    named = set(re.findall(r"(?:`|^ *\$? *)make ([a-z][\w-]*)", (REPOSITORY / document).read_text(), re.MULTILINE))
    assert named - make_targets() == set()


def test_contributing_names_every_make_target_a_person_calls() -> None:
    named = set(re.findall(r"^\| `make ([a-z]+)", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    assert named == set((REPOSITORY / "Makefile").read_text().splitlines()[0].removeprefix("# make ").split(" | "))


def test_every_file_and_test_that_is_named_as_slow_exists() -> None:
    text = (REPOSITORY / "tests" / "conftest.py").read_text()
    named = ast.literal_eval(text.partition("SLOW = ")[2].partition("\n)\n")[0] + ")")
    assert len(named) > 5
    for name in named:
        file, _, test = name.partition("::")
        path = REPOSITORY / "tests" / file
        assert path.is_dir() if name.endswith("/") else f"def {test}" in path.read_text(), name


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    faults = {}
    for path in tracked_files():
        text = text_of(path)
        found = [host for host in REGISTRY_HOSTS if host in text] + MACHINE_PATH.findall(text)
        if found:
            faults[path.relative_to(REPOSITORY).as_posix()] = found
    assert faults == {}


def test_the_change_log_knows_the_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in {"Unreleased", basis_strategy_v1.__version__}


def test_importing_the_package_loads_no_heavy_library() -> None:
    program = f"import sys, basis_strategy_v1; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded == "[]\n"


@pytest.mark.parametrize("name", basis_strategy_v1.__all__)
def test_a_public_name_can_be_imported_and_is_listed(name: str) -> None:
    assert getattr(basis_strategy_v1, name).__name__ == name
    assert name in dir(basis_strategy_v1)


def test_an_unknown_public_name_is_refused_by_name() -> None:
    with pytest.raises(AttributeError, match="module 'basis_strategy_v1' has no attribute 'Trader'"):
        _ = basis_strategy_v1.Trader


def imports_of(source: Path) -> dict[str, set[str]]:
    """module -> the modules of the package that it names in an import, for types too."""
    modules = {".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): path for path in source.rglob("*.py")}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        names = {(node.module or "", alias.name) for node in nodes for alias in node.names}
        found[module] = {inner if (inner := f"{outer}.{name}") in modules else outer for outer, name in names} & modules.keys()
    return found


def in_circles(imports: dict[str, set[str]]) -> set[str]:
    """What is left once all that imports nothing, or only what has gone, has gone, and then all that nothing imports."""
    left = dict(imports)
    while ends := [name for name, of in left.items() if not of & left.keys() or not any(name in other for other in left.values())]:
        for name in ends:
            left.pop(name, None)
    return set(left)


def test_the_build_reads_the_version_without_importing_the_package() -> None:
    tree = ast.parse(Path(basis_strategy_v1.__file__).read_text(encoding="utf-8"))
    values = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"]
    assert [ast.literal_eval(value) for value in values] == [basis_strategy_v1.__version__]


def test_modules_import_each_other_in_no_circle_not_even_for_types() -> None:
    imports = imports_of(Path(basis_strategy_v1.__file__).parents[1])
    assert len(imports) > 100
    # The public entrance of the engine, `from_config`, names what puts the parts of a run together.
    imports["basis_strategy_v1.engine"].remove("basis_strategy_v1.app")
    assert in_circles(imports) == set()
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == {"b", "c"}


def test_no_public_class_name_is_defined_in_two_modules() -> None:
    found: dict[str, list[str]] = {}
    for path in sorted(Path(basis_strategy_v1.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path.name)
    # A venue's `Settings` and a strategy's `Parameters` are prescribed: each venue and each strategy has one.
    assert {name: modules for name, modules in found.items() if len(modules) > 1 and name not in {"Settings", "Parameters"}} == {}
