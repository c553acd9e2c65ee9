"""A layer is used again exactly when everything that its script saw is as it was, and `--explain` says what was not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.galaxies import StarSpec, make_galaxy
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import Cosmos, Outcome
from fakes.shells import shell

LIBRARY = StarSpec("library", "1.0.0", {"usr/lib/libz.so.1": b"one", "usr/share/doc/library": b"d"})
SCRIPT = """
function install()
  copy("tool", "/usr/bin/tool")
  if exists("/usr/lib/libz.so.1") then symlink("/usr/lib/libz.so.1", "/usr/lib/tool.so") end
  if #glob("/usr/share/doc/*.so") > 0 then write("/etc/tool.conf", "plugins\\n") end
end
"""
TOOL = StarSpec("tool", "1.0.0", {"tool": b"t"}, {"library": "*"}, script=SCRIPT)


@dataclass
class Bench:
    """An image whose star `library` comes in ever new versions."""

    image: ImageFixture
    cosmos: Cosmos
    seq: int = 1

    def build(self, files: Mapping[str, bytes | Entry] | None = None) -> Outcome:
        """Publish the library's next version, with these files besides, freeze it, build, and return what was said."""
        self.seq += 1
        new = replace(LIBRARY, version=f"1.0.{self.seq}", files={**LIBRARY.files, **(files or {})})
        make_galaxy(self.image.galaxy.path, "core", (new, TOOL), self.image.signers, seq=self.seq)
        self.cosmos("freeze", self.image.folder, "--upgrade", "--home", self.image.home).ok()
        return self.again()

    def again(self) -> Outcome:
        """Build once more."""
        return self.cosmos("build", self.image.folder, "--home", self.image.home, "--explain").ok()

    def made(self) -> Mapping[str, str]:
        """Build once more; return which layers were made, and why."""
        answer: Mapping[str, str] = self.cosmos("build", self.image.folder, "--home", self.image.home, "--json").json()[
            "made"
        ]
        return answer


@pytest.fixture
def bench(tmp_path: Path, cosmos: Cosmos) -> Bench:
    image = make_image(tmp_path, (LIBRARY, TOOL), {"tool": "*"})
    cosmos("freeze", image.folder, "--home", image.home).ok()
    bench = Bench(image, cosmos)
    said = bench.again().err
    assert "tool: its layer was made: this program has not made one" in said
    return bench


def file(path: str, content: bytes = b"x") -> dict[str, Entry]:
    return {path: Entry(path=TreePath.parse(path), kind="file", mode=0o644, content=content)}


def test_a_second_build_makes_nothing(bench: Bench) -> None:
    assert "nothing changed: " in bench.again().err
    assert bench.made() == {}
    shutil.rmtree(bench.image.out)
    assert "every layer is from the store" in bench.again().err


@pytest.mark.parametrize(
    "files",
    [
        {"usr/lib/libz.so.1": b"other bytes, which no script can read"},
        file("usr/share/doc/more"),
        file("usr/lib/libz.so.2"),
        file("opt/x"),
    ],
    ids=["bytes", "beside", "beside-what-was-read", "elsewhere"],
)
def test_a_change_that_the_script_did_not_look_at_leaves_its_layer(
    bench: Bench, files: Mapping[str, bytes | Entry], cosmos: Cosmos
) -> None:
    definition = bench.image.folder / "image.toml"
    definition.write_text(definition.read_text() + '[policy]\noutside = ["library"]\n')
    said = bench.build(files=files).err
    assert "library: its layer was made" in said
    assert "tool: " not in said
    assert cosmos("ls", bench.image.out, "usr/lib/tool.so").ok()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (file("usr/share/doc/a.so"), "/usr/share/doc/*.so finds other paths"),
        (
            {"usr/lib/libz.so.1": Entry(path=TreePath(b"usr/lib/libz.so.1"), kind="symlink", mode=0o777,
                                        target=b"nowhere")},
            "/usr/lib/libz.so.1 was file, is symlink nowhere",
        ),
        (
            {"usr/lib": Entry(path=TreePath(b"usr/lib"), kind="dir", mode=0o700)},
            "/usr/lib was dir 0755 0:0, is dir 0700 0:0",
        ),
    ],
    ids=["glob", "kind", "mode"],
)  # fmt: skip
def test_a_change_that_the_script_saw_makes_its_layer_anew_and_is_named(
    bench: Bench, change: Mapping[str, Entry], why: str
) -> None:
    before = (bench.image.out / "receipts.json").read_bytes()
    assert f"tool: its layer was made: {why}" in bench.build(change).err
    after = json.loads((bench.image.out / "receipts.json").read_bytes())
    assert after["stars"]["tool"] != json.loads(before)["stars"]["tool"]


def test_what_was_made_of_an_earlier_state_is_found_again_when_that_comes_back(bench: Bench) -> None:
    bench.build(files=file("usr/share/doc/a.so"))
    assert "tool: " not in bench.build().err


def test_a_layer_that_was_made_again_with_the_same_outcome_changes_nothing_above_it(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    def stars(version: str, text: str) -> tuple[StarSpec, ...]:
        middle = f'function install() copy("m", "/usr/lib/m") write("/usr/lib/middle", "{text}") end'
        return (
            StarSpec("middle", version, {"m": b"m"}, script=middle),
            StarSpec("top", "1.0.0", {}, {"middle": "*"}, script='function install() exists("/usr/lib/middle") end'),
        )

    image = make_image(tmp_path, stars("1.0.0", "one"), {"top": "*"})
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    make_galaxy(image.galaxy.path, "core", stars("1.0.1", "two"), image.signers, seq=2)
    cosmos("freeze", image.folder, "--upgrade", "--home", image.home).ok()
    said = cosmos("build", image.folder, "--home", image.home, "--explain", "--jobs", "2").ok().err
    assert "middle: its layer was made" in said
    assert "top: " not in said


def test_one_changed_star_gives_the_bytes_of_a_cold_build_with_1_2_and_8_workers(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    changed = replace(BASE, version="1.3.0", files={**BASE.files, "usr/share/doc/new": b"new"})
    make_galaxy(image.galaxy.path, "core", (changed, APP, META), image.signers, seq=2)
    cosmos("freeze", image.folder, "--upgrade", "--home", image.home).ok()
    found = set()
    for jobs in (1, 2, 8):
        for kind in ("warm", "cold"):
            home, out = tmp_path / f"{kind}-{jobs}", tmp_path / f"out-{kind}-{jobs}"
            shutil.copytree(image.home, home)
            if kind == "cold":
                shutil.rmtree(home / "store")
            words = ("--home", home, "--out", out, "--jobs", jobs, "--json")
            made = cosmos("build", image.folder, *words).json()["made"]
            assert set(made) == ({"base"} if kind == "warm" else {"base", "app", "everything"})
            found.add(tuple((file.name, file.read_bytes()) for file in sorted(out.iterdir())))
    assert len(found) == 1


def test_frames_that_the_store_lost_are_made_by_the_workers_and_give_the_same_bytes(bench: Bench) -> None:
    first = next(bench.image.out.glob("*.tar.zst")).read_bytes()
    shutil.rmtree(bench.image.out)
    shutil.rmtree(bench.image.home / "store" / "blobs")
    why = "the store does not have it packed at level"
    assert {star: text[: len(why)] for star, text in bench.made().items()} == {"library": why, "tool": why}
    assert next(bench.image.out.glob("*.tar.zst")).read_bytes() == first


def test_another_level_packs_in_the_workers_and_gives_the_bytes_of_a_build_from_nothing(
    bench: Bench, cosmos: Cosmos, tmp_path: Path
) -> None:
    words = ("build", bench.image.folder, "--home", bench.image.home, "--level", "5", "--jobs", "2")
    said = cosmos(*words, "--out", tmp_path / "warm", "--explain").ok().err
    assert "stage 2 stars, 0 of them from the store" in said
    assert "library: its layer was made: the store does not have it packed at level 5" in said
    again = cosmos(*words, "--out", tmp_path / "again", "--explain").ok().err
    assert "stage 2 stars, 2 of them from the store" in again
    (bench.image.home / "store").rename(tmp_path / "away")
    cosmos(*words, "--out", tmp_path / "cold").ok()
    warm, cold = (next((tmp_path / name).glob("*.tar.zst")).read_bytes() for name in ("warm", "cold"))
    assert warm == cold


@pytest.mark.objective("SO-24")
def test_a_layer_used_again_is_the_one_that_a_build_from_nothing_makes(
    bench: Bench, tmp_path: Path, cosmos: Cosmos
) -> None:
    bench.build(files=file("usr/share/doc/more"))
    kept = {path.name: path.read_bytes() for path in bench.image.out.iterdir()}
    (bench.image.home / "store").rename(tmp_path / "away")
    assert set(bench.made()) == {"library", "tool"}
    assert {path.name: path.read_bytes() for path in bench.image.out.iterdir()} == kept


RUNS = 'run{"/bin/sh", "-c", "echo made >made"}'
UNSTEADY = 'run{"/bin/sh", "-c", "read x </proc/sys/kernel/random/uuid; echo $x >made"}'


def running(where: Path, cosmos: Cosmos, script: str, more: str = "") -> ImageFixture:
    """An image of one star, whose script runs programs of `shell`."""
    tool = StarSpec("tool", "1.0.0", {}, {"shell": "*"}, script=f"function install() {script} end")
    policy = '[policy]\nrun = ["tool"]\noutside = ["tool"]\n' + more
    image = make_image(where, (shell(), tool), {"tool": "*"}, tables=policy)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    return image


def test_a_layer_that_programs_made_is_made_anew_when_any_of_their_tools_changes(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    image = running(tmp_path, cosmos, RUNS)
    assert cosmos("build", image.folder, "--home", image.home, "--json").json()["made"] == {}
    tool = StarSpec("tool", "1.0.0", {}, {"shell": "*"}, script=f"function install() {RUNS} end")
    new = replace(shell(), version="1.0.1", files={**shell().files, "usr/share/unread": b"x"})
    make_galaxy(image.galaxy.path, "core", (new, tool), image.signers, seq=2)
    cosmos("freeze", image.folder, "--upgrade", "--home", image.home).ok()
    said = cosmos("build", image.folder, "--home", image.home, "--explain").ok().err
    assert "tool: its layer was made: the tools of its programs are others" in said


def test_a_layer_that_cannot_be_made_again_as_it_was_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    image = running(tmp_path, cosmos, UNSTEADY, more='unsteady = ["tool"]\n')
    for blob in (image.home / "store" / "blobs").rglob("*"):
        if blob.is_file():  # the packed frames; the archives come from the galaxy
            blob.unlink()
    again = cosmos("build", image.folder, "--home", image.home, "--out", tmp_path / "again").fails(6)
    assert "tool: its script made something else than the first time" in again.err
    assert not (tmp_path / "again").exists()
