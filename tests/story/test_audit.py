"""`cosmos audit`: every input of an image is changed, and nothing goes through. A removed protection is found by it."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.image.audit import auditing
from cosmos.model.lock import LockedStar
from cosmos.trust import archives
from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos

KINDS = [
    *("lock", "archive", "statement", "statement's envelope", "index", "index's envelope", "trust anchors"),
    *("image.toml", "what the operator wrote", "release"),
]


class Stop(BaseException):
    """Ends an audit early."""


@pytest.fixture
def built(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    image = make_image(tmp_path, tables='[[output]]\nformat = "tar.zst"\n')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    return image


def audited(cosmos: Cosmos, image: ImageFixture) -> dict:
    said = cosmos("audit", image.folder, "--home", image.home, "--key", image.public_key, "--json")
    assert said.code in (0, 7)
    return json.loads(said.out)


def bytes_below(folder: Path) -> dict[str, Digest]:
    return {str(file.relative_to(folder)): Digest.of(file.read_bytes()) for file in folder.rglob("*") if file.is_file()}


def test_no_change_of_any_input_goes_through_and_nothing_is_changed(
    built: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    before = bytes_below(tmp_path)
    row = audited(cosmos, built)
    assert [one for one in row["outcomes"] if not one["good"]] == []
    assert row["changes"] >= 400
    assert list(dict.fromkeys(one["kind"] for one in row["outcomes"])) == KINDS
    assert {one["verdict"] for one in row["outcomes"] if one["kind"] in ("archive", "statement", "index")} == {
        *("exit 4", "exit 5"),
    }
    assert bytes_below(tmp_path) == before


def test_the_answer_for_people_is_a_table(built: ImageFixture, cosmos: Cosmos) -> None:
    said = cosmos("audit", built.folder, "--home", built.home, "--key", built.public_key).ok()
    assert said.out.splitlines()[-1].endswith("changes were refused, or made another image")
    assert any(line.startswith("archive ") and "exit 4" in line for line in said.out.splitlines())


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

    def outcome(inputs: auditing._Inputs, mutation: auditing.Mutation) -> auditing.Outcome:
        held.append(sum(isinstance(one, auditing.Mutation) for one in gc.get_objects()))
        if mutation.kind == "archive":
            raise Stop
        return plain(inputs, mutation)

    monkeypatch.setattr(auditing._Inputs, "outcome", outcome)
    with pytest.raises(Stop):
        cosmos("audit", built.folder, "--home", built.home)
    assert max(held) <= 2


def test_a_galaxy_is_looked_through_once_for_each_document(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, looked = auditing._Inputs._copies, []

    def copies(inputs: auditing._Inputs, file: Path) -> tuple[Path, ...]:
        looked.append(file)
        return plain(inputs, file)

    monkeypatch.setattr(auditing._Inputs, "_copies", copies)
    audited(cosmos, built)
    assert len(looked) == len(set(looked)) == 6  # two statements, one index, and their envelopes


def test_what_was_not_changed_is_listed(built: ImageFixture, cosmos: Cosmos) -> None:
    left = audited(cosmos, built)["not-changed"]
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
    tmp_path: Path, cosmos: Cosmos
) -> None:
    image = make_image(tmp_path / "a b")
    file = image.folder / "image.toml"
    file.write_text(file.read_text().replace('"../galaxy"', f'"file://localhost{tmp_path}/a%20b/galaxy"'))
    (image.folder / "template" / "root" / "etc" / "part.toml").write_text("this is = = not TOML\n")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    row = audited(cosmos, image)
    assert [one for one in row["outcomes"] if not one["good"]] == []
    assert "part.toml" in {one["file"] for one in row["outcomes"]}


def test_a_release_with_another_file_is_named_by_its_own_folder(built: ImageFixture, cosmos: Cosmos) -> None:
    (built.out / "extra").write_text("x")
    said = cosmos("audit", built.folder, "--home", built.home, "--key", built.public_key).fails(7)
    assert str(built.out) in said.err and "cosmos-audit" not in said.err
