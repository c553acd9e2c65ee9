"""One version of one star for several machines, side by side in one galaxy: each image and each system gets its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.errors import NoSolution, Refused
from cosmos.image.acquiring import acquire_lock
from cosmos.image.definition import read_definition, read_lock
from cosmos.image.freeze import freeze
from cosmos.image.home import Home
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.galaxy import INDEX_FORMAT, GalaxyIndex
from cosmos.model.lock import Lock
from cosmos.model.names import Arch
from cosmos.reading import envelope_of
from cosmos.stellar.add_star import add_star
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.galaxy_init import init_galaxy
from cosmos.stellar.index_galaxy import index_galaxy
from cosmos.trust.roles import GALAXY_TYPE
from fakes.galaxies import ROLES, Signers, StarSpec
from fakes.growing_galaxies import GrowingGalaxy, grow_galaxy, pin
from fakes.images import write_template
from fakes.kill_driver import index
from fakes.programs import Cosmos
from fakes.publishing import NAME, TODAY, author, built, galaxy_key, key, roots
from fakes.reporters import Remembering

Freeze = Callable[[str], Lock]
SIGNERS = Signers({role: key(role) for role in ROLES})


@pytest.fixture
def galaxy(tmp_path: Path) -> GalaxyFolder:
    """A galaxy in which `tool` has three archives of one version, and `only` is for one machine alone."""
    folder = init_galaxy(tmp_path / "galaxy", NAME, "", TODAY)
    for arch in ("x86_64", "aarch64", "any"):
        add_star(folder, built("tool", arch=arch, text=arch), [author()])
    add_star(folder, built("only", arch="aarch64"), [author()])
    index(folder)
    return folder


@pytest.fixture
def frozen(tmp_path: Path) -> Freeze:
    """Freeze an image for that machine, and fetch and verify what its lock pins."""
    pin(SIGNERS, tmp_path / "home")

    def freeze_for(arch: str, star: str = "tool", galaxy: str = "../galaxy") -> Lock:
        image = tmp_path / f"image-{arch}"
        image.mkdir(exist_ok=True)
        document = {
            "name": "image",
            "version": "1.0.0",
            "arch": arch,
            "template": "./template",
            "source-date-epoch": 1767225600,
            "stars": {star: "*"},
            "galaxies": {"core": galaxy},
        }
        write_template(image / "template")
        (image / "image.toml").write_text(tomli_w.dumps(document))
        world = Home(home=tmp_path / "home", offline=False, reporter=Remembering())
        lock = freeze(read_definition(image), world).lock
        acquire_lock(lock, read_definition(image), world)
        return lock

    return freeze_for


def test_an_image_s_lock_pins_the_archive_for_its_own_machine(galaxy: GalaxyFolder, frozen: Freeze) -> None:
    for arch, stem, own in (
        ("x86_64", "tool-1.0.0-x86_64", "x86_64"),
        ("aarch64", "tool-1.0.0-aarch64", "aarch64"),
        ("riscv64", "tool-1.0.0", "any"),
    ):
        (star,) = frozen(arch).stars
        assert (star.file, star.arch) == (f"packages/{stem}.tar.zst", own)
        assert star.archive == built("tool", arch=own, text=own).digest
        assert star.statement == Digest.of(galaxy.statement_file(stem).read_bytes())


def test_a_star_for_another_machine_alone_is_no_answer(galaxy: GalaxyFolder, frozen: Freeze) -> None:
    assert frozen("aarch64", "only").stars[0].arch == "aarch64"
    with pytest.raises(NoSolution, match="only"):
        frozen("x86_64", "only")


def test_an_index_that_gives_a_star_another_machine_is_refused(galaxy: GalaxyFolder, frozen: Freeze) -> None:
    """A galaxy's key can hide or mislabel; what runs where is the author's word."""
    now = galaxy.index()
    arm, anywhere, intel = (row for row in now.snapshot if row.name == "tool")
    rows = (replace(arm, arch=Arch("riscv64"), files=arm.stem), anywhere, intel)
    _publish_by_hand(galaxy, replace(now, seq=2, snapshot=(now.snapshot[0], *rows)))
    with pytest.raises(Refused, match="the index lists it for riscv64, but the statement says aarch64"):
        frozen("riscv64")


def test_a_system_installs_what_is_for_its_machine(galaxy: GalaxyFolder, tmp_path: Path, cosmos: Cosmos) -> None:
    trust = tmp_path / "trust.toml"
    trust.write_text(tomli_w.dumps(roots().to_toml()))
    for arch in ("x86_64", "aarch64"):
        root = tmp_path / f"system-{arch}"
        root.mkdir()
        cosmos("init", "--root", root, "--arch", arch).ok()
        cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
        cosmos("add-galaxy", "core", galaxy.root, "--root", root).ok()
        assert cosmos("show", "tool", "--root", root, "--json").json()["galaxies"][0]["versions"] == ["1.0.0"]
        cosmos("install", "tool", "--root", root).ok()
        assert (root / "usr/share/tool").read_text() == arch
        cosmos("install", "tool", "--root", root).ok()
        cosmos("verify", "--root", root).ok()


def test_a_lock_of_an_old_galaxy_is_good_after_another_machine_s_star_came(tmp_path: Path, frozen: Freeze) -> None:
    """The old index has format 1, and its files no ARCH in their names; the lock and the image stay as they are."""
    old: GrowingGalaxy = grow_galaxy(
        tmp_path, "core", [StarSpec("tool", "1.0.0", files={"usr/share/tool": b"x"}, arch="x86_64")], keys=SIGNERS
    )
    before = frozen("x86_64", galaxy="../core")
    assert before.stars[0].file == "packages/tool-1.0.0.tar.zst"
    folder = GalaxyFolder(root=old.path)
    add_star(folder, built("tool", arch="aarch64"), [author()])
    index_galaxy(
        folder, authors=[author()], galaxies=[galaxy_key()], today=TODAY, reporter=Remembering(), number=INDEX_FORMAT
    )
    assert folder.index().format == 2
    image = tmp_path / "image-x86_64"
    world = Home(home=tmp_path / "home", offline=False, reporter=Remembering())
    acquire_lock(read_lock(read_definition(image))[0], read_definition(image), world)
    assert frozen("x86_64", galaxy="../core").stars == before.stars
    assert frozen("aarch64", galaxy="../core").stars[0].file == "packages/tool-1.0.0-aarch64.tar.zst"


def _publish_by_hand(galaxy: GalaxyFolder, index: GalaxyIndex) -> None:
    signer: SecretKey = galaxy_key()
    data = tomli_w.dumps(index.to_toml()).encode()
    for file in (galaxy.snapshot_file(index.seq), galaxy.index_file):
        file.write_bytes(data)
        envelope_of(file).write_bytes(signer.sign(GALAXY_TYPE, data))
