"""`cosmos audit`: every input of an image is changed, and nothing goes through. A removed protection is found by it."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cosmos.cli.cosmos import audit as audit_words
from cosmos.digest import Digest
from cosmos.image.audit import auditing, outcomes
from cosmos.image.definition import Definition, read_definition
from cosmos.image.flow import Built, build_image
from cosmos.image.freeze import freeze
from cosmos.image.home import Home
from cosmos.image.preflight import BuildOptions
from cosmos.model.lock import LockedStar
from cosmos.model.release import Builder
from cosmos.model.reporter import Silent
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from cosmos.trust import archives
from fakes.galaxies import StarSpec
from fakes.images import ImageFixture, make_image
from fakes.programs import REPO, Cosmos
from plugins.mutants import mutate
from plugins.objectives import Mutant

KINDS = [
    *("lock", "archive", "statement", "statement's envelope", "index", "index's envelope", "trust anchors"),
    *("image.toml", "what the operator wrote", "store", "network", "release"),
]


@pytest.fixture
def built(tmp_path: Path, built_image: Callable[..., ImageFixture]) -> ImageFixture:
    return built_image(tmp_path, tables='[[output]]\nformat = "tar.zst"\n')


@dataclass(frozen=True)
class Audited:
    """What one audit of a small image said, for people and for machines; and all files before and after it."""

    lines: list[str]
    row: dict
    before: dict[str, Digest]
    after: dict[str, Digest]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """One audit for the tests that only read its answer: it takes as long as fifty builds."""
    where = tmp_path_factory.mktemp("audited")
    image = make_image(where, tables='[[output]]\nformat = "tar.zst"\n')
    definition, world = read_definition(image.folder), Home(home=image.home, offline=False, reporter=Silent())
    freeze(definition, world)
    options = BuildOptions(
        out=image.out,
        jobs=1,
        identity="test",
        builder=Builder(versions=dict.fromkeys(("cosmos", "python", "zstd"), "1")),
        key=image.signers["release"],
    )
    build_image(definition, world, options)
    before = bytes_below(where)
    found = auditing.audit(definition, world, image.out, [image.signers["release"].public], jobs=1)
    lines = [*audit_words._lines(found, shows_all=False)]
    return Audited(lines, dict(audit_words._row(found)), before, bytes_below(where))


def audited(cosmos: Cosmos, image: ImageFixture) -> dict:
    said = cosmos("audit", image.folder, "--home", image.home, "--key", image.public_key, "--json")
    assert said.code in (0, 7)
    return json.loads(said.out)


def bytes_below(folder: Path) -> dict[str, Digest]:
    return {str(file.relative_to(folder)): Digest.of(file.read_bytes()) for file in folder.rglob("*") if file.is_file()}


def test_no_change_of_any_input_goes_through_and_nothing_is_changed(once: Audited) -> None:
    row = once.row
    assert [one for one in row["outcomes"] if not one["good"]] == []
    assert row["changes"] >= 400
    assert list(dict.fromkeys(one["kind"] for one in row["outcomes"])) == KINDS
    assert {one["verdict"] for one in row["outcomes"] if one["kind"] in ("archive", "statement", "index")} == {
        *("exit 4", "exit 5"),
    }
    assert once.after == once.before


def test_the_answer_for_people_is_a_table(once: Audited) -> None:
    said = r"(\d+) of \1 changes were refused, or ended as they may; \d+ whole builds"
    assert re.fullmatch(said, once.lines[-1])
    assert any(line.startswith("archive ") and "exit 4" in line for line in once.lines)


def verdicts(row: dict, kind: str) -> Counter[str]:
    return Counter(one["verdict"] for one in row["outcomes"] if one["kind"] == kind)


def test_a_signature_in_the_right_form_that_nobody_made_is_refused_as_one(once: Audited) -> None:
    """Another last letter is refused by the rules of base64, and no key is ever asked."""
    said = {one["said"] for one in once.row["outcomes"] if one["change"] == "signatures[0].sig: its first letter"}
    assert len(said) == 3  # of two statements and one index
    assert all(one.endswith("want a signature by a pinned key, got none") for one in said)


def test_what_the_first_two_steps_let_through_is_built_to_its_end(once: Audited) -> None:
    """Another version makes another release of the same contents, another template another image."""
    row = once.row
    of_definition, of_template = verdicts(row, "image.toml"), verdicts(row, "what the operator wrote")
    assert of_definition["another image"] >= 1 and of_definition["another release"] >= 1
    assert of_template["another image"] >= 2  # a template's file that was changed, and one that was added
    assert "another definition" not in of_definition
    whole = (of_definition + of_template).total() - sum(
        number for verdict, number in (of_definition + of_template).items() if verdict[:4] == "exit"
    )
    always = verdicts(row, "store").total() + verdicts(row, "network").total()
    assert row["whole-builds"] == 1 + whole - of_template["another definition"] + always


def test_with_and_without_the_network_the_same_image_is_made(once: Audited) -> None:
    rows = [one for one in once.row["outcomes"] if one["kind"] == "network"]
    assert [(one["file"], one["change"], one["verdict"]) for one in rows] == [
        ("the network", "made available", "the same"),
        ("galaxy core", "taken away", "the same"),
    ]


def test_a_build_that_takes_something_else_from_the_network_is_found(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = auditing.build_image

    def online(definition: Definition, world: Home, options: BuildOptions) -> Built:
        made = plain(definition, world, options)
        return made if world.offline else replace(made, content_root=Digest.of(b"newer bytes"))

    monkeypatch.setattr(auditing, "build_image", online)
    only("network", monkeypatch)
    found = {one["file"]: one["verdict"] for one in audited(cosmos, built)["outcomes"] if not one["good"]}
    assert found == {"galaxy core": "WENT THROUGH"}


def test_each_kind_of_file_of_the_store_is_changed_and_none_shapes_the_image(once: Audited) -> None:
    row = once.row
    changed = [one for one in row["outcomes"] if one["kind"] == "store"]
    assert {one["file"] for one in changed} == {
        *("blobs: a packed layer", "blobs: what was fetched", "batches: indexes and statements"),
    }
    assert verdicts(row, "store").keys() == {"the same", "exit 4", "exit 5"}


def test_a_power_that_is_no_longer_given_is_refused_by_the_step_that_judges_powers(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preflight and the fetching know no powers: only a build that goes on judges them."""
    su = Entry(path=TreePath(b"usr/bin/su"), kind="file", mode=0o4755, content=b"su")
    image = make_image(tmp_path, [StarSpec("su", files={"usr/bin/su": su})], tables='[policy]\nsetuid = ["su"]\n')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    only("image.toml", monkeypatch)
    row = audited(cosmos, image)
    said = {one["change"]: one for one in row["outcomes"] if one["kind"] == "image.toml"}
    assert {said[what]["verdict"] for what in ("policy: left out", "policy.setuid: left out")} == {"exit 6"}
    assert "runs with its owner's" in said["policy.setuid: left out"]["said"]
    assert [one for one in row["outcomes"] if not one["good"]] == []


# A protection, removed by hand: where, the line and what takes its place, and a row of the audit that must name it.
REMOVED = {
    "the archive's digest": (
        Mutant(file="builder/cosmos/trust/archives.py", old="    if got != star.archive:", new="    if False:"),
        "base-1.2.0.tar.zst: one bit of its middle byte",
    ),
    "the statement's signature": (
        Mutant(
            file="builder/cosmos/trust/dsse.py",
            old="        verify(key.raw, message, signature.raw)",
            new="        pass",
        ),
        "base-1.2.0.toml.dsse: signatures[0].sig: its first letter",
    ),
    "the lock's fields": (
        Mutant(file="builder/cosmos/staging/acquire.py", old="        if locked != stated:", new="        if False:"),
        "universe.lock.toml: star[0].unpacked-bytes: one more",
    ),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("protection", REMOVED)
def test_a_protection_that_was_removed_by_hand_from_the_program_is_found_and_its_row_named(
    protection: str, built: ImageFixture, tmp_path: Path
) -> None:
    """As `make mutants` does: one line of a copy of the program is another, and the copy audits."""
    mutant, row = REMOVED[protection]
    shutil.copytree(REPO / "builder", tmp_path / "copy" / "builder", ignore=shutil.ignore_patterns("__pycache__"))
    assert mutate(tmp_path / "copy", mutant) == ""
    said = subprocess.run(
        [
            *(sys.executable, "-B", "-c", "from cosmos.cli.cosmos.main import main; main()"),
            *("audit", built.folder, "--home", built.home, "--key", built.public_key, "--all"),
        ],
        env={"PATH": os.defpath, "PYTHONPATH": str(tmp_path / "copy" / "builder")},
        capture_output=True,
        text=True,
    )
    assert said.returncode == 7, said.stderr
    assert row in said.stderr
    assert f"  WENT THROUGH: {row}: " in said.stdout


def only(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let audits change the inputs of one class alone."""
    plain = auditing._Inputs.mutations
    monkeypatch.setattr(
        auditing._Inputs, "mutations", lambda inputs: (one for one in plain(inputs) if one.kind == kind)
    )


def believed(data: bytes, star: LockedStar) -> archives.VerifiedArchive:
    """Stand where an archive is compared with its digest."""
    return archives.VerifiedArchive(star=star, data=data, seal=archives._SEAL)


@pytest.mark.parametrize(
    ("where", "instead", "kind"),
    [
        ("cosmos.staging.source.verify_archive", believed, "archive"),
        ("cosmos.image.preflight.differences", lambda *_: (), "lock"),
        ("cosmos.release.verify.file_differences", lambda *_: (), "release"),
    ],
)
def test_a_protection_that_was_removed_is_found(
    where: str, instead: Callable, kind: str, built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, instead)
    only(kind, monkeypatch)
    bad = {one["kind"] for one in audited(cosmos, built)["outcomes"] if not one["good"]}
    assert kind in bad


def test_an_image_that_cannot_be_built_is_not_audited(built: ImageFixture, cosmos: Cosmos) -> None:
    archive = built.galaxy.archive("app-2.0.0")
    archive.write_bytes(archive.read_bytes()[:-1] + b"!")
    cosmos("audit", built.folder, "--home", built.home).fails(4)


def test_a_remote_galaxy_is_named_as_one_that_cannot_be_changed(built: ImageFixture, cosmos: Cosmos) -> None:
    for file in (built.folder / "image.toml", built.folder / "universe.lock.toml"):
        file.write_text(file.read_text().replace('"../galaxy"', '"http://127.0.0.1:1/galaxy"'))
    said = cosmos("audit", built.folder, "--home", built.home).fails(2)
    assert "only a folder can be changed" in said.err


def test_the_changed_files_are_in_memory_one_at_a_time(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive has seven changes, each as large as itself: together they would not fit."""
    plain, held = auditing._Inputs.outcome, []

    def mutations() -> list[outcomes.Mutation]:
        return [one for one in gc.get_objects() if isinstance(one, outcomes.Mutation)]

    before = mutations()  # of other tests; held here, so that none goes meanwhile
    known = {id(one) for one in before}

    def outcome(inputs: auditing._Inputs, mutation: outcomes.Mutation) -> outcomes.Outcome:
        held.append(sum(id(one) not in known for one in mutations()))
        return plain(inputs, mutation)

    monkeypatch.setattr(auditing._Inputs, "outcome", outcome)
    only("archive", monkeypatch)
    cosmos("audit", built.folder, "--home", built.home).ok()
    assert len(held) == 14 and max(held) <= 2


def test_a_galaxy_is_looked_through_once_for_each_document(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, plain_mutations, looked = auditing._Inputs._copies, auditing._Inputs.mutations, []

    def copies(inputs: auditing._Inputs, file: Path) -> tuple[Path, ...]:
        looked.append(file)
        return plain(inputs, file)

    monkeypatch.setattr(auditing._Inputs, "_copies", copies)
    monkeypatch.setattr(auditing._Inputs, "outcome", lambda *_: pytest.fail("not here"))
    monkeypatch.setattr(auditing._Inputs, "mutations", lambda inputs: [*plain_mutations(inputs)][:0])
    audited(cosmos, built)
    assert len(looked) == len(set(looked)) == 6  # two statements, one index, and their envelopes


def test_what_was_not_changed_is_listed(once: Audited) -> None:
    left = once.row["not-changed"]
    assert "archives and statements of 1 star between the lock's first and last: same formats" in left


def test_an_image_without_stars_is_audited(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace('everything = "*"\n', ""))
    cosmos("freeze", image.folder, "--home", image.home).ok()
    row = audited(cosmos, image)
    assert [one for one in row["outcomes"] if not one["good"]] == []
    assert "archive" not in {one["kind"] for one in row["outcomes"]}


def test_a_galaxy_at_an_escaped_address_and_a_template_s_toml_that_is_none_are_audited(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    only("what the operator wrote", monkeypatch)
    image = make_image(tmp_path / "a b")
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace('"../galaxy"', f'"file://localhost{tmp_path}/a%20b/galaxy"'))
    (image.folder / "template" / "root" / "etc" / "part.toml").write_text("this is = = not TOML\n")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    row = audited(cosmos, image)
    assert [one for one in row["outcomes"] if not one["good"]] == []
    assert "part.toml" in {one["file"] for one in row["outcomes"]}


def test_a_release_with_another_file_is_named_by_its_own_folder(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    only("archive", monkeypatch)
    (built.out / "extra").write_text("x")
    said = cosmos("audit", built.folder, "--home", built.home, "--key", built.public_key).fails(7)
    assert str(built.out) in said.err and "cosmos-audit" not in said.err
