"""Five years of one device: two rotations of keys, one revocation, and updates from a stick, in jumps.

The device is made from the first image. The galaxy's owner publishes five times, exchanges the galaxy's key and the
author's key, and revokes the old author's key after a theft. The device sees two of the five states. In the end it is
frozen, and a builder that has caught up makes an image of what it froze: with the same files.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import TRUST_TYPE
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots
from fakes.galaxies import Signers, StarSpec, make_galaxy, make_signers
from fakes.images import APP, BASE, ImageFixture, make_image
from fakes.programs import Cosmos

EXTRA = StarSpec("extra", "1.0.0", {"usr/share/extra": b"extra"})
BASE_2 = StarSpec("base", "1.3.0", {"bin/tool": b"newer tool" * 900})
APP_2 = replace(APP, version="2.1.0", dependencies={"base": "^1.2", "extra": "*"})
BASE_3 = StarSpec("base", "1.4.0", {"bin/tool": b"newest tool" * 800})


class Owner:
    """The galaxy's owner: publishes states of the galaxy, and versions of trust.toml beside them."""

    def __init__(self, image: ImageFixture) -> None:
        self.galaxy = image.galaxy.path
        self.first = image.signers
        self.signers = image.signers
        self.trust = image.signers.roots()
        self.seq = 1

    def publish(self, *stars: StarSpec) -> None:
        self.seq += 1
        make_galaxy(self.galaxy, "core", stars, self.signers, seq=self.seq)

    def rotate(self, role: str) -> None:
        """Pin a new key for the galaxy's indexes or for its stars, beside the old one."""
        new = make_signers(f"new-{role}")
        if role == "galaxy":
            old = self.trust.roles["galaxy"]
            keys = RoleKeys(threshold=1, keys=(*old.keys, new["galaxy"].public))
            self._write(replace(self.trust, roles={**self.trust.roles, "galaxy": keys}))
        else:
            author = AuthorKey(key=new["author"].public, galaxies=("*",), stars=("*",))
            self._write(replace(self.trust, authors=(*self.trust.authors, author)))
        self.signers = Signers({**self.signers.keys, role: new[role]})

    def revoke_first_author(self) -> None:
        row = Revoked(key=self.first["author"].public.id, reason="stolen laptop", effective_seq=0)
        self._write(replace(self.trust, revoked=(*self.trust.revoked, row)))

    def _write(self, roots: TrustRoots) -> None:
        self.trust = replace(roots, version=self.trust.version + 1)
        folder = self.galaxy / "trust"
        folder.mkdir(exist_ok=True)
        data = tomli_w.dumps(self.trust.to_toml()).encode()
        (folder / f"{self.trust.version}.toml").write_bytes(data)
        (folder / f"{self.trust.version}.toml.dsse").write_bytes(self.first["root"].sign(TRUST_TYPE, data))


@pytest.fixture
def image(tmp_path: Path, cosmos: Cosmos) -> ImageFixture:
    made = make_image(tmp_path / "maker", (BASE, APP))
    cosmos("freeze", made.folder, "--home", made.home).ok()
    cosmos("build", made.folder, "--home", made.home, "--key", made.secret_key).ok()
    return made


@pytest.fixture
def device(tmp_path: Path, image: ImageFixture, cosmos: Cosmos) -> Path:
    """A system that was made from the first image, and that has accepted the keys of its maker."""
    root, lock = tmp_path / "device", image.folder / "universe.lock.toml"
    cosmos("vendor", image.folder, tmp_path / "stick-1", "--home", image.home).ok()
    words = ("--lock", lock, "--galaxy", tmp_path / "stick-1", "--home", image.home, "--release", image.out)
    cosmos("bootstrap", "--root", root, *words, "--key", image.public_key).ok()
    trust = image.signers.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", tmp_path / "stick", "--root", root).ok()
    return root


def installed(root: Path) -> dict[str, str]:
    rows = tomllib.loads((root / "var/lib/cosmos/universe.toml").read_text())["installed"]
    return {name: row["version"] for name, row in rows.items()}


def files(root: Path, names: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of every path of these stars."""
    rows = tomllib.loads((root / "var/lib/cosmos/universe.toml").read_text())["installed"]
    found = {}
    for path in sorted(path for name in names for path in rows[name]["files"]):
        place = root / path.lstrip("/")
        content = str(place.readlink()).encode() if place.is_symlink() else place.read_bytes()
        found[path] = (place.lstat().st_mode, content)
    return found


def carried(owner: Owner, stick: Path) -> None:
    """Bring the galaxy of today to the device, on a stick."""
    shutil.rmtree(stick, ignore_errors=True)
    shutil.copytree(owner.galaxy, stick)


def test_a_device_grows_five_years_old(tmp_path: Path, image: ImageFixture, device: Path, cosmos: Cosmos) -> None:
    owner, stick = Owner(image), tmp_path / "stick"
    owner.publish(BASE, APP, EXTRA)
    owner.rotate("galaxy")
    owner.publish(BASE, BASE_2, APP, EXTRA)
    carried(owner, stick)
    first = cosmos("update", "--all", "--yes", "--root", device).ok()
    assert "carries version 2 of trust.toml" in first.err
    assert installed(device) == {"base": "1.3.0", "app": "2.0.0"}

    owner.rotate("author")
    owner.publish(BASE, BASE_2, APP, APP_2, EXTRA)
    owner.revoke_first_author()
    owner.publish(BASE_2, APP_2, EXTRA)  # everything is signed by the new author
    owner.publish(BASE_2, BASE_3, APP_2, EXTRA)
    carried(owner, stick)
    second = cosmos("update", "--all", "--yes", "--root", device).ok()
    assert "versions 3 to 4 of trust.toml" in second.err
    assert "stolen laptop" in second.err
    assert installed(device) == {"base": "1.4.0", "app": "2.1.0", "extra": "1.0.0"}
    assert cosmos("status", "--root", device, "--json").json()["trust-version"] == 4
    cosmos("verify", "--trust", "--root", device).ok()
    commands = [line.split()[1].rstrip(":") for line in cosmos("history", "--root", device).ok().out.splitlines()[:-1]]
    assert commands == ["update", "update"]

    frozen, tree = tmp_path / "frozen", tmp_path / "tree"
    cosmos("freeze", "--root", device, "--image", frozen).ok()
    assert "was made under version 4 of trust.toml" in cosmos("build", frozen, "--home", image.home).fails(4).err
    cosmos("trust", "update", stick, "--home", image.home).ok()
    cosmos("build", frozen, "--home", image.home, "--keep-root", tree).ok()
    stars = sorted(installed(device))
    assert sorted(installed(tree)) == stars
    assert files(tree, stars) == files(device, stars)
