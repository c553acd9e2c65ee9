"""A thief who can write into the store, and not into the home, cannot choose what a build believes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.keyring.store_key import STORE_KEY_FILE, store_key
from cosmos.store.blobs import StoreFolder
from cosmos.store.sealed import Seal, SealedStore
from fakes.images import ImageFixture
from fakes.programs import Cosmos, Outcome

pytestmark = pytest.mark.objective("SO-27")
OUTPUTS = '[[output]]\nformat = "tar.zst"\n[[output]]\nformat = "cpio.zst"\n'
Results = dict[Digest, bytes]


@pytest.fixture
def built(tmp_path: Path, built_image: Callable[..., ImageFixture]) -> ImageFixture:
    return built_image(tmp_path, tables=OUTPUTS)


def results(image: ImageFixture) -> Results:
    """Every sealed result, as the store keeps it: those with a file of their own, and those in batches."""
    store, keys = StoreFolder(image.home / "store"), list[Digest]()
    for file in sorted((image.home / "store" / "results").rglob("*")):
        if file.is_file():
            keys.append(Digest.from_hex(file.name))
    for file in sorted((image.home / "store" / "batches").glob("0*")):
        named = re.findall(rb"cosmos-result 1 (sha256:[0-9a-f]{64}) ", file.read_bytes())
        keys += [Digest.parse(key.decode()) for key in named]
    found = {key: store.get_result(key) or b"" for key in keys}
    return {key: data for key, data in found.items() if data.startswith(b"cosmos-seal 1 ")}


def body(record: bytes) -> bytes:
    return record[record.index(b"\n") + 1 :]


def planted(record: bytes) -> bytes:
    """A layer's record with another path in it; another record with another digest, or with a blank in its JSON."""
    changed = record.replace(b"etc/has-tool", b"etc/has-fool")
    digest = Digest.of(b"another blob").hex.encode()
    at = record.find(b"sha256:", record.index(b"\n"))
    if changed != record:
        return changed
    return record[:-1] + b" }" if at < 0 else record[: at + 7] + digest + record[at + 71 :]


def altered(found: Results) -> Results:
    return {key: planted(record) for key, record in found.items()}


def altered_and_sealed_by_the_thief(found: Results) -> Results:
    thief = Seal(b"a key of the thief")
    return {key: thief.code(key, body(planted(record))) + body(planted(record)) for key, record in found.items()}


def unsealed(found: Results) -> Results:
    return {key: body(planted(record)) for key, record in found.items()}


def exchanged(found: Results) -> Results:
    keys = list(found)
    return {key: found[keys[(place + 1) % len(keys)]] for place, key in enumerate(keys)}


def cut_short(found: Results) -> Results:
    return {key: record[:40] for key, record in found.items()}


def without_bytes(found: Results) -> Results:
    return dict.fromkeys(found, b"")


def build(image: ImageFixture, cosmos: Cosmos, out: str = "other") -> Outcome:
    return cosmos("build", image.folder, "--home", image.home, "--out", image.folder / out)


def files(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".dsse"}


@pytest.mark.parametrize(
    "attack", [altered, altered_and_sealed_by_the_thief, unsealed, exchanged, cut_short, without_bytes]
)
def test_a_record_that_this_home_did_not_write_is_named_and_made_again(
    built: ImageFixture, cosmos: Cosmos, attack: Callable[[Results], Results]
) -> None:
    store, found = StoreFolder(built.home / "store"), results(built)
    assert len(found) >= 7  # of three stars: layers, frames, and two shapes at least; one file of the release
    for key, record in attack(found).items():
        store.put_result(key, record)
    said = build(built, cosmos).ok()
    assert files(built.folder / "other") == files(built.out)
    assert "was not written by this home: somebody changed the store; it is not believed" in said.err
    assert "app: the store's record of " in said.err
    again = build(built, cosmos, "again").ok()
    assert "was not written by this home" not in again.err
    assert files(built.folder / "again") == files(built.out)


def test_each_record_alone_is_noticed(built: ImageFixture, cosmos: Cosmos) -> None:
    """One false record among good ones changes nothing in the image. What the build looks at is named."""
    store, passed = StoreFolder(built.home / "store"), list[bytes]()
    for key, record in results(built).items():
        store.put_result(key, planted(record))
        shutil.rmtree(built.folder / "other", ignore_errors=True)  # or nothing would have changed
        said = build(built, cosmos).ok()
        passed += [] if "was not written by this home" in said.err else [body(record)]
        assert files(built.folder / "other") == files(built.out)
        store.put_result(key, record)
    of_its_folder = (b'"content-root"', b'"elves"')  # the release and its lint: of the place where it was built first
    assert [one for one in passed if not any(mark in one for mark in of_its_folder)] == []


def test_a_record_of_another_home_is_not_found_in_a_store_that_both_share(
    built: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    other = tmp_path / "other-home"
    shutil.copytree(built.home, other)
    (other / STORE_KEY_FILE).unlink()
    said = cosmos("build", built.folder, "--home", other, "--out", built.folder / "other", "--json").json()
    assert set(said["made"]) == {"base", "app", "everything"}
    assert files(built.folder / "other") == files(built.out)


def test_a_blob_that_was_exchanged_is_not_used(built: ImageFixture, cosmos: Cosmos) -> None:
    """The record of a frame is good, and its blob is another one."""
    sealed = SealedStore(StoreFolder(built.home / "store"), Seal(store_key(built.home)))
    frames = [json.loads(body(record)) for record in results(built).values() if b'"packed-bytes"' in record]
    assert len(frames) >= 3
    for frame in frames:
        digest = Digest.parse(frame["digest"])
        (file,) = (built.home / "store" / "blobs").rglob(digest.hex)
        data = file.read_bytes()
        file.chmod(0o644)
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert sealed.has(digest, len(data))
    said = build(built, cosmos).ok()
    assert "the store's copy is damaged" in said.err
    assert "it is not believed, and the layer is made again" in said.err
    assert files(built.folder / "other") == files(built.out)


def test_a_rebuild_names_the_records_that_were_changed(built: ImageFixture, cosmos: Cosmos) -> None:
    store = StoreFolder(built.home / "store")
    for key, record in results(built).items():
        if b"etc/has-tool" in record:
            store.put_result(key, planted(record))
    words = ("rebuild", built.out, "--home", built.home, "--key", built.public_key)
    said = cosmos(*words).ok()
    assert "the store is poisoned: app: the store's record of " in said.out
    assert "was not written by this home" in said.err
    row = cosmos(*words, "--json").json()
    assert row["same"] is True
    assert [sentence.partition(":")[0] for sentence in row["poisoned"]] == ["app"]


def test_a_thief_who_has_the_key_is_found_by_a_rebuild(built: ImageFixture, cosmos: Cosmos) -> None:
    """A key that was copied seals whatever the thief wants. The rebuild makes the layer itself, and compares."""
    seal = Seal(store_key(built.home))
    inner = StoreFolder(built.home / "store")
    sealed = SealedStore(inner, seal)
    changed = 0
    for place, record in results(built).items():
        for key in layer_keys(built):
            if sealed._place(key) == place:
                sealed.put_result(key, body(record).replace(b"etc/has-tool", b"etc/has-fool"))
                changed += b"etc/has-tool" in record
    assert changed == 1
    build(built, cosmos, "out").ok()
    assert "etc/has-fool" in (built.out / "manifest.txt").read_text()
    said = cosmos("rebuild", built.out, "--home", built.home, "--key", built.public_key).fails(7)
    assert "is another layer than its script makes now" in said.out
    assert "the store is poisoned: app: " in said.out


def layer_keys(image: ImageFixture) -> list[Digest]:
    """The keys of the layers that the records of shapes name, and that the thief has so as well."""
    shapes = [json.loads(body(record)) for record in results(image).values() if b'"layers"' in record]
    return [Digest.parse(key) for shape in shapes for key in shape.get("layers", [])]
