"""`cosmos rebuild`: a release is built again from itself; what differs gets its culprit."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.canon import readable_json
from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.keyring.store_key import store_key
from cosmos.store.blobs import StoreFolder
from cosmos.store.sealed import Seal, SealedStore
from cosmos.trust.roles import IN_TOTO_TYPE
from fakes.images import ImageFixture
from fakes.programs import Cosmos

OUTPUTS = '[[output]]\nformat = "tar.zst"\n[[output]]\nformat = "cpio.zst"\n'


@pytest.fixture
def built(tmp_path: Path, built_image: Callable[..., ImageFixture]) -> ImageFixture:
    return built_image(tmp_path, tables=OUTPUTS)


def rebuild(cosmos: Cosmos, image: ImageFixture, *words: object):
    return cosmos("rebuild", image.out, "--home", image.home, "--key", image.public_key, *words)


def test_a_release_is_built_again_from_itself_alone(built: ImageFixture, cosmos: Cosmos) -> None:
    (built.folder / "image.toml").unlink()
    (built.folder / "universe.lock.toml").unlink()
    shutil.rmtree(built.folder / "template")
    row = rebuild(cosmos, built, "--json").json()
    assert (row["same"], row["same-contents"], row["culprits"]) == (True, True, [])
    assert [(one["name"], one["files"], one["content-root"]) for one in row["rebuilds"]] == [
        ("the same machine", [], row["content-root"])
    ]


def test_it_is_built_from_the_store_alone_if_the_galaxy_is_away(built: ImageFixture, cosmos: Cosmos) -> None:
    shutil.rmtree(built.folder.parent / "galaxy")
    assert rebuild(cosmos, built, "--offline", "--json").json()["same"] is True


def layer_keys(image: ImageFixture) -> list[Digest]:
    """The keys of all layers in the store of the image's home, from the records of their shapes."""
    store, keys = StoreFolder(image.home / "store"), []
    batches = (image.home / "store" / "batches").glob("0*")
    names = {
        name for file in batches for name in re.findall(rb"^([0-9a-f]{64}) \d{15} \d{15}$", file.read_bytes(), re.M)
    }
    for name in sorted(names):
        record = store.get_result(Digest.from_hex(name.decode()))
        shape = json.loads(record.partition(b"\n")[2]) if record and b'{"layers"' in record else {}
        keys += [Digest.parse(key) for key in shape.get("layers", [])]
    return keys


def test_nothing_that_was_made_before_is_used(built: ImageFixture, cosmos: Cosmos) -> None:
    """A layer of the builder's own store would be compared with itself: one that somebody changed goes unnoticed."""
    store, poisoned = StoreFolder(built.home / "store"), 0
    seal = Seal(store_key(built.home))
    for key in layer_keys(built):
        sealed = SealedStore(store, seal)
        data = sealed.get_result(key)
        if data is not None and b"etc/has-tool" in data:
            sealed.put_result(key, data.replace(b"etc/has-tool", b"etc/has-fool"))
            poisoned += 1
    assert poisoned > 0
    cosmos("build", built.folder, "--home", built.home, "--out", built.folder / "other").ok()
    assert "etc/has-fool" in (built.folder / "other" / "manifest.txt").read_text()  # a build believes its own seal
    assert rebuild(cosmos, built, "--json").json()["same"] is True


def test_a_definition_that_is_not_the_one_that_the_release_names_is_refused(
    built: ImageFixture, cosmos: Cosmos
) -> None:
    """Its maker signed a release that says of another image.toml that it was built from it."""
    file = built.out / "RELEASE.json"
    release = json.loads(file.read_bytes())
    release["predicate"]["buildDefinition"]["externalParameters"]["definition"] = str(Digest.of(b"another"))
    sign_again(built, release)
    assert "but RELEASE.json names" in rebuild(cosmos, built).fails(4).err


def test_a_fault_in_the_lock_or_the_definition_is_named_in_the_release(built: ImageFixture, cosmos: Cosmos) -> None:
    """Somebody signed a release whose own files cannot be read."""
    lock = built.out / "universe.lock.toml"
    good = lock.read_bytes()
    put_signed(built, lock.name, good.replace(b"lock-version", b"lock-vorsion"))
    said = rebuild(cosmos, built).fails(2).err
    assert f"error: {lock}: lock-version: missing, but there is lock-vorsion" in said
    assert tempfile.gettempdir() + "/cosmos-" not in said
    put_signed(built, lock.name, good)
    packed = built.out / "definition.tar"
    with tarfile.open(packed) as tar:
        (name,) = [name for name in tar.getnames() if name.endswith("/image.toml")]
    data = packed.read_bytes().replace(b"source-date-epoch", b"source-date-epuch")
    put_signed(built, packed.name, data)
    release = json.loads((built.out / "RELEASE.json").read_bytes())
    with tarfile.open(packed) as tar:
        member = tar.extractfile(name)
        assert member is not None
        release["predicate"]["buildDefinition"]["externalParameters"]["definition"] = str(Digest.of(member.read()))
    sign_again(built, release)
    said = rebuild(cosmos, built).fails(2).err
    assert f"error: {packed}: {name}: source-date-epoch: missing, but there is source-date-epuch" in said
    assert tempfile.gettempdir() + "/cosmos-" not in said


def put_signed(built: ImageFixture, name: str, data: bytes) -> None:
    """Exchange a file of the release, and sign a RELEASE.json that names it."""
    (built.out / name).write_bytes(data)
    release = json.loads((built.out / "RELEASE.json").read_bytes())
    row = next(one for one in release["subject"] if one["name"] == name)
    row["digest"]["sha256"], row["annotations"]["sizeBytes"] = Digest.of(data).hex, len(data)
    sign_again(built, release)


def test_a_release_of_another_builder_is_judged_by_what_was_built(built: ImageFixture, cosmos: Cosmos) -> None:
    """RELEASE.json names the program, its Python and its libraries: two builders differ there and nowhere else."""
    file = built.out / "RELEASE.json"
    release = json.loads(file.read_bytes())
    builder = release["predicate"]["runDetails"]["builder"]
    builder["version"]["python"] = "3.99.0"
    builder["builderDependencies"][0]["digest"] = {"dirHash": "ab" * 32}
    sign_again(built, release)
    row = rebuild(cosmos, built, "--packed", "--json").json()
    assert (row["same"], row["same-builder"]) == (True, False)
    assert "built by      cosmos" in (said := rebuild(cosmos, built).ok().out)
    assert "python 3.99.0" in said and "dirHash abababab" in said and "here by" in said
    release["predicate"]["buildDefinition"]["internalParameters"]["sandbox"] = {}
    sign_again(built, release)
    assert rebuild(cosmos, built, "--json").json()["rebuilds"][0]["files"] == ["RELEASE.json"]


def sign_again(image: ImageFixture, release: object) -> None:
    data = readable_json(release)
    (image.out / "RELEASE.json").write_bytes(data)
    (image.out / "RELEASE.json.dsse").write_bytes(image.signers["release"].sign(IN_TOTO_TYPE, data))


def test_a_poisoned_store_is_noticed(built: ImageFixture, cosmos: Cosmos) -> None:
    archive = built.galaxy.archive("app-2.0.0").read_bytes()
    (kept,) = [
        file for file in (built.home / "store" / "blobs").rglob("*") if file.is_file() and file.read_bytes() == archive
    ]
    kept.chmod(0o644)
    kept.write_bytes(archive[:-1] + bytes([archive[-1] ^ 1]))
    shutil.rmtree(built.folder.parent / "galaxy")
    said = rebuild(cosmos, built, "--offline").fails(4)
    assert "the store's copy is damaged" in said.err


def test_a_release_that_somebody_changed_is_not_called_irreproducible(built: ImageFixture, cosmos: Cosmos) -> None:
    packed = next(built.out.glob("*.cpio.zst"))
    packed.write_bytes(packed.read_bytes()[:-1] + b"!")
    said = rebuild(cosmos, built).fails(4)
    assert "was changed after it was built" in said.err
    assert "reproducible" not in said.out + said.err


def test_a_release_with_a_bad_signature_is_refused(built: ImageFixture, cosmos: Cosmos) -> None:
    release = built.out / "RELEASE.json"
    release.write_text(release.read_text().replace('"1.0.0"', '"1.0.1"'))
    rebuild(cosmos, built).fails(4)


def test_a_signed_release_without_a_known_key_is_refused(built: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    said = cosmos("rebuild", built.out, "--home", tmp_path / "nobody").fails(4)
    assert "no key is pinned" in said.err and "--key" in said.err


def test_another_level_gives_the_same_contents(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cosmos.image.rebuild import original

    monkeypatch.setattr(original.Original, "level", property(lambda self: 1))
    said = rebuild(cosmos, built).ok()
    assert said.out.splitlines()[-1].startswith("the same contents, packed differently")
    assert "the same contents, but other bytes" in rebuild(cosmos, built, "--packed").fails(7).err


def test_a_definition_that_differs_is_traced_to_its_path(built: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    """What a build reads besides its inputs, here a planted hostname, is named with its file and line."""
    kept = tmp_path / "kept"
    with pytest.MonkeyPatch.context() as patch:
        plant(patch, "planted\n")
        said = rebuild(cosmos, built, "--keep", kept).fails(7)
    lines = said.out.splitlines()
    assert any(line.startswith("  content  /etc/hostname") for line in lines)
    assert "    made by the image's own files, template/root/etc/hostname.j2:1" in lines
    assert "    line 1: +planted" in lines
    assert f"diffoscope {built.out} {kept / 'the-same-machine'}" in said.err
    assert (kept / "the-same-machine" / "RELEASE.json").is_file()
    row = json.loads(rebuild(cosmos, built, "--json").out)
    assert row["same"] is True


@pytest.fixture
def attester(cosmos: Cosmos, tmp_path: Path) -> Path:
    cosmos("key", "new", "my", "--role", "attester", "--out", tmp_path, "--no-passphrase").ok()
    return tmp_path / "my.key"


def claims(image: ImageFixture) -> list[dict[str, object]]:
    """Return what the badges beside the release say."""
    lines = image.out.with_name("out.intoto.jsonl").read_text().splitlines()
    return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines]


def test_an_attester_signs_what_came_out_the_same(built: ImageFixture, cosmos: Cosmos, attester: Path) -> None:
    said = rebuild(cosmos, built, "--attest", attester).ok()
    assert "attested      PASSED, by my" in said.out
    (claim,) = claims(built)
    assert claim["predicateType"] == "urn:cosmos:badge:rebuild:v1"
    assert claim["predicate"]["result"] == "PASSED"


def test_the_same_contents_packed_differently_are_attested(
    built: ImageFixture, cosmos: Cosmos, attester: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A badge is about the content root. Before, nothing was signed, and nothing said so."""
    from cosmos.image.rebuild import original

    monkeypatch.setattr(original.Original, "level", property(lambda self: 1))
    assert "attested      PASSED" in rebuild(cosmos, built, "--attest", attester).ok().out


def plant(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let every rebuild find another template than the release has."""
    import cosmos.image.rebuild.rebuilding as rebuilding

    plain = rebuilding.lay_out

    def planted(original, folder):
        image = plain(original, folder)
        (image / "template" / "root" / "etc" / "hostname.j2").write_text(text)
        return image

    monkeypatch.setattr(rebuilding, "lay_out", planted)


def test_an_attester_signs_a_mismatch_with_what_was_found(
    built: ImageFixture, cosmos: Cosmos, attester: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, "planted\n")
    row = json.loads(rebuild(cosmos, built, "--attest", attester, "--json").fails(7).out)
    assert row["attested"] == "FAILED"
    (claim,) = claims(built)
    assert claim["predicateType"] == "urn:cosmos:badge:rebuild:v3"
    assert claim["subject"][0]["digest"]["sha256"] == row["content-root"].removeprefix("sha256:")
    assert claim["predicate"]["result"] == "FAILED"
    assert claim["predicate"]["found"] == row["rebuilds"][0]["content-root"] != row["content-root"]
    said = {name: claim["predicate"][name] for name in ("paths", "differing", "waived")}
    assert said == {"paths": ["/etc/hostname", "/var/lib/cosmos/universe.toml"], "differing": 2, "waived": 0}


def test_a_rebuild_that_could_not_be_made_is_attested_by_nobody(
    built: ImageFixture, cosmos: Cosmos, attester: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cosmos.image.rebuild.rebuilding as rebuilding

    def failed(*_words: object, **_options: object) -> bytes:
        raise WorldFailed("rebuild", "it failed")

    monkeypatch.setattr(rebuilding, "run_program", failed)
    said = rebuild(cosmos, built, "--attest", attester).fails(5)  # nothing was compared
    assert "attested      nothing: a rebuild could not be made" in said.out
    assert "although nothing is varied" in said.err
    assert not built.out.with_name("out.intoto.jsonl").exists()


def test_a_key_of_another_role_is_refused_before_anything_is_built(built: ImageFixture, cosmos: Cosmos) -> None:
    said = rebuild(cosmos, built, "--attest", built.secret_key).fails(4)
    assert "only an attester's badge counts" in said.err
    assert "rebuild:" not in said.err


def test_what_is_kept_is_not_mixed_with_what_was_there(built: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    rebuild(cosmos, built, "--keep", kept).ok()
    assert (kept / "the-same-machine" / "RELEASE.json").is_file()
    assert "is not empty" in rebuild(cosmos, built, "--keep", kept).fails(2).err


def test_an_interrupted_rebuild_leaves_nothing_behind(
    built: ImageFixture, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not in the shared memory: libfaketime forgets its files when a shell becomes another program."""
    import cosmos.image.rebuild.rebuilding as rebuilding

    temporary, memory = tmp_path / "temporary", tmp_path / "memory"
    temporary.mkdir()
    memory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(rebuilding, "SHARED_MEMORY", memory)

    def interrupted(argv: tuple[str, ...], *, env: dict[str, str], cwd: Path, **_: object) -> bytes:
        shell = [*argv[:5], "sh", "-c", "touch $1/faketime_shm_$$ $1/sem.faketime_sem_$$", "sh", str(memory)]
        subprocess.run(shell, env=env, cwd=cwd, check=True)
        assert len(list(memory.iterdir())) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(rebuilding, "run_program", interrupted)
    rebuild(cosmos, built).fails(130)
    assert [*temporary.iterdir(), *memory.iterdir()] == []


@pytest.mark.slow
def test_an_adversarial_rebuild_is_the_same_in_every_variation(built: ImageFixture, cosmos: Cosmos) -> None:
    row = rebuild(cosmos, built, "--adversarial", "--json").json()
    names = {one["name"] for one in row["rebuilds"]}
    assert {
        "folder",
        "umask",
        "time zone",
        "locale",
        "hash seed",
        "jobs",
        "folder order",
        "environment",
        "no tools",
        "tools",
    } <= names
    assert {one["name"]: one["files"] for one in row["rebuilds"] if one["files"] or one["problem"]} == {}
    assert row["same"] is True
    assert {one["name"]: one["started"] for one in row["rebuilds"] if one["started"]} == {}
    assert "seccomp" in row["not-tried"]["architecture"]
    assert "user" in names or "user namespaces" in row["not-tried"]["user"]
    if os.geteuid() == 0:
        assert {"host name", "clock since start"} <= names


def test_a_folder_that_is_no_release_is_named_with_the_way_out(
    built: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    said = cosmos("rebuild", tmp_path / "empty", "--home", built.home).fails(2).err
    assert f"{tmp_path / 'empty/out/RELEASE.json'}: is not there" in said
    assert "images/NAME/out" in said


def test_a_release_of_before_there_was_a_definition_in_it_is_named_with_the_way_out(
    built: ImageFixture, cosmos: Cosmos
) -> None:
    (built.out / "definition.tar").unlink()
    release = json.loads((built.out / "RELEASE.json").read_bytes())
    release["subject"] = [one for one in release["subject"] if one["name"] != "definition.tar"]
    sign_again(built, release)
    said = rebuild(cosmos, built).fails(2).err
    assert f"{built.out / 'definition.tar'}: is not there: an older cosmos built this release" in said
    assert "from the same lock" in said
