"""`image.toml`: the definition of an image. The operator writes it, so unknown keys are errors.

name = "rescue"
version = "1.0.0"
description = "a system to mend others with"
arch = "x86_64"
template = "rescue"                       # a folder of rootfs-templates/, or a path beginning with ./
constellations = ["rescue-tools.toml"]    # files beside this one
finish = "finish.lua"                     # optional: a Nova script that runs last and may touch any path
source-date-epoch = 1767225600            # no file in the image is newer; seconds since 1970
trust = "trust.toml"                      # optional: trust anchors to lay at /etc/cosmos/trust.toml
counter = 3                               # optional: rises with every release, so that `verify` can refuse an older one
marker = "COSMOS-READY"                   # what the booted system prints when it is well (`cosmos boot`)
given = ["hostname"]                      # in a release alone: the [vars] that came with the build command (`--var`)

[stars]                                   # name -> constraint
busybox = "^1.35"

[galaxies]                                # in order of priority: name -> path or http:// address
core = "../../galaxy"                     # a path is relative to this file
mine = { url = "http://10.0.0.1:8000", allow-unsigned = true }

[vars]                                    # for the template
hostname = "rescue"
console_shell = "root-without-password"

[[output]]
format = "tar.zst"                        # tar.zst (layers) | cpio.zst (an initramfs) | file (one file of the tree)
level = 9                                 # zstd level, for the first two
[[output]]
format = "cpio.zst"
exclude = ["boot/**"]                     # globs of paths left out (cpio.zst only)
[[output]]
format = "file"
path = "boot/vmlinuz"                     # a path or a glob that one file matches
as = "vmlinuz"                            # its name in the release

[policy]
size-budget-bytes = 100000000             # optional: a larger image is an error
owners = { "etc/motd" = "base-files" }    # which star's file is kept if two stars own one path
unsigned-release = false                  # in words: a release may hold stars of an unsigned galaxy
setuid = ["sudo"]                         # who may ship set-user-ID files; so: run setcap mknod chown outside
log = true                                # every star must be in its galaxy's transparency log (trust.log)
badges = { test = 2 }                     # how many attesters must have signed that a star passed (trust.badges)
signed-lock = false                       # true: a build refuses a lock that no release key has signed
unsteady = ["fontconfig"]                 # whose run() may give another result each time; of others, it is an error

[policy.waive.dangling-symlink]           # a rule of the ship guard that is waived (model.waiver); needs a counter
reason = "the target is on the data partition"
until = 7                                 # the last release, by its counter, that the waiver counts for
paths = ["var/lib/app/**"]                # optional: globs; without them the rule is waived for every path

# extends = "../base"                     # joins an image with another one before it is read here: see image.joining
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final, Self

from cosmos.model.addresses import read_address
from cosmos.model.constraint import Constraint
from cosmos.model.names import Arch, GalaxyName, ImageName, StarName
from cosmos.model.powers import Powers
from cosmos.model.version import Version
from cosmos.model.vouching import Vouching
from cosmos.model.waiver import Waiver
from cosmos.records import dataclass
from cosmos.tables import BadKey, Table, read_whole
from cosmos.treepath import TreePath

DEFAULT_LEVEL = 9  # zstd, where an image definition names no other
DEFAULT_MARKER = "COSMOS-READY"
_STAND_INS: Final[Mapping[str, object]] = {
    "name": "image",
    "version": "0.0.0",
    "arch": "x86_64",
    "template": "template",
    "galaxies": {"galaxy": "."},
    "source-date-epoch": 0,
    "counter": 1,
}  # in place of what is missing or malformed, to find what else is
_NAME_ONE: Final = 'write [galaxies] and, in the line below it, core = "../galaxy": a folder, or an http:// address'


@dataclass(frozen=True, kw_only=True, slots=True)
class GalaxySource:
    """A galaxy's address, and whether the operator accepts unsigned stars from it."""

    name: GalaxyName
    url: str
    allow_unsigned: bool = False

    @classmethod
    def read_all(cls, table: Table) -> tuple[Self, ...]:
        """Return a `[galaxies]` table, in its order."""
        return tuple(cls._read(table, name) for name in table.keys())

    @classmethod
    def _read(cls, table: Table, key: str) -> Self:
        try:
            name = GalaxyName.parse(key)
        except ValueError as error:
            table.fail(key, str(error))
        if not isinstance(table.value(key), dict):
            return cls(name=name, url=table.read(key, read_address))
        row = table.table(key)
        source = cls(
            name=name, url=row.read("url", read_address), allow_unsigned=row.take("allow-unsigned", bool, False)
        )
        row.end()
        return source


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What the operator demands of the image, and what they waive. `powers`: the stars that may do more than others.

    `vouching`: what others must have said of every star. `waivers`: the rules of the ship guard that are waived, by id.
    """

    size_budget_bytes: int | None = None
    owners: Mapping[TreePath, StarName] = field(default_factory=dict)
    unsigned_release: bool = False
    powers: Powers = field(default_factory=Powers)
    vouching: Vouching = field(default_factory=Vouching)
    signed_lock: bool = False
    unsteady: tuple[StarName, ...] = ()
    waivers: Mapping[str, Waiver] = field(default_factory=dict)

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `[policy]` table."""
        waive = table.take_table("waive")
        policy = cls(
            size_budget_bytes=table.count("size-budget-bytes") if "size-budget-bytes" in table else None,
            owners=table.parsed_map("owners", TreePath.from_text, StarName.parse),
            unsigned_release=table.take("unsigned-release", bool, False),
            powers=Powers.read(table),
            vouching=Vouching.read(table),
            signed_lock=table.take("signed-lock", bool, False),
            unsteady=table.parsed_strings("unsteady", StarName.parse) if "unsteady" in table else (),
            waivers={} if waive is None else Waiver.read_all(waive),
        )
        table.end()
        return policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image definition.

    `outputs` are the `[[output]]` tables, unread: each format reads its own options (image.outputs.formats). `given`
    are the names of the variables whose values came with the build command.
    """

    name: ImageName
    version: Version
    description: str
    arch: Arch
    template: str
    stars: Mapping[StarName, Constraint]
    constellations: tuple[str, ...]
    galaxies: tuple[GalaxySource, ...]
    vars: Mapping[str, object]
    finish: str
    source_date_epoch: int
    trust: str
    marker: str
    outputs: tuple[Mapping[str, object], ...]
    policy: Policy
    counter: int = 0
    given: tuple[str, ...] = ()

    def file_name(self, suffix: str) -> str:
        """Return the name of a file that holds the image: NAME-VERSION-ARCH and a suffix."""
        return f"{self.name}-{self.version}-{self.arch}{suffix}"

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the image definition in `data`; raises `Malformed`, which carries every fault."""
        return read_whole(data, source, cls.read, _STAND_INS)

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the image definition in `table`; raises `Malformed` for its first fault."""
        policy, variables = table.take_table("policy"), table.take("vars", dict, {})
        image = cls(
            name=table.read("name", ImageName.parse),
            version=table.read("version", Version.parse),
            description=table.take("description", str, ""),
            arch=table.read("arch", Arch.written),
            template=table.need("template", str),
            stars=table.parsed_map("stars", StarName.parse, Constraint.parse),
            constellations=table.strings("constellations"),
            galaxies=GalaxySource.read_all(_galaxies(table)),
            vars=variables,
            finish=table.take("finish", str, ""),
            source_date_epoch=table.count("source-date-epoch", most=(1 << 33) - 1),
            trust=table.take("trust", str, ""),
            marker=table.take("marker", str, DEFAULT_MARKER),
            outputs=table.dicts("output"),
            policy=Policy() if policy is None else Policy.read(policy),
            counter=table.count("counter", least=1) if "counter" in table else 0,
            given=table.strings("given"),
        )
        for name in image.given:
            if name not in image.vars:
                table.fail("given", f"names {name}, which is not in [vars]")
        if not image.galaxies:
            table.fail("galaxies", "names no galaxy", hint=_NAME_ONE)
        if image.policy.waivers and not image.counter:
            table.fail("counter", "is missing: a waiver counts until a release", hint="write: counter = 1")
        table.end()
        return image


def _galaxies(table: Table) -> Table:
    try:
        return table.table("galaxies")
    except BadKey as error:
        error.hint = error.hint or _NAME_ONE
        raise
