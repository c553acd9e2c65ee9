"""What Cosmos does not protect from, shown: docs/security/threat-model.md says why each is accepted.

If one of these tests fails, a risk has become smaller: change the map and the threat model, do not weaken the program.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import tomli_w
import zstandard

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.roles import TRUST_TYPE
from cosmos.trust.roots import AuthorKey, Revoked, RoleKeys
from fakes.galaxies import Signers, StarSpec, make_galaxy, make_signers
from fakes.http_servers import raw_server, said
from fakes.images import BASE, ImageFixture, make_image
from fakes.programs import Cosmos


def pin(image: ImageFixture, **changes: object) -> None:
    """Change what the operator trusts, and forget what was trusted before, as whoever writes to the home may."""
    (image.home / "trust" / "state.toml").unlink(missing_ok=True)
    roots = dataclasses.replace(image.signers.roots(), **changes)
    (image.home / "trust" / "trust.toml").write_text(tomli_w.dumps(roots.to_toml()))


def frozen_and_built(image: ImageFixture, cosmos: Cosmos) -> ImageFixture:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    return image


@pytest.mark.objective("RR-01")
def test_harm_that_a_pinned_author_signed_is_installed(tmp_path: Path, cosmos: Cosmos) -> None:
    harm = StarSpec("harmless", "1.0.0", {"etc/profile.d/harmless.sh": b"rm -rf /home\n"})
    image = frozen_and_built(make_image(tmp_path, (harm,)), cosmos)
    assert "rm -rf" in cosmos("cat", image.out, "etc/profile.d/harmless.sh").ok().out


@pytest.mark.objective("RR-02")
def test_a_stolen_author_key_signs_until_its_revocation_reaches_the_site(tmp_path: Path, cosmos: Cosmos) -> None:
    stolen = make_signers()["author"]
    image = make_image(tmp_path, (StarSpec("base", "6.6.6", {"bin/tool": b"by the thief"}, signer=stolen),))
    frozen_and_built(image, cosmos)
    pin(image, revoked=(Revoked(key=stolen.public.id, reason="stolen"),))
    cosmos("build", image.folder, "--home", image.home).fails(4)


@pytest.mark.objective("RR-03")
def test_with_no_memory_and_no_floor_an_old_snapshot_passes_for_the_newest(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, (BASE,))
    old = shutil.copytree(image.galaxy.path, tmp_path / "old")
    make_galaxy(
        image.galaxy.path, "core", (BASE, StarSpec("base", "1.9.0", {"bin/tool": b"mended"})), image.signers, seq=2
    )
    shutil.rmtree(image.galaxy.path)
    old.rename(image.galaxy.path)
    frozen_and_built(image, cosmos)
    assert 'version = "1.2.0"' in cosmos("cat", image.out, "var/lib/cosmos/universe.toml").ok().out


@pytest.mark.objective("RR-05")
def test_a_look_alike_by_another_pinned_author_is_that_author_s_to_sign(tmp_path: Path, cosmos: Cosmos) -> None:
    other = make_signers("other")["author"]
    image = make_image(tmp_path, (StarSpec("busyb0x", "1.0.0", {"bin/busybox": b"not busybox"}, signer=other),))
    honest = AuthorKey(key=image.signers["author"].public, galaxies=("*",), stars=("busybox",))
    pin(image, authors=(honest, AuthorKey(key=other.public, galaxies=("*",), stars=("*",))))
    frozen_and_built(image, cosmos)


@pytest.mark.objective("RR-06")
def test_an_update_that_a_mirror_withholds_is_not_missed(tmp_path: Path, cosmos: Cosmos) -> None:
    """The mirror still shows the newest snapshot that this builder has seen: nothing tells of a later one."""
    image = frozen_and_built(make_image(tmp_path, (BASE,)), cosmos)
    outcome = cosmos("freeze", image.folder, "--home", image.home, "--upgrade").ok()
    assert "withheld" not in outcome.err


@pytest.mark.objective("RR-07")
def test_whoever_can_write_to_the_builder_s_home_decides_what_it_trusts(tmp_path: Path, cosmos: Cosmos) -> None:
    stranger: Signers = make_signers("stranger")
    image = make_image(tmp_path, (BASE,))
    make_galaxy(image.galaxy.path, "core", (BASE,), stranger, seq=2)
    cosmos("freeze", image.folder, "--home", image.home).fails(4)
    (image.home / "trust" / "trust.toml").write_text(tomli_w.dumps(stranger.roots().to_toml()))
    (image.home / "trust" / "state.toml").unlink()
    frozen_and_built(image, cosmos)


@pytest.mark.objective("RR-08")
def test_a_mirror_learns_which_files_are_fetched_and_that_it_is_cosmos_and_nothing_else(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    """Every byte of every request: the path of a public file, the mirror's own address, and one constant word."""
    image = make_image(tmp_path, (BASE,))

    def answer(head: bytes) -> Iterable[bytes]:
        file = image.galaxy.path / head.split(b" ")[1].decode().removeprefix("/")
        if not file.is_file():
            yield said("404 Not Found", "Content-Length: 0")
            return
        body = file.read_bytes()
        yield said("200 OK", f"Content-Length: {len(body)}", body=body)

    with raw_server(answer) as mirror:
        definition = image.folder / "image.toml"
        definition.write_text(definition.read_text().replace("../galaxy", mirror.address))
        frozen_and_built(image, cosmos)
        asked = list(mirror.heads)
    host = mirror.address.removeprefix("http://")
    paths = [head.split(b" ")[1].decode() for head in asked]
    assert asked == [
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\nUser-Agent: cosmos\r\n\r\n".encode()
        for path in paths
    ]
    assert sorted(set(paths)) == [  # so the mirror learns which stars this builder takes
        *("/meta.toml", "/meta.toml.dsse", "/packages/base-1.2.0.tar.zst"),
        *("/stars/base-1.2.0.toml", "/stars/base-1.2.0.toml.dsse"),
        "/trust/2.toml",  # and which version of trust.toml it has accepted
    ]


@pytest.mark.objective("RR-09")
def test_what_was_installed_before_a_revocation_stays(tmp_path: Path, cosmos: Cosmos) -> None:
    """The system says so (`verify`, exit 4), and takes nothing more by that key. It removes nothing by itself."""
    signers = make_signers()
    galaxy = make_galaxy(
        tmp_path / "galaxy", "core", (BASE, StarSpec("late", "1.0.0", {"usr/bin/late": b"l"})), signers
    )
    root = tmp_path / "root"
    root.mkdir()

    def trusted(version: int, *revoked: Revoked) -> Path:
        file = tmp_path / f"{version}.toml"
        roots = dataclasses.replace(signers.roots(), version=version, revoked=revoked)
        file.write_text(tomli_w.dumps(roots.to_toml()))
        Path(f"{file}.dsse").write_bytes(signers["root"].sign(TRUST_TYPE, file.read_bytes()))
        return file

    first = trusted(1)
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    cosmos("trust", "init", first, "--sha256", Digest.of(first.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", galaxy.path, "--root", root).ok()
    cosmos("install", "base", "--root", root).ok()
    before = {path: path.read_bytes() for path in sorted((root / "usr").rglob("*")) if path.is_file()}
    assert before
    gone = Revoked(key=signers["author"].public.id, reason="stolen")
    cosmos("trust", "update", trusted(2, gone), "--root", root).ok()
    assert "whose key was revoked (stolen)" in cosmos("verify", "--root", root).fails(4).err
    assert {path: path.read_bytes() for path in before} == before
    cosmos("install", "late", "--root", root).fails(4)
    assert not (root / "usr/bin/late").exists()


@pytest.mark.objective("RR-10")
def test_with_a_root_threshold_lost_nothing_changes_any_more_not_even_a_revocation(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    """Two of two root keys are wanted, and one is lost. Old decisions stay good; no new one is ever taken."""
    lost = SecretKey.generate(KeyName("lost-root"), "root")
    image = make_image(tmp_path, (BASE,))
    left = image.signers["root"]
    roots = image.signers.roots()
    both = RoleKeys(threshold=2, keys=(left.public, lost.public))
    pin(image, roles={**roots.roles, "root": both})
    pinned = dataclasses.replace(roots, roles={**roots.roles, "root": both})
    alone = RoleKeys(threshold=1, keys=(left.public,))
    wishes = {
        "revoke": dataclasses.replace(
            pinned, version=2, revoked=(Revoked(key=image.signers["author"].public.id, reason="stolen"),)
        ),
        "lower the threshold": dataclasses.replace(pinned, version=2, roles={**roots.roles, "root": alone}),
    }
    for wish in wishes.values():
        file = tmp_path / "2.toml"
        file.write_text(tomli_w.dumps(wish.to_toml()))
        Path(f"{file}.dsse").write_bytes(left.sign(TRUST_TYPE, file.read_bytes()))
        refused = cosmos("trust", "update", file, "--home", image.home).fails(4).err
        assert "2 distinct" in refused, refused
    frozen_and_built(image, cosmos)


@pytest.mark.objective("RR-11")
def test_nothing_is_encrypted_in_a_galaxy_a_store_or_a_release(tmp_path: Path, cosmos: Cosmos) -> None:
    """Whoever has the bytes reads them without a key: a wireless password in a star is public."""
    word = b"psk=correct horse battery staple"
    image = make_image(tmp_path, (StarSpec("wireless", "1.0.0", {"etc/wireless.conf": word}),))
    frozen_and_built(image, cosmos)
    for place in (image.galaxy.path / "packages", image.home / "store", image.out):
        assert any(word in in_the_clear(file) for file in sorted(place.rglob("*")) if file.is_file()), place


@pytest.mark.objective("RR-13")
def test_a_short_secret_is_found_from_the_manifest_alone(tmp_path: Path, cosmos: Cosmos) -> None:
    """The manifest has the file's digest, and four digits are tried in no time. The build warns of it."""
    image = make_image(tmp_path / "site", (BASE,))
    template = image.folder / "template"
    (template / "template.toml").write_text(
        'merged-usr = true\n[variables.pin]\ntype = "secret"\nmeaning = "four digits"\n'
        '[paths]\n"etc/pin" = { mode = "0600" }\n'
    )
    (template / "root/etc/pin.j2").write_text("pin={{ pin }}\n")
    secret = tmp_path / "pin"
    secret.write_text("4711\n")
    secret.chmod(0o600)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    said = cosmos("build", image.folder, "--home", image.home, "--secret", f"pin={secret}").ok()
    assert "the secret pin has fewer than 16 bytes" in said.err
    (line,) = (line for line in (image.out / "manifest.txt").read_text().splitlines() if " etc/pin " in line)
    guessed = [f"{guess:04}" for guess in range(10_000) if Digest.of(f"pin={guess:04}\n".encode()).hex in line]
    assert guessed == ["4711"]


def in_the_clear(file: Path) -> bytes:
    """What anybody reads in a file: its bytes, unpacked if they are zstd."""
    data = file.read_bytes()
    if not data.startswith(zstandard.FRAME_HEADER):
        return data
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        return reader.read()


@pytest.mark.objective("RR-12")
def test_a_boot_loader_is_given_nothing_by_which_it_could_refuse_a_changed_system(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    """The kernel is the star's own bytes, and a changed archive unpacks. Only `cosmos verify` finds the change."""
    kernel = StarSpec("kernel", "1.0.0", {"usr/lib/kernel/vmlinuz-6": b"MZ kernel", "usr/bin/init": b"ours"})
    outputs = '[[output]]\nformat = "cpio.zst"\n[[output]]\nformat = "file"\npath = "usr/lib/kernel/vmlinuz-*"\n'
    image = make_image(tmp_path, (kernel,), tables=f'{outputs}as = "vmlinuz"\n')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    assert (image.out / "vmlinuz").read_bytes() == b"MZ kernel", "no signature was added"
    packed = next(image.out.glob("*.cpio.zst"))
    tree = in_the_clear(packed)
    assert tree.count(b"ours") == 1
    packed.write_bytes(zstandard.compress(tree.replace(b"ours", b"evil")))
    assert b"evil" in in_the_clear(packed)
    assert packed.name in cosmos("verify", image.out, "--key", image.public_key).fails(7).err
