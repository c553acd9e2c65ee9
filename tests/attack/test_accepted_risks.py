"""What Cosmos does not protect from, shown: docs/security/threat-model.md says why each is accepted.

If one of these tests fails, a risk has become smaller: change the map and the threat model, do not weaken the program.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import tomli_w

from cosmos.trust.roots import AuthorKey, Revoked
from fakes.galaxies import Signers, StarSpec, make_galaxy, make_signers
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
