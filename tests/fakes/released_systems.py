"""A system that was made from a signed release, which lies on a stick; the galaxy and the builder are far away."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from cosmos.cli.cosmos.main import program
from cosmos.cli.endings import run
from cosmos.digest import Digest
from fakes.forgeries import EVIL, UNIVERSE, Forgeable
from fakes.galaxies import Signers, StarSpec
from fakes.images import BASE, ImageFixture, make_image
from fakes.programs import Cosmos, Outcome

LIBRARY = StarSpec("library", files={"usr/lib/library/so": b"l" * 3000, "etc/library.conf": b"level=6"})
MOTD, GREETING, ISSUE, SHARED = "usr/share/motd", "usr/share/greeting", "etc/issue", "usr/lib/library/so"
TOOL = "usr/bin/tool"
FINISH = """
function install()
  write("/usr/share/greeting", "hello\\n")
  write("/etc/issue", "small\\n")
  chmod("/usr/share/doc/base", "0600")
end
"""
PATHS = '\n[paths]\n"srv/data" = { kind = "dir", mode = "0750" }\n'


def make_release(
    where: Path,
    stars: Sequence[StarSpec] = (BASE, LIBRARY),
    *,
    signers: Signers | None = None,
    policy: str = "",
    motd: str = "welcome\n",
    counter: int = 0,
) -> ImageFixture:
    """Build a signed release of these stars with a template and a finish script; its tree is in `where`/kept."""
    more = f'finish = "finish.lua"\n{f"counter = {counter}" if counter else ""}\n'
    tables = f'[policy]\n{policy}\n[[output]]\nformat = "tar.zst"\n'
    image = make_image(
        where, stars, dict.fromkeys((star.name for star in stars), "*"), signers=signers, more=more, tables=tables
    )
    (image.folder / "finish.lua").write_text(FINISH)
    motd_file = image.folder / "template/root" / MOTD
    motd_file.parent.mkdir(parents=True)
    motd_file.write_text(motd)
    with (image.folder / "template/template.toml").open("a") as template:
        template.write(PATHS)
    _succeed("freeze", image.folder, "--home", image.home)
    _succeed("build", image.folder, "--home", image.home, "--key", image.secret_key, "--keep-root", where / "kept")
    return image


def _succeed(*words: object) -> None:
    """Run `cosmos` in this process; a module's fixture cannot have the fixture `cosmos`."""
    with pytest.raises(SystemExit) as ended:
        run(program, "cosmos", [str(word) for word in words])
    assert not ended.value.code


class ReleasedSystem(Forgeable):
    """A system with the tree of a release. `stick` has the release; nothing else of its making is at hand."""

    def __init__(self, where: Path, cosmos: Cosmos, made: ImageFixture) -> None:
        self.where, self.cosmos, self.root = where, cosmos, where / "root"
        self.signers, self.key = made.signers, where / "release.pub"
        where.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", made.folder.parent / "kept", self.root], check=True)  # hard links, too
        shutil.copytree(made.out, where / "stick/release")
        shutil.copy(made.public_key, self.key)
        self.release = where / "stick/release"
        self.universe = (self.root / UNIVERSE).read_bytes()
        self.good = self.tree()

    def run(self, *words: object) -> Outcome:
        return self.cosmos(*words, "--root", self.root)

    def accept(self) -> None:
        """Accept the trust document of the release's maker."""
        trust = self.signers.write_trust(self.where / "trust.toml")
        self.run("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes())).ok()

    def tree(self) -> dict[str, tuple[object, ...]]:
        """Everything but what is cosmos's own: kind, mode, and bytes or target."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.root.rglob("*")):
            name, held = str(path.relative_to(self.root)), path.lstat()
            if name.startswith(("var/", "etc/cosmos")):
                continue
            body = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
            found[name] = (stat.S_IFMT(held.st_mode), stat.S_IMODE(held.st_mode), body)
        return found

    def spoil(self) -> None:
        """Change what the template, the finish script and two stars brought."""
        (self.root / MOTD).write_bytes(EVIL)
        (self.root / GREETING).unlink()
        (self.root / "srv/data").chmod(0o777)
        (self.root / "usr/share/doc/base").chmod(0o666)
        (self.root / TOOL).write_bytes(EVIL)
        shutil.rmtree(self.root / "usr/lib/library")
