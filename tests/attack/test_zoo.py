"""The zoo, tests/zoo: small programs, scripts and templates that are not reproducible, and how each is caught.

The first line of each animal says how: it is the same in two runs, because the sandbox or the language fixes what it
asks for, or it is refused, and then with the path and the field. Between the two runs everything about this process
changes that can be changed: umask, folder, environment, limits. All animals run in `make test-slow`, some in each test.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from cosmos.cli.cosmos import rebuild
from cosmos.digest import Digest
from cosmos.errors import ScriptFailed
from cosmos.image.rebuild.variations import Variation
from cosmos.model.names import StarName
from cosmos.nova.job import NovaJob
from cosmos.nova.meter import VerbError
from cosmos.nova.run import run_install
from cosmos.sandbox.bubble import HOST_TOOLS, Bubble
from cosmos.sandbox.circumstances import FIRST, SECOND
from cosmos.staging.twice import Comparing, Remembering, Unsteady
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.galaxies import StarSpec
from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos
from fakes.shells import with_programs
from fakes.waiting import LONG_SECONDS

pytestmark = [
    pytest.mark.objective("SO-24"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not there"),
]
ZOO: Final = Path(__file__).parent.parent / "zoo"
QUICK: Final = (
    "time.sh", "day.sh", "random.sh", "umask.sh", "processors.sh", "order-of-folder.sh", "kernel-version.sh",
    "hash-seed.python", "zip-times.python", "os-library.lua", "clock.j2",
    "addresses.python",
)  # fmt: skip
SHELLS: Final = {".sh": (b"sh",), ".python": (b"python3", b"-I")}
EXHAUSTIVE: Final = pytest.mark.exhaustive
FIELD: Final = re.compile(r": /(\S+?)(?:: its (\w+) differ|: is made the \w+ time (only)|$)")
WANTED: Final = re.compile(r"(?:# |-- |\{# )caught by (.*?)(?: #\}.*)?")
EPOCH: Final = 1_500_000_000


def named(name: str, content: bytes) -> Entry:
    return Entry(path=TreePath.parse(name), kind="file", mode=0o644, content=content)


def runner(circumstances: object) -> Bubble:
    """A runner with this machine's programs, which has one processor as one with the programs of stars has."""
    tools = replace(HOST_TOOLS, digest=Digest.of(b""))
    bubble = Bubble(tools=tools, epoch=EPOCH, timeout_seconds=LONG_SECONDS, where="zoo")
    return replace(bubble, circumstances=circumstances)


def tree_of(animal: Path) -> dict[TreePath, Entry]:
    files = [named(f"given/{name}", name.encode()) for name in "abcd"] + [named("animal", animal.read_bytes())]
    return {entry.path: entry for entry in files}


def words_of(animal: Path) -> tuple[bytes, ...]:
    return (*SHELLS[animal.suffix], b"animal")


@contextmanager
def changed_surroundings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        for name in ("TZ", "LC_ALL", "HOME", "USER", "PYTHONHASHSEED", "SOURCE_DATE_EPOCH", "NOISE"):
            patch.setenv(name, "7")
        umask = os.umask(0o027)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 100, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            os.umask(umask)


def script_result(animal: Path) -> object:
    """The layer of a Lua script, or of a template that a script renders; the text `refused` if that is an error."""
    script, files = animal.read_bytes(), {}
    if animal.suffix == ".j2":
        script, files = b'function install() render("a.j2", "/out", {}) end', {TreePath(b"a.j2"): named("a.j2", script)}
    job = NovaJob(star="zoo", script_name="install.lua", script=script, files=files, epoch=EPOCH)
    try:
        return run_install(job).entries
    except ScriptFailed:
        return "refused"


def verdict_of(problem: str) -> str:
    found = FIELD.search(problem)
    assert found is not None, problem
    path, field, once = found.groups()
    return f"the second run: {path}: {field or (once and 'once') or 'day'}"


def caught(animals: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """How each animal is caught; all run once, and then, when the clock has gone on, all run again."""
    programs = [animal for animal in animals if animal.suffix in SHELLS]
    first = {animal: Remembering(runner(FIRST)) for animal in programs}
    scripts = {animal: script_result(animal) for animal in animals if animal not in first}
    for animal, remembering in first.items():
        outcome = remembering.run(words_of(animal), {}, tree_of(animal))
        assert outcome.status == 0, f"{animal.name}: {outcome.last}"
        assert len(outcome.tree) > len(tree_of(animal)), f"{animal.name} makes nothing"
    time.sleep(2)  # the times in a zip file have steps of two seconds
    verdicts: dict[str, str] = {}
    with changed_surroundings(folder, monkeypatch):
        for animal, remembering in first.items():
            unsteady = Unsteady(star=StarName("zoo"), waiver="", epoch=EPOCH)
            comparing = Comparing(runner(SECOND), remembering.made, tuple, unsteady)
            try:
                comparing.run(words_of(animal), {}, tree_of(animal))
                verdicts[animal.name] = "the sandbox: both runs give the same"
            except VerbError as error:
                verdicts[animal.name] = verdict_of(error.problem)
        for animal, result in scripts.items():
            again = script_result(animal)
            language = "Nova" if animal.suffix == ".lua" else "templates"
            how = "refused" if "refused" in (result, again) else "both runs give the same" if result == again else "-"
            verdicts[animal.name] = f"{language}: {how}"
    return verdicts


def everything() -> list[Path]:
    return sorted(path for path in ZOO.iterdir() if path.suffix in (*SHELLS, ".lua", ".j2"))


@pytest.mark.parametrize(
    "animals",
    [
        pytest.param([ZOO / name for name in QUICK], id="some"),
        pytest.param(everything(), id="all", marks=pytest.mark.exhaustive),
    ],
)
def test_every_animal_of_the_zoo_is_caught_and_its_culprit_named(
    animals: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = caught(animals, tmp_path, monkeypatch)
    wanted = {animal.name: WANTED.fullmatch(animal.read_text().splitlines()[0]) for animal in animals}
    assert [name for name, line in wanted.items() if line is None] == []
    missed = {
        name: (line[1], verdicts[name])
        for name, line in wanted.items()
        if line is not None and not fnmatch.fnmatchcase(verdicts[name], line[1])
    }
    print(f"the zoo: {len(animals) - len(missed)} of {len(animals)} animals are caught as they must be")
    assert missed == {}


def test_the_zoo_has_as_many_animals_as_it_promises() -> None:
    assert len(everything()) >= 40


PROGRAMS: Final = (
    *("cat", "chmod", "cut", "date", "env", "find", "grep", "head", "hostname", "id", "ln", "ls", "mktemp", "nice"),
    *("nproc", "sleep", "sort", "stat", "tar", "touch", "uname"),
)
NO_STAR: Final = re.compile(r"\b(cc|git|ar|getconf)\b")  # programs with many files of their own
QUICK_IN_IMAGE: Final = (
    "time.sh",
    "umask.sh",
    "kernel-version.sh",
    "link-by-time.sh",
    "order-of-pairs.lua",
    "limits.sh",
)
QUICKLY_VARIED: Final = ("umask", "kernel version", "no tools", "clock", "limits")
STEADY: Final = "both runs give the same"


def in_an_image(animals: list[Path]) -> list[Path]:
    """The animals that can live in a star here: no Python, compiler or git as a star, and no refused script."""
    lives = [animal for animal in animals if animal.suffix == ".sh" or (animal.suffix == ".lua" and is_steady(animal))]
    return [animal for animal in lives if not NO_STAR.search(animal.read_text().partition("\n")[2])]


def is_steady(animal: Path) -> bool:
    found = WANTED.fullmatch(animal.read_text().splitlines()[0])
    assert found is not None
    return found[1].endswith(STEADY)


def name_of(animal: Path) -> str:
    """The name of the animal's star, and of its folder in the image."""
    return animal.name.replace(".", "-")


def star_of(animal: Path) -> StarSpec:
    """A star whose script runs the animal in a folder of its own, in its line 3; or whose script the animal is."""
    name, text = name_of(animal), animal.read_bytes()
    if animal.suffix == ".lua":
        return StarSpec(name, "1.0.0", {}, script=text.decode().replace("/out", f"/zoo/{name}/out"))
    files = {f"zoo/{name}/given/{one}": one.encode() for one in "abcd"} | {f"zoo/{name}/animal": text}
    lines = (
        "function install()",
        'copy("zoo", "/zoo")',
        f"run{{'/bin/sh', '-c', 'cd zoo/{name} && . ./animal'}}",
        "end",
    )
    return StarSpec(name, "1.0.0", files, {"shell": "*"}, script="\n".join(lines))


def may_raise_limits() -> bool:
    """Whether cosmos may give run() more than its shell had: as root, unless a container forbids it."""
    words = ("prlimit", "--nofile=256:256", sys.executable, "-c")
    script = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024))"
    return subprocess.run([*words, script], check=False, capture_output=True).returncode == 0


def image_of(where: Path, cosmos: Cosmos, animals: list[Path], *, waived: bool) -> ImageFixture:
    names = [name_of(animal) for animal in animals]
    programs = with_programs(*filter(None, (shutil.which(name, path="/bin:/usr/bin") for name in PROGRAMS)))
    waiver = f"unsteady = {json.dumps(names)}" if waived else ""
    allowed = f"run = {json.dumps(names)}\nchown = {json.dumps(names)}\n"  # chown: a mode by the time may be any
    tables = f"[policy]\n{allowed}outside = {json.dumps([*names, 'shell'])}\n{waiver}\n"
    stars = (programs, *map(star_of, animals))
    image = make_image(where, stars, dict.fromkeys(names, "*"), tables=tables)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    return image


@pytest.mark.parametrize(
    "animals",
    [
        pytest.param([ZOO / "time.sh", ZOO / "link-by-time.sh"], id="some"),
        pytest.param([one for one in in_an_image(everything()) if not is_steady(one)], id="all", marks=EXHAUSTIVE),
    ],
)
def test_an_image_with_an_animal_is_not_built(animals: list[Path], tmp_path: Path, cosmos: Cosmos) -> None:
    missed = {}
    for animal in animals:
        image = image_of(tmp_path / animal.stem, cosmos, [animal], waived=False)
        said = cosmos("build", image.folder, "--home", image.home).fails(6).err
        name = name_of(animal)
        if f"{name}: install.lua:3: run: " not in said or f"/zoo/{name}/" not in said:
            missed[animal.name] = said
    share = f"{len(animals) - len(missed)} of {len(animals)}"
    print(f"the zoo in images: {share} animals are refused with star, line and path")
    assert missed == {}


@pytest.mark.parametrize(
    ("animals", "tried"),
    [
        pytest.param([ZOO / name for name in QUICK_IN_IMAGE], QUICKLY_VARIED, id="some"),
        pytest.param(in_an_image(everything()), (), id="all", marks=EXHAUSTIVE),
    ],
)
def test_a_rebuild_names_each_animal_that_was_waived(
    animals: list[Path], tried: tuple[str, ...], tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_of(tmp_path, cosmos, animals, waived=True)
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    every = rebuild.variations

    def chosen(is_readable: bool) -> tuple[Variation, ...]:
        return tuple(one for one in every(is_readable) if not tried or one.name in tried)

    monkeypatch.setattr(rebuild, "variations", chosen)
    words = ("rebuild", image.out, "--home", image.home, "--key", image.public_key, "--adversarial", "--json")
    row = json.loads(cosmos(*words).fails(7).out)
    assert [one["problem"] for one in row["rebuilds"] if one["problem"]] == []
    made_by = {path: who for one in row["rebuilds"] for path, who in one["made-by"].items()}
    found = {path.split("/")[2]: causes for path, causes in row["causes"].items() if path.startswith("/zoo/")}
    made = {path: who for path, who in made_by.items() if path.startswith("/zoo/")}
    assert [
        path for path, who in made.items() if not who.startswith(f"{path.split('/')[2]}, install.lua:3: run [")
    ] == []
    steady = {name_of(animal) for animal in animals if is_steady(animal)}
    low = {"limits-sh"} if "limits" in tried or not tried else set()
    assert found.keys() & steady == (set() if may_raise_limits() else low)
    assert found["time-sh"] == []
    assert found["link-by-time-sh"] == []
    assert found["kernel-version-sh"] == ["kernel version"]
    others = len(animals) - len(steady)
    print(f"the zoo in one image: a rebuild finds {len(found)} of {others} animals, each with star, line and variation")
    print(
        "the same in each rebuild: "
        + (", ".join(sorted({name_of(one) for one in animals} - steady - found.keys())) or "none")
    )
