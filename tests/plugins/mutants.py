"""Take each protection away, one at a time, and demand that the tests of its objective notice: `make mutants`.

    python tests/plugins/mutants.py [SO-nn …]
    python tests/plugins/mutants.py --part COMMIT [--seconds N]

Each objective of docs/security/objectives.toml names a one-line change of the program, and some name more of them. Each
is applied to a copy of the checkout (what git tracks, and what is new and not ignored). Then the tests that the map
names for the objective are run there; for a further change, the one test that it names. The mutant is caught if a test
*failed*: a copy that cannot be imported, or a fixture that breaks, is no proof. The tests that failed must then pass in
a copy where nothing was changed.

`--part COMMIT` judges some of the changes: the commit's hash puts them in order, and no further one begins after N
seconds. So every commit tries others, and the same commit tries the same ones first. CI does this with each run.

One line is printed for each change; the exit code is 1 if any mutant lives.
"""

from __future__ import annotations

import argparse
import hashlib
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
PART_SECONDS = 25  # with the last changes, which end later, a part takes about a minute on two processors
FAILED = re.compile(r"\b\d+ failed\b")
NOTICED = re.compile(r"^FAILED (\S+?::[^\s\[]+)", re.MULTILINE)

Case = tuple[Objective, Mutant]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What came of one mutant. `by` is the test that noticed it."""

    objective: Objective
    is_caught: bool
    why: str
    by: str = ""

    def __str__(self) -> str:
        return f"{self.objective.id} {'caught' if self.is_caught else 'LIVES '} {self.why}"


def copy_checkout(into: Path) -> None:
    """Copy what git tracks, and what is new and not ignored, from the checkout to the folder `into`.

    Other users may read the copy, as they may read a checkout: some tests start the program as one of them.
    """
    into.chmod(0o755)
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


def judge(case: Case) -> Verdict:
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
    noticed = NOTICED.search(done.stdout)
    if done.returncode == 1 and FAILED.search(last) and noticed:
        why = f"{mutant.file}: {noticed[1].partition('::')[2]} ({time.monotonic() - began:.1f} s)"
        return Verdict(objective=objective, is_caught=True, why=why, by=noticed[1])
    return Verdict(objective=objective, is_caught=False, why=f"{mutant.file}: pytest said {last!r}")


def what_fails_unchanged(tests: Sequence[str]) -> str:
    """Return what pytest says of `tests` in a copy where nothing was changed; nothing if they pass."""
    if not tests:
        return ""
    with tempfile.TemporaryDirectory(prefix="unchanged-") as name:
        copy_checkout(Path(name))
        done = run_tests(Path(name), tests)
    return done.stdout[-2000:] if done.returncode else ""


def in_order_of(commit: str, cases: Sequence[Case]) -> list[Case]:
    """Return the cases in the order that the commit's hash gives them: the same for everybody."""

    def place(case: Case) -> bytes:
        objective, mutant = case
        words = (commit, objective.id, mutant.file, mutant.old, mutant.new, mutant.by)
        return hashlib.sha256("\0".join(words).encode()).digest()

    return sorted(cases, key=place)


def judged(cases: Sequence[Case], seconds: float | None) -> list[Verdict]:
    """Judge the cases, `JOBS` at a time; no further one begins after `seconds`."""
    began = time.monotonic()

    def unless_late(case: Case) -> Verdict | None:
        return judge(case) if seconds is None or time.monotonic() - began < seconds else None

    with ThreadPoolExecutor(JOBS) as pool:
        return [verdict for verdict in pool.map(unless_late, cases) if verdict is not None]


def options_of(words: Sequence[str]) -> argparse.Namespace:
    """Return the command line's words, read."""
    parser = argparse.ArgumentParser(description="Take each protection away and demand that a test notices.")
    parser.add_argument("ids", nargs="*", metavar="SO-nn", help="the objectives to judge (default: all)")
    parser.add_argument("--part", metavar="COMMIT", help="judge a part, which this commit chooses")
    parser.add_argument(
        "--seconds", type=float, default=PART_SECONDS, help="of a part: begin no further one after this"
    )
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Judge the mutants that the words ask for; return the exit code."""
    options = options_of(words)
    known = objectives_of(REPO)
    if unknown := set(options.ids) - known.keys():
        print(f"unknown: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = [row for row in known.values() if (not options.ids or row.id in options.ids) and row.is_promise]
    cases = [(row, mutant) for row in chosen for mutant in row.mutants]
    if options.part is None:
        verdicts = judged(cases, None)
    else:
        verdicts = judged(in_order_of(options.part, cases), options.seconds)
    for verdict in sorted(verdicts, key=lambda verdict: verdict.objective.id):
        print(verdict)
    for row in chosen:
        if row.waits_for:
            print(f"{row.id} waits  for {row.waits_for}")
    if broken := what_fails_unchanged(sorted({verdict.by for verdict in verdicts if verdict.by})):
        print(f"with nothing changed the tests must pass:\n{broken}", file=sys.stderr)
        return 1
    lives = sum(not verdict.is_caught for verdict in verdicts)
    part = "" if options.part is None else f", of {len(cases)}; the part that {options.part[:12]} chose"
    print(f"{len(verdicts) - lives} of {len(verdicts)} mutants caught{part}")
    return 1 if lives or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
