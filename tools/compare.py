"""Compares the results of this checkout with those of an earlier commit, byte by byte.

    make compare BASE=COMMIT

Every config in config/ runs with both versions on the sample, and on the recorded market data where they lie next to the checkout.
It prints one line for each config and data set: "same", or the first difference.
Exit status 0: all are the same, or the clone has no history to compare with; 1: some differ; 2: there is no such commit.

Left out, because they name a run and are no result: the key of an event, the venue's reference, the hash of the config and the run's id.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
MARKET = REPOSITORY.parent / "shared" / "data" / "market"
MARKET_WINDOW = {"start": "2024-05-14", "end": "2025-05-31"}  # what the series of every config cover
NAMES_OF_A_RUN = ("key", "reference", "config_hash")
WORDS_OF_A_SUMMARY = ("run_id", "config_hash", "assumptions")
SHOWN = 60  # characters before and after the first difference


class Version(NamedTuple):
    """A version of the project: where its package, its configs and their examples are."""

    source: Path
    folder: Path

    @property
    def configs(self) -> set[str]:
        return {path.stem for path in (self.folder / "config").glob("*.yaml")}


class DataSet(NamedTuple):
    name: str
    directory: Path
    window: dict[str, str]


class Outcome(NamedTuple):
    """What a run wrote, as lines by file; or why it failed."""

    files: dict[str, list[str]]
    failure: str = ""


def main() -> None:
    given = arguments()
    if reason := why_not(given.base):
        print(f"compare: {reason}")
        sys.exit(0 if is_incomplete() else 2)
    with tempfile.TemporaryDirectory(prefix="basis-compare-") as name:
        faults = compare(given, Path(name))
    sys.exit(int(faults > 0))


def arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(description="Compare the results of this checkout with those of an earlier commit.")
    words.add_argument("base", metavar="COMMIT")
    words.add_argument("--sample-only", action="store_true", help="leave the recorded market data out")
    words.add_argument("--config", nargs="+", metavar="NAME", help="only these configs")
    words.add_argument(
        "--changed", nargs="*", default=[], metavar="NAME", help="configs whose results are meant to differ; one that is the same fails"
    )
    words.add_argument("--ignore", nargs="*", default=[], metavar="FIELD", help="fields of events that only one version has")
    return words.parse_args()


def compare(given: argparse.Namespace, work: Path) -> int:
    """Print a line for each config and data set, as soon as it is known; give the number of faults."""
    before, now = base_version(given.base, work / "base"), this_version(work / "now")
    samples = [write_sample(version, work / name) for version, name in ((before, "sample"), (now, "sample-now"))]
    faults = report("the sample itself", first_difference(*map(lines_of_folder, samples)))
    market = [] if given.sample_only or not MARKET.is_dir() else [("market", {}), ("market, the whole of it", MARKET_WINDOW)]
    data_sets = [DataSet("sample", samples[0], {}), *(DataSet(name, MARKET, window) for name, window in market)]
    for config in sorted(before.configs ^ now.configs):
        print(f"{config}: only {'in the base' if config in before.configs else 'here'}, not compared", flush=True)
    ignored = (*NAMES_OF_A_RUN, *given.ignore)

    def outcome(version: Version, config: str, data: DataSet) -> Outcome:
        return run(version, config, data, work / f"{version.folder.name}-{config}-{data.name}", ignored)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        common = sorted((before.configs & now.configs).intersection(given.config or before.configs))
        cases = [(config, data) for config in common for data in data_sets]
        pairs = [[pool.submit(outcome, version, *case) for version in (before, now)] for case in cases]
        for (config, data), pair in zip(cases, pairs, strict=True):
            was, is_now = (each.result() for each in pair)
            if is_now.failure and was.failure == is_now.failure:
                print(f"{config}, {data.name}: not compared, both end with {was.failure}", flush=True)
            else:
                faults += report(f"{config}, {data.name}", difference(was, is_now), is_meant=config in given.changed)
    return faults


def report(what: str, found: str, *, is_meant: bool = False) -> int:
    """Print the line of one comparison; 1 where it is a fault."""
    if is_meant:
        print(f"{what}: {f'meant to differ: {found}' if found else 'same, though it is meant to differ'}", flush=True)
    else:
        print(f"{what}: {found or 'same'}", flush=True)
    return int(bool(found) != is_meant)


# The two versions.


def git(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, check=False)


def is_incomplete() -> bool:
    """Whether commits may be missing: a shallow clone, or no repository at all."""
    return git("rev-parse", "--is-shallow-repository").stdout.strip() != b"false"


def why_not(base: str) -> str:
    if git("cat-file", "-e", f"{base}^{{commit}}").returncode == 0:
        return ""
    lacks = "this clone does not have its whole history, nothing is compared" if is_incomplete() else "give one that git log shows"
    return f"no commit {base} here; {lacks}"


def base_version(base: str, folder: Path) -> Version:
    archive = git("archive", "--format=tar", base, "src", "config", "examples")
    if archive.returncode != 0:
        sys.exit(f"compare: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return Version(folder / "src", folder)


def this_version(folder: Path) -> Version:
    for name in ("config", "examples"):
        shutil.copytree(REPOSITORY / name, folder / name)
    return Version(REPOSITORY / "src", folder)


# Running.


def basis(version: Version, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    cwd.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(version.source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "basis_strategy_v1.cli", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def write_sample(version: Version, folder: Path) -> Path:
    done = basis(version, "data", "sample", str(folder), cwd=folder.parent)
    if done.returncode != 0:
        sys.exit(f"compare: {version.source} writes no sample: {done.stderr.strip()}")
    return folder


def run(version: Version, config: str, data: DataSet, folder: Path, ignored: tuple[str, ...]) -> Outcome:
    path = version.folder / "config" / f"{config}.yaml"
    if data.window:
        path = with_window(path, data.window)
    done = basis(version, "backtest", str(path), "--data", str(data.directory), "--no-report", "--quiet", cwd=folder)
    if done.returncode != 0:
        return Outcome({}, f"status {done.returncode}: {(done.stderr.strip().splitlines() or ['no line'])[-1]}")
    return Outcome({name: read(path, ignored) for name, path in written(folder)})


def with_window(path: Path, window: dict[str, str]) -> Path:
    """The config with another start and end, written next to it, since paths in a config start from its folder."""
    text = path.read_text(encoding="utf-8")
    for name, day in window.items():
        text = re.sub(rf"^{name}: .*$", f"{name}: {day}", text, flags=re.MULTILINE)
    other = path.with_name(f"{path.stem}.whole")
    other.write_text(text, encoding="utf-8")
    return other


def written(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files with results, the one that a difference is seen in first before the others."""
    (results,) = (path for path in (folder / "results").iterdir() if path.is_dir())
    for name in ("events.csv", "positions.csv", "equity.csv", "summary.json"):
        yield name, results / name
    for path in sorted((folder / "logs" / "events").glob("*.jsonl")):
        yield path.name, path


# Reading and comparing.


def read(path: Path, ignored: tuple[str, ...]) -> list[str]:
    """The lines of a file, without what names the run."""
    text = path.read_text(encoding="utf-8")
    without = without_fields(ignored)
    if path.name == "summary.json":
        return summary_lines(json.loads(text))
    if path.name == "events.csv":
        return [without(",".join(row)) for row in csv.reader(io.StringIO(text, newline=""))]
    return [without(line) for line in text.splitlines()] if path.suffix == ".jsonl" else text.splitlines()


def without_fields(names: Iterable[str]) -> Callable[[str], str]:
    """A function that takes these fields, texts or numbers, out of a line of compact JSON and leaves every other byte."""
    value = r'"(?:[^"\\]|\\.)*"|[^",{}\[\]]+'
    field = rf'"(?:{"|".join(map(re.escape, names))})":(?:{value})'
    pattern = re.compile(rf",{field}|{field},?")
    return lambda line: pattern.sub("", line)


def summary_lines(summary: dict[str, object]) -> list[str]:
    return [f"{name}: {json.dumps(value)}" for name, value in summary.items() if name not in WORDS_OF_A_SUMMARY]


def lines_of_folder(folder: Path) -> dict[str, list[str]]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8").splitlines()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def difference(before: Outcome, now: Outcome) -> str:
    if now.failure or before.failure:
        return f"ends with {now.failure or 'status 0'}; the base ends with {before.failure or 'status 0'}"
    return first_difference(before.files, now.files)


def first_difference(before: dict[str, list[str]], now: dict[str, list[str]]) -> str:
    """Where two sets of files differ first, and in which files they differ as well; empty where they are the same."""
    differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if not differing:
        return ""
    name, *others = differing
    if name not in before or name not in now:
        return f"{name} is only written {'now' if name in now else 'by the base'}"
    pairs = enumerate(zip_longest(before[name], now[name]), start=1)
    row, (was, is_now) = next((row, pair) for row, pair in pairs if pair[0] != pair[1])
    also = f" (and {', '.join(others)})" if others else ""
    return f"{name} line {row}: {around(was, is_now)} is now {around(is_now, was)}{also}"


def around(line: str | None, other: str | None) -> str:
    """The part of a line where it begins to differ from the other one."""
    if line is None:
        return "no line"
    place = next((place for place, (one, two) in enumerate(zip(line, other or "", strict=False)) if one != two), len(other or ""))
    start, end = max(place - SHOWN, 0), place + SHOWN
    return f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"


if __name__ == "__main__":
    main()
