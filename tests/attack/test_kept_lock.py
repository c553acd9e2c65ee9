"""A freeze says that nothing changed only if nothing did: whatever changes in a file that it reads is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.cli.cosmos import kept_build
from cosmos.image.kept_release import frozen_key
from cosmos.keyring.store_key import store_key
from cosmos.store.blobs import StoreFolder
from cosmos.store.sealed import Seal, SealedStore
from fakes.galaxies import StarSpec, index_by_stellar, write_index, write_spec
from fakes.http_servers import serving
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.kept_files import flipped, in_place
from fakes.programs import Cosmos, Outcome

NOTHING = "nothing changed: "
NOT_BELIEVED = "was not written by this home: somebody changed the store; it is not believed, and every star is"


@pytest.fixture
def frozen(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    """An image that was frozen twice: the first freeze changes its lock, the second one is remembered."""
    image = make_image(tmp_path)
    for _ in range(2):
        assert NOTHING not in freeze(image, cosmos).ok().err
    return image


def freeze(image: ImageFixture, cosmos: Cosmos, *words: object) -> Outcome:
    return cosmos("freeze", image.folder, "--home", image.home, *words)


def test_a_freeze_of_which_nothing_changed_writes_no_file_and_says_so(frozen: ImageFixture, cosmos: Cosmos) -> None:
    lock = frozen.folder / "universe.lock.toml"
    before = (lock.read_bytes(), lock.stat().st_mtime_ns, lock.stat().st_ino)
    said = freeze(frozen, cosmos).ok()
    assert NOTHING in said.err
    whole = freeze(frozen, cosmos, "--offline").ok()
    assert NOTHING not in whole.err
    assert said.out == whole.out == f"{lock}: unchanged, 3 stars\nnext: cosmos build {frozen.folder}\n"
    assert (lock.read_bytes(), lock.stat().st_mtime_ns, lock.stat().st_ino) == before
    row = freeze(frozen, cosmos, "--json").json()
    looked = row.pop("looked-at")
    assert row == freeze(frozen, cosmos, "--offline", "--json").json()
    assert looked["hashed"] == looked["files"] >= 15


INPUTS = [
    "image/image.toml",
    "image/template/template.toml",
    "image/template/root/etc/hostname.j2",
    "image/universe.lock.toml",
    "galaxy/meta.toml",
    "galaxy/meta.toml.dsse",
    "galaxy/stars/base-1.2.0.toml",
    "galaxy/stars/base-1.2.0.toml.dsse",
    "home/trust/trust.toml",
    "home/trust/state.toml",
]


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("path", INPUTS)
def test_a_flipped_byte_in_a_file_that_a_freeze_reads_is_noticed(
    frozen: ImageFixture, cosmos: Cosmos, path: str
) -> None:
    in_place(frozen.folder.parent / path, flipped)
    assert NOTHING not in freeze(frozen, cosmos).err


@pytest.mark.parametrize("path", INPUTS)
def test_a_missing_file_is_noticed(frozen: ImageFixture, cosmos: Cosmos, path: str) -> None:
    (frozen.folder.parent / path).unlink()
    assert NOTHING not in freeze(frozen, cosmos).err


@pytest.mark.parametrize(
    "path", ["image/template/root/etc/new", "image/universe.lock.toml.dsse", "home/trust/chain/9.toml"]
)
def test_a_file_more_is_noticed(frozen: ImageFixture, cosmos: Cosmos, path: str) -> None:
    (frozen.folder.parent / path).write_text("new")
    assert NOTHING not in freeze(frozen, cosmos).err


def test_a_newer_trust_toml_that_the_galaxy_carries_is_noticed(frozen: ImageFixture, cosmos: Cosmos) -> None:
    (frozen.galaxy.path / "trust").mkdir()
    (frozen.galaxy.path / "trust" / "2.toml").write_text("who knows")
    said = freeze(frozen, cosmos).ok().err
    assert NOTHING not in said
    assert "carries a trust.toml that your keys do not accept" in said


def test_a_new_version_in_the_galaxy_is_noticed(frozen: ImageFixture, cosmos: Cosmos) -> None:
    specs = (BASE, APP, META, StarSpec("base", "1.3.0", {"bin/tool": b"new"}))
    rows = [write_spec(frozen.galaxy, spec, seq=2) for spec in specs]
    for star in (BASE, APP, META):  # their published statements
        assert frozen.galaxy.statement(star.id).exists()
    write_index(frozen.galaxy, rows, seq=2)
    assert NOTHING not in freeze(frozen, cosmos, "--upgrade").ok().err
    assert 'version = "1.3.0"' in (frozen.folder / "universe.lock.toml").read_text()


def test_a_freeze_that_wrote_its_lock_is_not_remembered(frozen: ImageFixture, cosmos: Cosmos) -> None:
    """The old lock was one of its inputs."""
    (frozen.folder / "universe.lock.toml").unlink()
    assert NOTHING not in freeze(frozen, cosmos).ok().err
    assert NOTHING in freeze(frozen, cosmos).ok().err, "the lock is again what it was, and so is all else"


def test_another_option_is_another_freeze(frozen: ImageFixture, cosmos: Cosmos) -> None:
    for words in (("--upgrade",), ("--upgrade", "base"), ("--allow-downgrade", "base")):
        assert NOTHING not in freeze(frozen, cosmos, *words).ok().err
        assert NOTHING in freeze(frozen, cosmos, *words).ok().err
    assert NOTHING not in freeze(frozen, cosmos).ok().err


@pytest.mark.objective("SO-27")
def test_a_lock_that_is_to_be_signed_is_never_judged_by_memory_or_stat(frozen: ImageFixture, cosmos: Cosmos) -> None:
    signing = ("--sign", frozen.secret_key)
    assert "--trust-stat is not for a lock that is to be signed" in freeze(frozen, cosmos, "--trust-stat", *signing).err
    assert freeze(frozen, cosmos, "--trust-stat", *signing).code == 2
    assert NOTHING not in freeze(frozen, cosmos, *signing).ok().err
    assert NOTHING not in freeze(frozen, cosmos, *signing).ok().err


@pytest.mark.parametrize("words", [("--offline",), ("--as-of", "2999-01-01")])
def test_a_freeze_that_reads_something_else_is_made(
    frozen: ImageFixture, cosmos: Cosmos, words: tuple[str, ...]
) -> None:
    for _ in range(2):
        assert NOTHING not in freeze(frozen, cosmos, *words).err


def test_of_a_galaxy_over_http_the_newest_index_is_asked_for_each_time(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    with serving(image.galaxy.path) as address:
        definition = image.folder / "image.toml"
        definition.write_text(definition.read_text().replace('"../galaxy"', f'"{address}"'))
        for _ in range(3):
            assert NOTHING not in freeze(image, cosmos).ok().err


def test_a_freeze_that_warned_is_made_again_and_warns_again(frozen: ImageFixture, cosmos: Cosmos) -> None:
    definition = frozen.folder / "image.toml"
    definition.write_text(definition.read_text().replace('"../galaxy"', '{ url = "../galaxy", allow-unsigned = true }'))
    for _ in range(3):
        said = freeze(frozen, cosmos).ok().err
        assert NOTHING not in said
        assert "image.toml lets its stars be unsigned" in said


def test_with_trust_stat_a_file_with_the_same_stat_is_not_read(
    frozen: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_build, "SETTLED_NANOSECONDS", -(10**12))  # every file is old enough
    freeze(frozen, cosmos).ok()  # hashes everything, and notes the stats
    looked = freeze(frozen, cosmos, "--trust-stat", "--json").json()["looked-at"]
    assert looked["hashed"] == 0
    assert looked["files"] >= 15


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("path", ["galaxy/stars/base-1.2.0.toml", "galaxy/meta.toml", "image/image.toml"])
def test_with_trust_stat_a_change_that_keeps_size_and_mtime_is_noticed_by_the_ctime(
    frozen: ImageFixture, cosmos: Cosmos, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_build, "SETTLED_NANOSECONDS", -(10**12))
    freeze(frozen, cosmos).ok()
    in_place(frozen.folder.parent / path, flipped)
    assert NOTHING not in freeze(frozen, cosmos, "--trust-stat").err


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("attack", ["changed", "sealed by the thief", "without a seal"])
def test_a_forged_record_is_named_and_every_star_is_resolved_again(
    frozen: ImageFixture, cosmos: Cosmos, attack: str
) -> None:
    """The thief wants a freeze to leave a lock that was exchanged."""
    good = (frozen.folder / "universe.lock.toml").read_bytes()
    sealed = SealedStore(StoreFolder(frozen.home / "store"), Seal(store_key(frozen.home)))
    key = frozen_key(frozen.folder)
    data = sealed.get_result(key)
    assert data is not None
    from hashlib import sha256

    lock = frozen.folder / "universe.lock.toml"
    lock.write_bytes(good + b"# of the thief\n")
    forged = data.replace(sha256(good).hexdigest().encode(), sha256(lock.read_bytes()).hexdigest().encode())
    assert forged != data
    code = {
        "changed": sealed.seal.code(key, data),
        "sealed by the thief": Seal(b"a thief").code(key, forged),
        "without a seal": b"",
    }[attack]
    StoreFolder(frozen.home / "store").put_result(sealed._place(key), code + forged)
    assert NOT_BELIEVED in freeze(frozen, cosmos).ok().err
    assert lock.read_bytes() == good


@pytest.mark.parametrize("number", [1, 2])
def test_a_star_that_was_read_and_not_chosen_is_noticed(tmp_path: Path, cosmos: Cosmos, number: int) -> None:
    """The resolver looks at the newest base, which needs what nobody has."""
    image = make_image(tmp_path, (BASE, StarSpec("base", "1.3.0", {}, {"nobody": "*"}), APP, META))
    index_by_stellar(image.galaxy, number)
    for _ in range(2):
        freeze(image, cosmos, "--upgrade").ok()
    assert NOTHING in freeze(image, cosmos, "--upgrade").ok().err
    assert 'version = "1.3.0"' not in (image.folder / "universe.lock.toml").read_text()
    (statement,) = image.galaxy.path.glob("stars/base-1.3.0*.toml")
    in_place(statement, flipped)
    assert NOTHING not in freeze(image, cosmos, "--upgrade").err
