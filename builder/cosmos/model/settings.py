"""`config.toml`: where a system's stars come from (upstream's format, and four additions).

    install_dir = "/"                  # where stars are installed; a path inside the system
    cache_dir = "/var/cache/cosmos"    # where fetched files are kept; a path inside the system

    [galaxies]                         # in order of priority: name -> path, file:// or http:// address
    core = "/mnt/usb/galaxies/core"
    extra = "http://10.0.0.1:8000"
    mine = { url = "/srv/mine", allow-unsigned = true }    # ours

    newer-trust = "stop"               # ours, above [galaxies]: a galaxy carries a newer trust.toml; else "take"

    [policy]                           # ours
    setuid = ["sudo"]                  # the stars that may do more than others (model.powers)
    log = true                         # what others must have said of every star (model.vouching)
    badges = { test = 2 }

    [network]                          # ours: files inside the system
    netrc = "/etc/cosmos/netrc"        # names and passwords that servers ask for (model.netrc)
    ca = "/etc/cosmos/ca.pem"          # the only authorities that vouch for https:// servers

It is the operator's own file, so unknown keys are errors. Upstream requires the first three; here the two folders have
upstream's defaults. `newer-trust` is for a command that meets a newer version of trust.toml, signed by the accepted
root keys: the command takes it (`take`, the default), or stops (`stop`).

TOML counts keys that follow `[galaxies]` as galaxies. Upstream's own manual has that slip, and the error says so. A
galaxy's path is one of the machine that runs cosmos, not of the system below `--root`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Final, Literal, Self, TypeAlias, cast

from cosmos.errors import NoSolution
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName
from cosmos.model.powers import POWERS, Powers
from cosmos.model.vouching import Vouching
from cosmos.records import dataclass
from cosmos.tables import Table, read_whole
from cosmos.treepath import ROOT, TreePath

DEFAULT_CACHE: Final = TreePath(b"var/cache/cosmos")
NewerTrust: TypeAlias = Literal["take", "stop"]
_NEWER_TRUST: Final = "newer-trust"
_ABOVE: Final = ("install_dir", "cache_dir", _NEWER_TRUST)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The operator's settings. `install_dir` and `cache_dir` lie inside the system; the empty path is its root."""

    galaxies: tuple[GalaxySource, ...] = ()
    install_dir: TreePath = ROOT
    cache_dir: TreePath = DEFAULT_CACHE
    powers: Powers = field(default_factory=Powers)
    vouching: Vouching = field(default_factory=Vouching)
    netrc: TreePath | None = None
    authorities: TreePath | None = None
    newer_trust: NewerTrust = "take"

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the settings in `data`; raises `Malformed`."""
        return read_whole(data, source, cls.read, {})

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the settings in `table`; raises `Malformed` for the first fault."""
        galaxies = table.take_table("galaxies")
        policy = table.take_table("policy")
        network = table.take_table("network")
        if galaxies is not None:
            _refuse_strays(galaxies)
        settings = cls(
            galaxies=() if galaxies is None else GalaxySource.read_all(galaxies),
            install_dir=table.take_read("install_dir", _folder, ROOT),
            cache_dir=table.take_read("cache_dir", _folder, DEFAULT_CACHE),
            powers=Powers() if policy is None else Powers.read(policy),
            vouching=Vouching() if policy is None else Vouching.read(policy),
            netrc=None if network is None else network.take_read("netrc", _file),
            authorities=None if network is None else network.take_read("ca", _file),
            newer_trust=cast("NewerTrust", table.choice(_NEWER_TRUST, ("take", "stop")))
            if _NEWER_TRUST in table
            else "take",
        )
        for part in (policy, network):
            if part is not None:
                part.end()
        if settings.cache_dir == ROOT:
            table.fail(
                "cache_dir",
                "the whole system must not be the cache",
                hint='write cache_dir = "/var/cache/cosmos"',
            )
        table.end()
        return settings

    def to_toml(self) -> dict[str, object]:
        """Return the document as `tomli_w` takes it."""
        document: dict[str, object] = {
            "install_dir": f"/{self.install_dir.text}",
            "cache_dir": f"/{self.cache_dir.text}",
            **({} if self.newer_trust == "take" else {_NEWER_TRUST: self.newer_trust}),
            "galaxies": {str(galaxy.name): _galaxy_toml(galaxy) for galaxy in self.galaxies},
        }
        files = {"netrc": self.netrc, "ca": self.authorities}
        parts = {
            "policy": {**self.powers.to_toml(), **self.vouching.to_toml()},
            "network": {key: f"/{path.text}" for key, path in files.items() if path is not None},
        }
        return document | {name: part for name, part in parts.items() if part}

    def galaxy(self, name: str) -> GalaxySource | None:
        """Return the galaxy called `name`, or None."""
        return next((galaxy for galaxy in self.galaxies if galaxy.name == name), None)

    def with_galaxy(self, galaxy: GalaxySource) -> Self:
        """Return the settings with `galaxy` last; a galaxy of that name keeps its place and gets the new address."""
        if self.galaxy(galaxy.name) is None:
            return replace(self, galaxies=(*self.galaxies, galaxy))
        return replace(self, galaxies=tuple(galaxy if known.name == galaxy.name else known for known in self.galaxies))

    def without_galaxy(self, name: GalaxyName) -> Self:
        """Return the settings without the galaxy `name`; raises `NoSolution` if they have no such galaxy."""
        if self.galaxy(name) is None:
            known = ", ".join(galaxy.name for galaxy in self.galaxies) or "none"
            raise NoSolution(name, f"no galaxy of that name (there is: {known})", hint="cosmos list-galaxies")
        return replace(self, galaxies=tuple(galaxy for galaxy in self.galaxies if galaxy.name != name))


def _galaxy_toml(galaxy: GalaxySource) -> str | Mapping[str, object]:
    return {"url": galaxy.url, "allow-unsigned": True} if galaxy.allow_unsigned else galaxy.url


def _file(text: str) -> TreePath:
    if not text.startswith("/"):
        raise ValueError(f"want an absolute path inside the system, got {text[:80]!r}")
    return TreePath.rooted(text)


def _folder(text: str) -> TreePath:
    if not text.startswith("/"):
        raise ValueError(f"want an absolute path, got {text[:80]!r}")
    return ROOT if not text.strip("/") else TreePath.rooted(text)


def _refuse_strays(galaxies: Table) -> None:
    """Refuse lines below [galaxies] that belong elsewhere: TOML counts them as galaxies."""
    stray = next((key for key in galaxies.keys() if key in _ABOVE or _is_policy(galaxies, key)), None)
    if stray is not None:
        head = "above the line [galaxies]" if stray in _ABOVE else "below a line [policy]"
        galaxies.fail(
            stray,
            "stands below [galaxies], so that TOML counts it as a galaxy",
            hint=f"move the line {stray} = … {head}",
        )


def _is_policy(galaxies: Table, key: str) -> bool:
    """Whether `key` is a line of [policy]. A galaxy may have that name, too."""
    value = galaxies.value(key)
    if key == "badges":
        return isinstance(value, dict) and "url" not in value
    return (key in POWERS and isinstance(value, list)) or (key == "log" and isinstance(value, bool))
