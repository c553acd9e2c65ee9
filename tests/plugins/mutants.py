"""Take each protection away, one at a time, and demand that the tests of its objective notice: `make mutants`.

    python tests/plugins/mutants.py [SO-nn …]

Each objective of docs/security/objectives.toml names a one-line change of the program, and some name more of them. Each
is applied to a copy of the checkout (what git tracks, and what is new and not ignored). Then the tests that the map
names for the objective are run there; for a further change, the one test that it names. The mutant is caught if a test
*failed*: a copy that cannot be imported, or a fixture that breaks, is no proof. Before that, the same tests must pass
in a copy where nothing was changed.

One line is printed for each change; the exit code is 1 if any mutant lives.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lupa.lua54 import LuaError, LuaRuntime

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests"))

from plugins.objectives import Mutant, Objective, objectives_of  # noqa: E402  # the line above is what finds it

JOBS = 2
TIMEOUT_SECONDS = 900
FAILED = re.compile(r"\b\d+ failed\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What came of one mutant."""

    objective: Objective
    is_caught: bool
    why: str

    def __str__(self) -> str:
        return f"{self.objective.id} {'caught' if self.is_caught else 'LIVES '} {self.why}"


def copy_checkout(into: Path) -> None:
    """Copy what git tracks, and what is new and not ignored, from the checkout to the folder `into`."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        check=True,
        capture_output=True,
    ).stdout
    for name in filter(None, listing.decode().split("\0")):
        if (REPO / name).is_file() and not (REPO / name).is_symlink():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, into / name)


def run_tests(folder: Path, tests: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run `tests` in the copy at `folder`, with the copy's own program."""
    surroundings = {**os.environ, "PYTHONPATH": str(folder / "builder")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", *options, *tests],
        cwd=folder,
        env={**surroundings, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


def mutate(folder: Path, mutant: Mutant) -> str:
    """Apply the mutant to the copy at `folder`; return what is wrong with it, or nothing."""
    file = folder / mutant.file
    text = file.read_text() if file.is_file() else ""
    if text.count(mutant.old) != 1:
        return f"{mutant.file}: want {mutant.old!r} there once, it is there {text.count(mutant.old)} times"
    if "\n" in mutant.old or "\n" in mutant.new or mutant.old == mutant.new:
        return f"{mutant.file}: want a change of one line"
    changed = text.replace(mutant.old, mutant.new)
    try:
        if file.suffix == ".lua":
            LuaRuntime().compile(changed)
        else:
            compile(changed, mutant.file, "exec")
    except (SyntaxError, LuaError) as error:
        return f"{mutant.file}: the mutant is no {'Lua' if file.suffix == '.lua' else 'Python'}: {error}"
    file.write_text(changed)
    return ""


def judge(case: tuple[Objective, Mutant]) -> Verdict:
    """Apply one mutant to a copy of its own and run the objective's tests, or the named one, until the first fails."""
    objective, mutant = case
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        copy_checkout(folder)
        problem = mutate(folder, mutant)
        if problem:
            return Verdict(objective=objective, is_caught=False, why=problem)
        try:
            done = run_tests(folder, (mutant.by,) if mutant.by else objective.tests, "-x")
        except subprocess.TimeoutExpired:
            return Verdict(objective=objective, is_caught=False, why=f"no answer in {TIMEOUT_SECONDS} seconds")
    last = (done.stdout.strip().splitlines() or ["nothing was said"])[-1]
    if done.returncode == 1 and FAILED.search(last):
        failed = re.search(r"^FAILED \S*?::(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
        why = f"{mutant.file}: {failed[1] if failed else last} ({time.monotonic() - began:.1f} s)"
        return Verdict(objective=objective, is_caught=True, why=why)
    return Verdict(objective=objective, is_caught=False, why=f"{mutant.file}: pytest said {last!r}")


def main(words: Sequence[str]) -> int:
    """Judge the mutants of the objectives called `words`, or all; return the exit code."""
    known = objectives_of(REPO)
    if unknown := set(words) - known.keys():
        print(f"unknown: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = [row for row in known.values() if (not words or row.id in words) and not row.id.startswith("RR-")]
    ready = [(row, mutant) for row in chosen for mutant in row.mutants]
    with tempfile.TemporaryDirectory(prefix="unchanged-") as name:
        copy_checkout(Path(name))
        tests = sorted({test for row, _ in ready for test in row.tests})
        unchanged = run_tests(Path(name), tests)
    if unchanged.returncode != 0:
        print(f"with nothing changed the tests must pass:\n{unchanged.stdout[-2000:]}", file=sys.stderr)
        return 1
    lives = 0
    with ThreadPoolExecutor(JOBS) as pool:
        verdicts = list(pool.map(judge, ready))
    for row in chosen:
        found = [verdict for verdict in verdicts if verdict.objective.id == row.id]
        lives += sum(not verdict.is_caught for verdict in found)
        for line in found or [f"{row.id} waits  for {row.waits_for}"]:
            print(line)
    print(f"{len(verdicts) - lives} of {len(verdicts)} mutants caught")
    return 1 if lives else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
