"""`Bill`: what a bill of materials says, before it has a form.

A star is a component. The packages of other ecosystems that it was made of are components as well, because a scanner
knows these: each has a package URL (purl, https://github.com/package-url/purl-spec).

    deb     pkg:deb/debian/NAME@VERSION?arch=ARCH&distro=debian-N

`distro` is the release of Debian whose number stands in the versions of that release's updates (`+deb12u1`, `~deb12u1`;
Debian Developer's Reference, 5.8.5.4). If all such versions among the packages name one release, all packages are of
it. If none or several do, `distro` is left out.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final
from urllib.parse import quote

from cosmos.canon import Json, canonical_json
from cosmos.digest import Digest
from cosmos.model.licence import is_expression
from cosmos.model.lock import LockedStar
from cosmos.model.star import DEBIAN, Origin, Star
from cosmos.model.universe import Universe
from cosmos.records import dataclass

_UPDATE: Final = re.compile(r"[+~]deb([0-9]{1,3})u[0-9]+")
_DEBIAN_ARCHES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "riscv64": "riscv64", "any": "all"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """One star. `archive`, `license` and `signers` may be unknown: then they are None, "" and None."""

    name: str
    version: str
    arch: str
    license: str
    description: str
    archive: Digest | None
    galaxy: str
    signers: tuple[str, ...] | None
    dependencies: tuple[str, ...]
    origins: tuple[Origin, ...]

    @property
    def expression(self) -> str:
        """Its licence as an SPDX expression; "" if nobody stated one in this form."""
        return self.license if is_expression(self.license) else ""


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A bill of one image or system. `root` is its content root if it is known, `epoch` its time in seconds.

    `comment` says what the bill cannot know, "" if there is nothing to say.
    """

    name: str
    version: str
    root: Digest | None
    epoch: int
    cosmos: str
    components: tuple[Component, ...]
    comment: str = ""

    @property
    def identity(self) -> Digest:
        """What the bill's own name is made of: the content root, or all that the bill lists."""
        if self.root is not None:
            return self.root
        stars: list[Json] = [[one.name, one.version, one.arch, str(one.archive or "")] for one in self.components]
        return Digest.of(canonical_json([self.name, self.version, self.epoch, stars]))

    @cached_property
    def distro(self) -> str:
        """The Debian release of its packages, such as `debian-12`; "" if it is not known."""
        versions = (origin.version for one in self.components for origin in one.origins if origin.ecosystem == DEBIAN)
        found = {match[1] for version in versions if (match := _UPDATE.search(version))}
        return f"debian-{found.pop()}" if len(found) == 1 else ""

    def purl(self, component: Component, origin: Origin) -> str:
        """Return the package URL of a package that a star was made of; "" for an ecosystem that scanners do not know.

        >>> zlib = Origin(ecosystem="deb", name="zlib1g", version="1:1.2.13", digest=Digest.of(b""))
        >>> one = Component(name="zlib", version="1.2.13", arch="x86_64", license="Zlib", description="", archive=None,
        ...                 galaxy="core", signers=(), dependencies=(), origins=(zlib,))
        >>> Bill(name="i", version="1", root=None, epoch=0, cosmos="1", components=(one,)).purl(one, zlib)
        'pkg:deb/debian/zlib1g@1%3A1.2.13?arch=amd64'
        """
        if origin.ecosystem != DEBIAN:
            return ""
        arch = _DEBIAN_ARCHES.get(component.arch, component.arch)
        distro = f"&distro={self.distro}" if self.distro else ""
        return f"pkg:deb/debian/{quote(origin.name, safe='')}@{quote(origin.version, safe='~')}?arch={arch}{distro}"


def star_purl(name: str, version: str) -> str:
    """Return the package URL of a star itself: of type generic, for there is no type of its own."""
    return f"pkg:generic/{quote(name, safe='')}@{quote(version, safe='~')}"


def component_of(locked: LockedStar, star: Star) -> Component:
    """Return the component of a locked star and its signed manifest."""
    return Component(
        name=str(locked.name),
        version=str(locked.version),
        arch=str(locked.arch),
        license=star.license,
        description=star.description,
        archive=locked.archive,
        galaxy=str(locked.galaxy),
        signers=locked.signers,
        dependencies=tuple(sorted(map(str, locked.dependencies))),
        origins=star.origins,
    )


def components_of(universe: Universe) -> tuple[Component, ...]:
    """Return the components of a system. What its universe does not record is left out: see `unknown_of`."""
    return tuple(
        Component(
            name=str(name),
            version=str(star.version),
            arch=str(star.arch),
            license="" if star.about is None else star.about.license,
            description="",
            archive=star.archive,
            galaxy=star.galaxy or "",
            signers=None if star.published is None else star.published.signers,
            dependencies=tuple(sorted(str(one) for one in star.dependencies if one in universe.installed)),
            origins=() if star.about is None else star.about.origins,
        )
        for name, star in sorted(universe.installed.items())
    )


def unknown_of(universe: Universe) -> str:
    """Return the sentence that says what a system's universe does not record of its stars."""
    stars = universe.installed.values()
    unsaid = sum(star.about is None for star in stars)
    unsigned = sum(star.published is None for star in stars)
    said = "a system records no descriptions"
    if unsigned:
        said += f", no signers of {unsigned} of its {len(stars)} stars (an image has none)"
    if unsaid:
        said += f", and no licences and packages of origin of {unsaid} of them (an older program recorded them)"
    return f"{said}: the bill of the release that made it has them"
