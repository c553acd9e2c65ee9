"""A release that is rebuilt is somebody else's: nothing in it may decide where a file is written."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused
from cosmos.image.rebuild.original import Original, lay_out
from cosmos.model.release import DEFINITION_FILE, RELEASE_FORMAT, Builder, Release

TOML = b'name = "small"\n'


def original(folder: Path, *members: tuple[tarfile.TarInfo, bytes], image_folder: str = "image") -> Original:
    """Return a release in `folder` whose definition holds image.toml and the members."""
    folder.mkdir()
    buffer = BytesIO()
    image = tarfile.TarInfo(f"{image_folder}/image.toml")
    image.size = len(TOML)
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for member, data in ((image, TOML), *members):
            archive.addfile(member, BytesIO(data))
    (folder / DEFINITION_FILE).write_bytes(buffer.getvalue())
    (folder / "universe.lock.toml").write_bytes(b"ssh-ed25519 AAAA of a thief\n")
    release = Release(
        subjects=(),
        external={"definition": str(Digest.of(TOML))},
        internal={},
        resolved=(),
        builder=Builder(versions={}),
        form=RELEASE_FORMAT,
    )
    return Original(folder=folder, release=release, signers=())


def link(name: str, target: Path) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, str(target)
    return member, b""


@pytest.mark.parametrize("inside", ["image", "root/image"])
def test_a_link_in_a_release_does_not_write_its_lock_elsewhere(tmp_path: Path, inside: str) -> None:
    """The lock was written through a link of that name: to any file of the person who rebuilds."""
    victim = tmp_path / "authorized_keys"
    victim.write_bytes(b"mine\n")
    template = tarfile.TarInfo("template.toml"), b""
    found = original(tmp_path / "out", template, link(f"{inside}/universe.lock.toml", victim), image_folder=inside)
    with pytest.raises(Refused, match=r"universe\.lock\.toml"):
        lay_out(found, tmp_path / "laid")
    assert victim.read_bytes() == b"mine\n"


def test_a_definition_with_a_lock_of_its_own_is_refused(tmp_path: Path) -> None:
    found = original(tmp_path / "out", (tarfile.TarInfo("image/universe.lock.toml"), b""))
    with pytest.raises(Refused, match=r"holds universe\.lock\.toml, which lies beside it in a release"):
        lay_out(found, tmp_path / "laid")


def test_a_level_that_is_no_number_is_malformed(tmp_path: Path) -> None:
    found = original(tmp_path / "out")
    odd = replace(found, release=replace(found.release, internal={"level": True}))
    with pytest.raises(Malformed, match=r"internalParameters\.level: want 1 to 22"):
        _ = odd.level


@pytest.mark.parametrize(
    ("key", "value"), [("secrets", 5), ("secrets", [1]), ("acceptedRevoked", 5), ("acceptedRevoked", ["app"])]
)
def test_a_parameter_of_another_type_is_malformed_and_not_taken_for_nothing(
    tmp_path: Path, key: str, value: object
) -> None:
    found = original(tmp_path / "out")
    odd = replace(found, release=replace(found.release, external={**found.release.external, key: value}))
    with pytest.raises(Malformed, match=rf"externalParameters\.{key}: want"):
        _ = odd.secrets, odd.accepted
