"""A release takes its place in one step: the draft on disk and the one in memory, held to the same."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.model.release import Release, Subject
from cosmos.release.draft import Draft, Published, Written, demand_replaceable, draft_beside
from cosmos.trust.dsse import Signature, assemble
from cosmos.trust.roles import IN_TOTO_TYPE
from fakes.builders import BUILDER
from fakes.reporters import Remembering
from fakes.worlds import MemoryDraft

Publish = Callable[[dict[str, bytes]], Published]


class Place:
    """Where releases are published: a folder, or a mapping."""

    def __init__(self, out: Path, kind: str) -> None:
        self.out = out
        self.kind = kind
        self.reporter = Remembering()
        self.releases: dict[Path, dict[str, bytes]] = {}

    def publish(self, files: dict[str, bytes]) -> Published:
        """Publish a release of these files."""
        if self.kind == "memory":
            return self._publish(MemoryDraft(self.releases, self.out), files)
        with draft_beside(self.out) as draft:
            return self._publish(draft, files)

    def stands(self) -> dict[str, bytes]:
        """Return what stands there now."""
        if self.kind == "memory":
            return self.releases.get(self.out, {})
        return {file.name: file.read_bytes() for file in self.out.iterdir()} if self.out.exists() else {}

    def lay(self, files: dict[str, bytes]) -> None:
        """Let these files stand there without having been published."""
        self.releases[self.out] = dict(files)
        if self.kind == "disk":
            self.out.mkdir(parents=True)
            for name, data in files.items():
                (self.out / name).write_bytes(data)

    def _publish(self, draft: Draft, files: dict[str, bytes]) -> Published:
        for name, data in files.items():
            draft.write(name, [data[:1], data[1:]])
        assert draft.files == {
            name: Written(digest=Digest.of(data), size_bytes=len(data)) for name, data in files.items()
        }
        return draft.publish(self.reporter)


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place, and afterwards nothing lies beside it."""
    place = Place(tmp_path / "image" / "out", request.param)
    yield place
    assert not list(tmp_path.glob("image/.*")), "no draft is left"


UNSIGNED = {"RELEASE.json": b"release", "image": b"bytes"}
ENVELOPE = assemble(IN_TOTO_TYPE, UNSIGNED["RELEASE.json"], [Signature(keyid="somebody", raw=bytes(64))])
SIGNED = {**UNSIGNED, "RELEASE.json.dsse": ENVELOPE}


def test_what_was_written_stands_there_once_it_is_published(place: Place) -> None:
    assert place.publish(UNSIGNED) == Published(changed=True, signed=False)
    assert place.stands() == UNSIGNED


def test_the_same_release_again_changes_nothing(place: Place) -> None:
    place.publish(SIGNED)
    assert place.publish(SIGNED) == Published(changed=False, signed=True)
    assert place.stands() == SIGNED


def test_another_release_replaces_the_one_that_stands_there_whole(place: Place) -> None:
    place.publish({**UNSIGNED, "old": b"x"})
    assert place.publish({"RELEASE.json": b"other"}) == Published(changed=True, signed=False)
    assert place.stands() == {"RELEASE.json": b"other"}


def test_a_signed_release_stays_where_the_new_one_lacks_but_the_signature(place: Place) -> None:
    place.publish(SIGNED)
    assert place.publish(UNSIGNED) == Published(changed=False, signed=True)
    assert place.stands() == SIGNED
    assert place.reporter.warnings == []


@pytest.mark.parametrize("what", [b"", b"signature", ENVELOPE[:-9], ENVELOPE.replace(b'payload": "c', b'payload": "d')])
def test_what_does_not_sign_the_release_beside_it_is_no_signature(place: Place, what: bytes) -> None:
    place.publish({**UNSIGNED, "RELEASE.json.dsse": what})
    assert place.publish(UNSIGNED) == Published(changed=True, signed=False)
    assert place.stands() == UNSIGNED
    (warning,) = place.reporter.warnings
    assert "RELEASE.json.dsse: signs another RELEASE.json or nothing, and was removed" in warning


def test_a_signed_release_that_another_replaces_unsigned_is_warned_of(place: Place) -> None:
    place.publish(SIGNED)
    assert place.publish({**UNSIGNED, "image": b"others"}) == Published(changed=True, signed=False)
    (warning,) = place.reporter.warnings
    assert "an unsigned release replaces the signed one" in warning


def test_a_signature_is_added_to_the_release_that_lacked_it(place: Place) -> None:
    place.publish(UNSIGNED)
    assert place.publish(SIGNED) == Published(changed=True, signed=True)
    assert place.stands() == SIGNED


def test_what_is_no_release_is_not_replaced(place: Place) -> None:
    place.lay({"thesis.tex": b"years"})
    with pytest.raises(WorldFailed, match="is not empty and is not a release"):
        place.publish(UNSIGNED)
    assert place.stands() == {"thesis.tex": b"years"}


def test_a_file_with_another_mode_is_another_release(tmp_path: Path) -> None:
    for mode, changed in ((0o644, True), (0o644, False), (0o755, True)):
        with draft_beside(tmp_path / "out") as draft:
            draft.write("RELEASE.json", [b"x"])
            draft.write("cosmos", [b"x"], mode)
            assert draft.publish(Remembering()).changed is changed
    assert (tmp_path / "out" / "cosmos").stat().st_mode & 0o777 == 0o755


def test_what_a_build_leaves_that_is_killed_at_its_first_moment_goes_with_the_next(tmp_path: Path) -> None:
    killed = Path(tempfile.mkdtemp(prefix=".out-", dir=tmp_path))
    theirs = [tmp_path / ".out-mine", tmp_path / ".out-abcdefgh", tmp_path / ".out-12345678"]
    for folder in theirs:
        folder.mkdir(0o700)
    theirs[1].chmod(0o755)
    (theirs[2] / "file").write_bytes(b"mine")
    with draft_beside(tmp_path / "out") as draft:
        assert not killed.exists()
        assert all(folder.is_dir() for folder in theirs)
        draft.write("RELEASE.json", [b"x"])
        draft.publish(Remembering())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out-12345678", ".out-abcdefgh", ".out-mine", "out"]


def test_a_build_that_fails_leaves_what_stood_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "RELEASE.json").write_bytes(b"old")
    with pytest.raises(RuntimeError), draft_beside(tmp_path / "out") as draft:
        draft.write("RELEASE.json", [b"new"])
        raise RuntimeError
    assert (tmp_path / "out" / "RELEASE.json").read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def released(out: Path) -> None:
    """Publish a release into `out` that says what it consists of."""
    release = Release(
        subjects=(Subject(name="image", digest=Digest.of(b"bytes"), size_bytes=5),),
        external={},
        internal={},
        resolved=(),
        builder=BUILDER,
    )
    with draft_beside(out) as draft:
        draft.write("image", [b"bytes"])
        draft.write("RELEASE.json", [release.to_bytes()])
        draft.publish(Remembering())


@pytest.mark.parametrize("stranger", ["notes.txt", "folder"])
def test_what_a_person_put_into_a_release_is_not_replaced_with_it(tmp_path: Path, stranger: str) -> None:
    out = tmp_path / "out"
    released(out)
    demand_replaceable(out)
    if stranger == "folder":
        (out / stranger).mkdir()
        (out / stranger / "precious").write_bytes(b"x")
    else:
        (out / stranger).write_bytes(b"precious")
    with pytest.raises(WorldFailed, match=f"{stranger}: is not part of the release beside it"):
        released(out)
    with (
        pytest.raises(WorldFailed, match=f"{stranger}: is not part of the release beside it"),
        draft_beside(out) as draft,
    ):
        draft.write("RELEASE.json", [b"other"])
        draft.publish(Remembering())
    assert (out / stranger).exists()


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "file"])
def test_a_place_that_is_no_folder_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "link":
        (tmp_path / "target").mkdir()
        out.symlink_to(tmp_path / "target")
    elif kind == "dangling":
        out.symlink_to(tmp_path / "nowhere")
    elif kind == "fifo":
        os.mkfifo(out)
    else:
        out.write_bytes(b"x")
    before = out.lstat()
    with pytest.raises(WorldFailed, match="is not a folder, and cosmos does not replace it"):
        demand_replaceable(out)
    with (
        pytest.raises(WorldFailed, match="is not a folder, and cosmos does not replace it"),
        draft_beside(out) as draft,  # it may have come while the release was made
    ):
        draft.write("RELEASE.json", [b"x"])
        draft.publish(Remembering())
    assert (out.lstat().st_ino, out.lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("name", ["cosmos-draft", "."])
def test_a_release_may_have_any_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with draft_beside(Path(name)) as draft:
        draft.write("RELEASE.json", [b"x"])
        assert draft.publish(Remembering()).changed
    place = tmp_path / "here" if name == "." else tmp_path / "here" / name
    assert (place / "RELEASE.json").read_bytes() == b"x"
