"""A build says that nothing changed only if nothing did: whatever changes in an input or in the release is noticed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from cosmos.cli.cosmos import kept_build
from cosmos.errors import WorldFailed
from cosmos.image.kept_release import kept_key
from cosmos.keyring.secret_key import SecretKey
from cosmos.keyring.store_key import STORE_KEY_FILE, store_key
from cosmos.locking import alone_if_free
from cosmos.model.names import KeyName
from cosmos.model.release import DRAFT_MARK
from cosmos.store.blobs import StoreFolder
from cosmos.store.sealed import Seal, SealedStore
from cosmos.trust.roles import IN_TOTO_TYPE
from fakes.huge_files import grow, hash_no_huge_file
from fakes.images import BASE, ImageFixture, make_image
from fakes.kept_files import build, files, flipped, in_place
from fakes.programs import Cosmos

NOTHING = "nothing changed: "


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., None]) -> ImageFixture:
    image = make_image(tmp_path_factory.mktemp("built"))
    succeed("freeze", image.folder, "--home", image.home)
    succeed("build", image.folder, "--home", image.home)
    return image


@pytest.fixture
def built(built_once: ImageFixture) -> Iterator[ImageFixture]:
    """An image that was built without a signature, so that the home remembers its release.

    A home knows a release by its path, so each test has the image at the same one, and it is put back after the test.
    """
    site = built_once.folder.parent
    kept = site.with_name(f"{site.name}-kept")
    if not kept.exists():
        shutil.copytree(site, kept, symlinks=True)
    yield built_once
    shutil.rmtree(site)
    shutil.copytree(kept, site, symlinks=True)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each build begin three seconds later: the stat of a file that changed two seconds ago proves nothing."""
    around = kept_build.surroundings
    monkeypatch.setattr(kept_build, "surroundings", lambda: replace(around(), now=lambda: time.time() + 3))


def test_a_build_of_which_nothing_changed_writes_no_file_and_says_so(built: ImageFixture, cosmos: Cosmos) -> None:
    before = files(built.out)
    said = build(built, cosmos).ok()
    assert NOTHING in said.err
    assert said.out.startswith(f"unchanged {built.out}\n")
    assert files(built.out) == before
    row = build(built, cosmos, "--json").json()
    assert (row["changed"], row["made"]) == (False, {})
    assert row["looked-at"]["hashed"] == row["looked-at"]["files"] >= 20


def test_a_file_of_the_release_that_became_very_long_is_not_read_to_its_end(
    built: ImageFixture, cosmos: Cosmos, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next(built.out.glob("*.tar.zst"))
    good = image.read_bytes()
    assert NOTHING in build(built, cosmos).ok().err  # from here on the record has the file's size
    hash_no_huge_file(monkeypatch)
    image.chmod(0o644)
    grow(image)
    assert NOTHING not in build(built, cosmos).ok().err
    assert image.read_bytes() == good
    assert NOTHING in build(built, cosmos).ok().err


def test_it_removes_what_killed_builds_left_and_no_folder_of_a_living_one(built: ImageFixture, cosmos: Cosmos) -> None:
    """Only a build that made a release did so, and each killed one left a whole image beside it."""
    before, left = files(built.out), built.home / "store/temporary/left"
    killed, first, living, theirs = (built.folder / f".out-{name * 8}" for name in "abcd")
    for folder in (killed, first, living, theirs):
        folder.mkdir(0o700)
    for folder in (killed, living):
        (folder / DRAFT_MARK).touch(0o600)
        (folder / "release").mkdir()
        (folder / "release" / "image").write_bytes(bytes(1000))
    (theirs / "file").write_bytes(b"mine")
    left.write_bytes(b"half of a blob")
    with (
        alone_if_free(living / DRAFT_MARK) as is_held,
        StoreFolder(built.home / "store").folder.locked("lock", "shared"),
    ):
        assert is_held
        assert NOTHING in build(built, cosmos).ok().err
        assert [path.exists() for path in (killed, first, living, theirs, left)] == [False, False, True, True, True]
    assert NOTHING in build(built, cosmos).ok().err
    assert [path.exists() for path in (living, theirs, left)] == [False, True, False]
    assert files(built.out) == before


def test_what_cannot_be_removed_beside_it_is_no_failure(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise WorldFailed("x", "is read-only")

    (built.folder / ".out-abcdefgh").mkdir(0o700)
    monkeypatch.setattr("cosmos.release.draft.sweep_beside", refuse)
    monkeypatch.setattr(StoreFolder, "sweep", refuse)
    assert NOTHING in build(built, cosmos).ok().err


def test_it_repeats_the_answer_and_the_warnings_of_the_build(built: ImageFixture, cosmos: Cosmos) -> None:
    again = build(built, cosmos).ok()
    shutil.rmtree(built.out)
    whole = build(built, cosmos).ok()
    assert again.out.splitlines()[1:] == whole.out.splitlines()[1:]
    warned = [line for line in whole.err.splitlines() if "warning: " in line]
    assert warned
    assert [line for line in again.err.splitlines() if "warning: " in line] == warned


INPUTS = [
    "image/image.toml",
    "image/template/template.toml",
    "image/template/root/etc/hostname.j2",
    "galaxy/meta.toml",
    "galaxy/meta.toml.dsse",
    "galaxy/stars/base-1.2.0.toml",
    "galaxy/stars/base-1.2.0.toml.dsse",
    "galaxy/packages/base-1.2.0.tar.zst",
    "home/trust/trust.toml",
    "home/trust/state.toml",
    "image/universe.lock.toml",
    "image/out/RELEASE.json",
    "image/out/manifest.txt",
    "image/out/small-1.0.0-x86_64.tar.zst",
]


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("path", INPUTS)
def test_a_flipped_byte_in_any_file_is_noticed(built: ImageFixture, cosmos: Cosmos, path: str) -> None:
    in_place(built.folder.parent / path, flipped)
    assert NOTHING not in build(built, cosmos).err


@pytest.mark.parametrize("path", INPUTS)
def test_a_missing_file_is_noticed(built: ImageFixture, cosmos: Cosmos, path: str) -> None:
    (built.folder.parent / path).unlink()
    assert NOTHING not in build(built, cosmos).err


@pytest.mark.parametrize("path", ["image/template/root/etc/new", "image/out/new", "home/trust/chain/9.toml"])
def test_a_file_more_is_noticed(built: ImageFixture, cosmos: Cosmos, path: str) -> None:
    (built.folder.parent / path).write_text("new")
    assert NOTHING not in build(built, cosmos).err


@pytest.mark.parametrize("what", ["garbage", "of another release"])
def test_what_does_not_sign_the_release_is_not_said_to_sign_it(built: ImageFixture, cosmos: Cosmos, what: str) -> None:
    key, document, envelope = built.signers["release"], built.out / "RELEASE.json", built.out / "RELEASE.json.dsse"
    envelope.write_bytes(b"" if what == "garbage" else key.sign(IN_TOTO_TYPE, b"{}"))
    row = build(built, cosmos, "--json").ok().json()
    assert not row["signed"]
    assert not envelope.exists()
    envelope.write_bytes(key.sign(IN_TOTO_TYPE, document.read_bytes()))
    for _ in range(2):
        row = build(built, cosmos, "--json").ok().json()
        assert (row["signed"], row["changed"]) == (True, False)
    cosmos("verify", built.out, "--key", built.public_key).ok()


def test_a_change_behind_a_linked_folder_of_trust_is_noticed(built: ImageFixture, cosmos: Cosmos) -> None:
    chain = built.home / "trust/chain"
    chain.rename(built.home / "elsewhere")
    chain.symlink_to("../elsewhere")
    for _ in range(2):
        assert NOTHING not in build(built, cosmos).ok().err, "what is behind the link is not known"
    (built.home / "elsewhere/9.toml").write_text("new")
    assert NOTHING not in build(built, cosmos).err


@pytest.mark.parametrize("words", [(), ("--trust-stat",)])
@pytest.mark.usefixtures("later")
def test_a_change_behind_a_link_that_a_template_is_read_through_is_noticed(
    built: ImageFixture, cosmos: Cosmos, words: tuple[str, ...]
) -> None:
    """Two images share what they have in common: template.toml and root/ are links, and a build follows both."""
    template, shared = built.folder / "template", built.folder.parent / "shared"
    template.rename(shared)
    template.mkdir()
    for name in ("template.toml", "root"):
        (template / name).symlink_to(f"../../shared/{name}")
    build(built, cosmos).ok()
    assert NOTHING in build(built, cosmos, *words).ok().err
    (shared / "root/etc/motd").write_text("hello\n")
    assert NOTHING not in build(built, cosmos, *words).ok().err
    assert cosmos("cat", built.out, "etc/motd").ok().out == "hello\n"
    in_place(shared / "root/etc/motd", lambda data: data.upper())
    assert NOTHING not in build(built, cosmos, *words).ok().err
    assert cosmos("cat", built.out, "etc/motd").ok().out == "HELLO\n"
    (shared / "template.toml").write_text("merged-usr = false\n")
    assert NOTHING not in build(built, cosmos, *words).ok().err
    assert (shared / "template.toml").is_file()


def test_a_name_beside_a_template_that_is_no_utf_8_is_no_input(built: ImageFixture, cosmos: Cosmos) -> None:
    """A build reads template.toml and root/ alone: what an editor leaves beside them changes nothing."""
    (built.folder / "template" / "NOTES").write_text("one")
    Path(os.fsdecode(os.fsencode(built.folder / "template") + b"/caf\xe9")).write_text("one")
    assert NOTHING in build(built, cosmos).ok().err
    assert NOTHING not in build(built, cosmos, "--level", "1").ok().err
    assert NOTHING in build(built, cosmos, "--level", "1").ok().err


def test_a_link_in_the_place_of_a_release_s_file_is_replaced(built: ImageFixture, cosmos: Cosmos) -> None:
    """A release consists of plain files: what a link leads to may go, or change, at any time."""
    before, elsewhere = files(built.out), built.folder.parent / "elsewhere"
    (built.out / "manifest.txt").rename(elsewhere)
    (built.out / "manifest.txt").symlink_to(elsewhere)
    assert NOTHING not in build(built, cosmos).ok().err
    assert not (built.out / "manifest.txt").is_symlink()
    assert {name: data for name, (data, _, _) in files(built.out).items()} == {
        name: data for name, (data, _, _) in before.items()
    }
    assert NOTHING in build(built, cosmos).ok().err


def test_an_empty_folder_more_in_the_template_is_noticed(built: ImageFixture, cosmos: Cosmos) -> None:
    (built.folder / "template" / "root" / "srv").mkdir()
    assert NOTHING not in build(built, cosmos).ok().err
    assert "srv" in cosmos("ls", built.out).ok().out


def test_an_empty_folder_more_in_the_release_is_noticed(built: ImageFixture, cosmos: Cosmos) -> None:
    (built.out / "empty").mkdir()
    assert "empty: is not part of the release" in build(built, cosmos).fails(5).err


@pytest.mark.parametrize("how", ["../galaxy", "", "file://"])
def test_a_galaxy_s_link_that_leads_elsewhere_now_is_noticed(tmp_path: Path, cosmos: Cosmos, how: str) -> None:
    """A mirror is exchanged by its link. The galaxy behind it revokes a key, and its other files are the same."""
    image = make_image(tmp_path)
    link, first, second = image.galaxy.path, tmp_path / "first", tmp_path / "second"
    link.rename(first)
    link.symlink_to(first)
    definition = image.folder / "image.toml"
    named = how if how == "../galaxy" else f"{how}{link}"
    definition.write_text(definition.read_text().replace('"../galaxy"', f'"{named}"'))
    cosmos("freeze", image.folder, "--home", image.home).ok()
    build(image, cosmos).ok()
    assert NOTHING in build(image, cosmos).ok().err
    shutil.copytree(first, second)
    (second / "trust").mkdir()
    (second / "trust" / "2.toml").write_text("who knows")
    link.unlink()
    link.symlink_to(second)
    assert NOTHING not in build(image, cosmos).err
    link.unlink()
    build(image, cosmos).fails(5)


def test_another_mode_of_a_template_s_file_is_noticed(built: ImageFixture, cosmos: Cosmos) -> None:
    (built.folder / "template" / "root" / "etc" / "hostname.j2").chmod(0o755)
    assert NOTHING not in build(built, cosmos).ok().err


def test_a_signature_of_the_lock_and_a_newer_trust_toml_are_noticed(built: ImageFixture, cosmos: Cosmos) -> None:
    (built.folder / "universe.lock.toml.dsse").write_text("{}")
    assert build(built, cosmos).fails(4)
    (built.folder / "universe.lock.toml.dsse").unlink()
    assert NOTHING in build(built, cosmos).ok().err
    (built.galaxy.path / "trust").mkdir()
    (built.galaxy.path / "trust" / "2.toml").write_text("who knows")
    assert NOTHING not in build(built, cosmos).err


def test_a_link_in_the_place_of_a_galaxy_s_file_is_noticed(built: ImageFixture, cosmos: Cosmos) -> None:
    archive = built.galaxy.archive(BASE.id)
    archive.rename(archive.with_name("elsewhere"))
    archive.symlink_to("elsewhere")
    build(built, cosmos).fails(4)


@pytest.mark.usefixtures("later")
def test_a_store_that_cannot_be_written_costs_the_memory_and_not_the_release(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full, or read-only: all layers are there, so the release is made, linted and told as ever."""

    @contextmanager
    def full(store: StoreFolder) -> Iterator[None]:
        raise WorldFailed(str(store.root), "the disk is full")
        yield

    monkeypatch.setattr(StoreFolder, "_draft", full)
    assert NOTHING in build(built, cosmos).ok().err, "the stats that are known now are not kept"
    (built.folder / "template" / "root" / "etc" / "motd").write_text("hello\n")
    for _ in range(2):
        said = build(built, cosmos).ok()
        assert NOTHING not in said.err
        assert "not linted" not in said.err
        assert cosmos("cat", built.out, "etc/motd").ok().out == "hello\n"
    monkeypatch.undo()
    build(built, cosmos).ok()
    assert NOTHING in build(built, cosmos).ok().err


@pytest.mark.parametrize("words", [("--level", "1"), ("--safe",)])
def test_another_option_is_another_build(built: ImageFixture, cosmos: Cosmos, words: tuple[str, ...]) -> None:
    assert NOTHING not in build(built, cosmos, *words).ok().err
    assert NOTHING in build(built, cosmos, *words).ok().err


def test_an_edit_while_the_build_runs_is_not_remembered_as_built(
    tmp_path: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is edited after its definition was read: the next build must make the edited one."""
    image = make_image(tmp_path)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    from cosmos.cli.cosmos import whole_build

    whole = whole_build.build_image

    def edited(*words: object) -> object:
        done = whole(*words)  # type: ignore[arg-type]  # passed on as they came
        (image.folder / "template" / "root" / "etc" / "hostname.j2").write_text("edited\n")
        return done

    monkeypatch.setattr(whole_build, "build_image", edited)
    build(image, cosmos).ok()
    monkeypatch.undo()
    assert NOTHING not in build(image, cosmos).ok().err
    assert cosmos("cat", image.out, "etc/hostname").ok().out == "edited\n"


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("attack", ["changed", "sealed by the thief", "without a seal"])
def test_a_forged_record_is_named_and_the_release_is_made(built: ImageFixture, cosmos: Cosmos, attack: str) -> None:
    """The thief wants a build to take an exchanged image for the built one."""
    good = files(built.out)
    image = built.out / "small-1.0.0-x86_64.tar.zst"
    sealed, data, forged = forgery(built, image, flipped)
    key = kept_key(built.folder, built.out)
    place = sealed._place(key)
    code = {
        "changed": sealed.seal.code(key, data),
        "sealed by the thief": Seal(b"a thief").code(key, forged),
        "without a seal": b"",
    }[attack]
    StoreFolder(built.home / "store").put_result(place, code + forged)
    said = build(built, cosmos).ok()
    assert "was not written by this home: somebody changed the store; it is not believed" in said.err
    assert {name: row[0] for name, row in files(built.out).items()} == {name: row[0] for name, row in good.items()}


def test_the_record_of_another_home_counts_for_nothing(built: ImageFixture, cosmos: Cosmos) -> None:
    (built.home / STORE_KEY_FILE).unlink()
    assert NOTHING not in build(built, cosmos).ok().err


def test_a_signed_release_of_which_nothing_changed_is_verified_again_unless_the_operator_says_otherwise(
    built: ImageFixture, cosmos: Cosmos
) -> None:
    signed = ("--key", built.secret_key)
    assert NOTHING not in build(built, cosmos, *signed).ok().err
    before = files(built.out)
    again = build(built, cosmos, *signed).ok().err
    assert NOTHING in again
    assert "fetch and verify 3 stars" in again
    assert "lay the tree" not in again
    assert files(built.out) == before
    (built.home / "config.toml").write_text("[store]\nsigned-from-memory = true\n")
    assert "fetch and verify" not in build(built, cosmos, *signed).ok().err
    cosmos("verify", built.out, "--key", built.public_key).ok()
    in_place(built.galaxy.archive(BASE.id), flipped)
    build(built, cosmos, *signed).fails(4)


THEFTS = ["image/out/small-1.0.0-x86_64.tar.zst", "image/out/RELEASE.json", "image/out/RELEASE.json.dsse"]
STOLEN_STARS = [
    "galaxy/stars/base-1.2.0.toml.dsse",
    "galaxy/stars/base-1.2.0.toml",
    "galaxy/packages/base-1.2.0.tar.zst",
]


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("path", [*THEFTS, *STOLEN_STARS])
def test_a_signed_release_is_no_more_than_its_record_even_if_a_thief_has_the_key_of_the_home(
    built: ImageFixture, cosmos: Cosmos, path: str
) -> None:
    """The record says that the changed file is the one of the last build, and its seal is good."""
    signed = ("--key", built.secret_key)
    build(built, cosmos, *signed).ok()
    good = files(built.out)
    reseal(built, built.folder.parent / path, digits_changed if path.endswith(".json") else flipped)
    said = build(built, cosmos, *signed)
    if path in STOLEN_STARS:
        said.fails(4)
    else:
        said.ok()
    assert NOTHING not in said.err
    if path not in STOLEN_STARS:
        assert {name: row[0] for name, row in files(built.out).items()} == {name: row[0] for name, row in good.items()}


@pytest.mark.objective("SO-27")
def test_a_release_that_carries_the_signature_of_another_key_is_signed_again(
    built: ImageFixture, cosmos: Cosmos
) -> None:
    signed = ("--key", built.secret_key)
    build(built, cosmos, *signed).ok()
    release, envelope = built.out / "RELEASE.json", built.out / "RELEASE.json.dsse"
    good = envelope.read_bytes()
    thief = SecretKey.generate(KeyName("thief"), "release").sign(IN_TOTO_TYPE, release.read_bytes())
    reseal(built, envelope, lambda _data: thief)
    assert NOTHING not in build(built, cosmos, *signed).ok().err
    assert envelope.read_bytes() == good


def digits_changed(data: bytes) -> bytes:
    """Return a RELEASE.json with another digest of its last file."""
    before, name, after = data.rpartition(b'"sha256": "')
    return before + name + (b"1" if after[:1] == b"0" else b"0") + after[1:]


def forgery(built: ImageFixture, file: Path, change: Callable[[bytes], bytes]) -> tuple[SealedStore, bytes, bytes]:
    """Change a file; return the home's store, the record of the last build, and one that says that it was so."""
    sealed = SealedStore(StoreFolder(built.home / "store"), Seal(store_key(built.home)))
    data = sealed.get_result(kept_key(built.folder, built.out))
    assert data is not None
    was = sha256(file.read_bytes()).hexdigest().encode()
    in_place(file, change)
    forged = data.replace(was, sha256(file.read_bytes()).hexdigest().encode())
    assert forged != data
    return sealed, data, forged


def reseal(built: ImageFixture, file: Path, change: Callable[[bytes], bytes] = flipped) -> None:
    """Change a file, and have the record of the last build say that it was so: with the home's own key."""
    sealed, _, forged = forgery(built, file, change)
    sealed.put_result(kept_key(built.folder, built.out), forged)


@pytest.mark.objective("SO-27")
def test_a_signed_release_is_never_judged_by_stat(built: ImageFixture, cosmos: Cosmos) -> None:
    for words in (("--key", built.secret_key), ("--unsigned-release",)):
        (built.home / "config.toml").write_text("[store]\nsigned-from-memory = true\n")
        refused = build(built, cosmos, "--trust-stat", *words).fails(2)
        assert "--trust-stat is not for a release that is to be signed" in refused.err


@pytest.mark.usefixtures("later")
def test_with_trust_stat_a_file_with_the_same_stat_is_not_read(built: ImageFixture, cosmos: Cosmos) -> None:
    first = build(built, cosmos, "--trust-stat", "--json").json()["looked-at"]
    again = build(built, cosmos, "--trust-stat", "--json").json()["looked-at"]
    assert first["hashed"] == first["files"]
    assert again == {"files": first["files"], "hashed": 0}
    os.utime(built.folder / "image.toml", ns=(0, 0))
    for hashed in (1, 0):
        assert build(built, cosmos, "--trust-stat", "--json").json()["looked-at"]["hashed"] == hashed


def test_a_file_that_is_not_there_is_not_said_to_be_hashed(built: ImageFixture, cosmos: Cosmos) -> None:
    looked = build(built, cosmos, "--json").json()["looked-at"]
    files = [path for path in built.folder.parent.rglob("*") if path.is_file() and "store" not in path.parts]
    others = {"lock", "store.key", "given-trust.toml", "release.key", "release.pub"}
    wanted = [path for path in files if path.name not in others and path.parent.name != "snapshots"]
    assert looked == {"files": len(wanted), "hashed": len(wanted)}


@pytest.mark.parametrize("path", ["galaxy/packages/base-1.2.0.tar.zst", "image/out/manifest.txt", "image/image.toml"])
@pytest.mark.usefixtures("later")
def test_with_trust_stat_a_change_that_keeps_size_and_times_is_noticed_by_the_ctime(
    built: ImageFixture, cosmos: Cosmos, path: str
) -> None:
    build(built, cosmos).ok()
    in_place(built.folder.parent / path, flipped)
    assert NOTHING not in build(built, cosmos, "--trust-stat").err


def test_the_stat_of_a_file_that_has_just_changed_is_not_kept(built: ImageFixture, cosmos: Cosmos) -> None:
    """A second change within the tick of the clock would have the same stat."""
    build(built, cosmos).ok()
    file = built.folder / "image.toml"
    file.write_bytes(file.read_bytes())
    build(built, cosmos).ok()
    sealed = SealedStore(StoreFolder(built.home / "store"), Seal(store_key(built.home)))
    data = sealed.get_result(kept_key(built.folder, built.out))
    assert data is not None
    assert b'["image","image.toml","' in data
    row = data.partition(b'["image","image.toml","')[2].partition(b"]")[0]
    assert row.endswith(b'",""')


def edit(image: ImageFixture) -> None:
    (image.folder / "template" / "root" / "etc" / "hostname.j2").write_text("edited\n")


def archives_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every archive that is read from a local galaxy."""
    from cosmos.transport.local import LocalCarrier

    seen: list[str] = []
    read = LocalCarrier.read_exactly

    def noting(self: LocalCarrier, path: str, **how: object) -> object:
        seen.append(path)
        return read(self, path, **how)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(LocalCarrier, "read_exactly", noting)
    return seen


@pytest.mark.usefixtures("later")
def test_with_trust_stat_a_build_of_something_else_reads_no_archive(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(built, cosmos).ok()  # hashes everything, and notes the stats
    edit(built)
    seen = archives_read(monkeypatch)
    build(built, cosmos, "--trust-stat").ok()
    assert seen == []
    first = files(built.out)
    shutil.rmtree(built.out)
    build(built, cosmos).ok()
    assert len(seen) == 3
    assert {name: row[0] for name, row in files(built.out).items()} == {name: row[0] for name, row in first.items()}


@pytest.mark.objective("SO-27")
@pytest.mark.usefixtures("later")
def test_with_trust_stat_an_archive_whose_ctime_differs_is_read_again(built: ImageFixture, cosmos: Cosmos) -> None:
    build(built, cosmos).ok()
    edit(built)
    in_place(built.galaxy.archive(BASE.id), flipped)
    assert "the lock names sha256:" in build(built, cosmos, "--trust-stat").fails(4).err


@pytest.mark.usefixtures("later")
def test_with_trust_stat_an_archive_that_must_be_unpacked_is_hashed_in_the_store(
    built: ImageFixture, cosmos: Cosmos
) -> None:
    """The stat speaks for the galaxy's file. What a layer is made of is what the store has, and is hashed."""
    build(built, cosmos).ok()
    good = (built.out / "small-1.0.0-x86_64.tar.zst").read_bytes()
    shutil.rmtree(built.home / "store" / "batches")  # all layers are made again
    shutil.rmtree(built.home / "store" / "results")
    archive = built.galaxy.archive(BASE.id).read_bytes()
    from cosmos.digest import Digest

    (blob,) = (built.home / "store" / "blobs").rglob(Digest.of(archive).hex)
    in_place(blob, flipped)
    build(built, cosmos, "--trust-stat").ok()
    assert (built.out / "small-1.0.0-x86_64.tar.zst").read_bytes() == good
