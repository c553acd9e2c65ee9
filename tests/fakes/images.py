"""A small image definition with a galaxy and a home, ready to freeze and build."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cosmos.pack.image_file import PackedLayer
from fakes.galaxies import GalaxyFixture, Signers, StarSpec, make_galaxy, make_home, make_signers

EPOCH = 1_700_000_000
BASE = StarSpec("base", "1.2.0", {"bin/tool": b"tool" * 1000, "usr/share/doc/base": b"x"})
APP = StarSpec(
    "app",
    "2.0.0",
    {"app": b"app" * 5000, "app.conf.in": b"name = {{ name }}\n"},
    {"base": "^1.2"},
    script="""
function install()
  copy("app", "/usr/bin/app")
  symlink("app", "/usr/bin/app2")
  render("app.conf.in", "/etc/app.conf", { name = "app" })
  if exists("/usr/bin/tool") then write("/etc/has-tool", "yes\\n") end
end
""",
)
META = StarSpec("everything", "1.0.0", {}, {"app": "*"}, type="nebula")


def index_rows(layers: Iterable[PackedLayer]) -> list[dict[str, object]]:
    """Return what the index of an image says of its layers."""
    return [
        {
            "name": layer.name,
            "digest": str(layer.digest),
            "packed-bytes": len(layer.frame),
            "unpacked-bytes": layer.unpacked_bytes,
            "rows": list(layer.rows),
        }
        for layer in layers
    ]


@dataclass(frozen=True)
class ImageFixture:
    """An image definition on disk with its galaxy, its keys and its home."""

    folder: Path
    home: Path
    galaxy: GalaxyFixture
    signers: Signers

    @property
    def out(self) -> Path:
        """The folder of its release."""
        return self.folder / "out"

    @property
    def public_key(self) -> Path:
        """The release key's public half."""
        return self.folder.parent / "release.pub"

    @property
    def secret_key(self) -> Path:
        """The release key."""
        return self.folder.parent / "release.key"


def make_image(
    where: Path,
    stars: Sequence[StarSpec] = (BASE, APP, META),
    wishes: Mapping[str, str] | None = None,
    *,
    signers: Signers | None = None,
    more: str = "",
    tables: str = "",
) -> ImageFixture:
    """Write an image of `wishes` (default: the last star) into `where`; `more` and `tables` go into its image.toml."""
    where.mkdir(parents=True, exist_ok=True)
    keys = signers or make_signers()
    fixture = ImageFixture(
        where / "image", make_home(where / "home", keys), make_galaxy(where / "galaxy", "core", stars, keys), keys
    )
    keys["release"].save(fixture.secret_key, None)
    fixture.public_key.write_text(keys["release"].public.to_text())
    write_image(fixture, wishes or {stars[-1].name: "*"}, more=more, tables=tables)
    return fixture


def copy_image(image: ImageFixture, where: Path) -> ImageFixture:
    """Copy an image with all that lies beside it (galaxy, keys, home, release) into `where`; return the copy."""
    shutil.copytree(image.folder.parent, where, symlinks=True, dirs_exist_ok=True)
    return replace(
        image,
        folder=where / image.folder.name,
        home=where / image.home.name,
        galaxy=replace(image.galaxy, path=where / image.galaxy.path.name),
    )


def write_image(fixture: ImageFixture, wishes: Mapping[str, str], *, more: str = "", tables: str = "") -> None:
    """Write image.toml and its template."""
    write_template(fixture.folder / "template")
    lines = "".join(f'{name} = "{limit}"\n' for name, limit in wishes.items())
    (fixture.folder / "image.toml").write_text(
        f'name = "small"\nversion = "1.0.0"\narch = "x86_64"\ntemplate = "./template"\n'
        f"source-date-epoch = {EPOCH}\n{more}\n"
        f'[stars]\n{lines}\n[galaxies]\ncore = "../galaxy"\n{tables}\n'
    )


def write_template(folder: Path) -> None:
    """Write a minimal template with one rendered file."""
    (folder / "root" / "etc").mkdir(parents=True, exist_ok=True)
    (folder / "template.toml").write_text("merged-usr = true\n")
    (folder / "root" / "etc" / "hostname.j2").write_text("{{ image.name }}\n")
