"""A private folder of apt's: its own lists, caches and settings, so that an ordinary user can ask the host's archives.

    FOLDER/apt.conf            the only settings that apt reads (APT_CONFIG, with the host's apt.conf.d left out)
    FOLDER/sources.list.d/     copies of the host's sources, without those that ask not to be verified
    FOLDER/lists/              the archives' signed indexes
    FOLDER/cache/              what apt makes of them
    FOLDER/debs/SHA256.deb     packages that were fetched and checked
    FOLDER/updated             when the lists were last brought up to date, in seconds since 1970

Taken from the host: its sources, the keys that it trusts, how it reaches its archives (`Acquire::http`, proxies,
whether it judges the age of an index). Not taken: hooks, pins, the default release, what is installed. apt verifies
each archive's signature over its index and, through it, the SHA-256 of each package; what asks to go round that
(`[trusted=yes]`, `Allow-Insecure: yes`) is left out.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cosmos.durable import make_folder, write_durably
from cosmos.errors import Malformed, WorldFailed
from cosmos.model.names import Arch
from cosmos.process import find_program, run_program

ARCHITECTURES: Final[Mapping[str, str]] = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i686": "i386",
    "armv7l": "armhf",
    "riscv64": "riscv64",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
    "any": "all",
}
_KEPT: Final = re.compile(
    r"(Acquire::(?:https?|Check-Valid-Until|Check-Date|Retries|ForceIPv[46])(?:::[^ ]*)?) (\"[^\"\n]*\");"
)
_PLACES: Final = {
    "SOURCELIST": "Dir::Etc::sourcelist/f",
    "SOURCEPARTS": "Dir::Etc::sourceparts/d",
    "TRUSTED": "Dir::Etc::trusted/f",
    "TRUSTEDPARTS": "Dir::Etc::trustedparts/d",
    "NETRC": "Dir::Etc::netrc/f",
    "NETRCPARTS": "Dir::Etc::netrcparts/d",
}
_SHELL_LINE: Final = re.compile(r"([A-Z]+)='([^']*)'")
_UNVERIFIED: Final = re.compile(
    r"\b(?:trusted|allow-insecure|allow-weak|allow-downgrade-to-insecure)\s*[:=]\s*(?:yes|true|on|1|with)\b",
    re.IGNORECASE,
)
_PROXIES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_CONFIG_SECONDS: Final = 30
INSTALL_APT: Final = "this needs Debian's apt: run it on Debian, Ubuntu or in a container of one"


@dataclass(frozen=True, kw_only=True, slots=True)
class AptState:
    """A private folder that is ready. `left_out` names the sources that ask not to be verified."""

    folder: Path
    architecture: str
    environment: Mapping[str, str]
    left_out: tuple[str, ...]

    @property
    def lists(self) -> Path:
        """Where the indexes lie."""
        return self.folder / "lists"

    @property
    def debs(self) -> Path:
        """Where checked packages lie."""
        return self.folder / "debs"

    @property
    def has_lists(self) -> bool:
        """Whether any index of packages is there."""
        return any(self.lists.glob("*_Packages*"))


def prepared_state(folder: Path, arch: Arch, environ: Mapping[str, str]) -> AptState:
    """Make or renew the private folder for `arch` and return it; of `environ`, PATH, proxies and APT_CONFIG are used.

    Raises `WorldFailed` where the host has no apt, `Malformed` for an architecture that Debian has no name for.
    """
    architecture = ARCHITECTURES.get(arch)
    if architecture in (None, "all"):
        raise Malformed(str(arch), "Debian has no packages for this architecture")
    folder = folder.absolute() / str(architecture)
    if any(char in str(folder) for char in '"\n;\\'):
        raise Malformed(str(folder), "apt cannot work in a folder with quotes, semicolons or line ends in its name")
    plain = {"PATH": environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C.UTF-8"}
    plain |= {name: environ[name] for proxy in _PROXIES for name in (proxy, proxy.upper()) if name in environ}
    host = plain | {"APT_CONFIG": environ["APT_CONFIG"]} if "APT_CONFIG" in environ else plain
    apt_config = find_program("apt-config", INSTALL_APT, path=plain["PATH"])
    places = _places(apt_config, host)
    kept = [f"{name} {value};" for name, value in _KEPT.findall(_asked(apt_config, ["dump"], host))]
    settings = _settings(folder, str(architecture), places, kept)
    for name in ("lists/partial", "cache/archives/partial", "sources.list.d", "debs", "none"):
        make_folder(folder / name)
    with locked(folder, "alone"):
        left_out = _copy_sources(places, folder / "sources.list.d")
        _made_the_same(folder / "apt.conf", settings.encode())
        _made_the_same(folder / "status", b"")
    return AptState(
        folder=folder,
        architecture=str(architecture),
        environment={**plain, "APT_CONFIG": str(folder / "apt.conf")},
        left_out=left_out,
    )


def verified_sources(text: str, file_name: str) -> tuple[str, tuple[str, ...]]:
    """Return a file of apt's sources without those that ask not to be verified, and what was left out.

    `*.sources` holds paragraphs (deb822), `*.list` a source a line. `deb-src` lines and disabled ones are kept as they
    are; apt passes them over.
    """
    is_deb822 = file_name.endswith(".sources")
    parts = re.split(r"\n[ \t]*\n", text) if is_deb822 else text.split("\n")
    kept, left_out = [], []
    for part in parts:
        live = "\n".join(line for line in part.split("\n") if not line.lstrip().startswith("#"))
        if _UNVERIFIED.search(live):
            left_out.append(f"{file_name}: {' '.join(live.split())[:160]}")
        else:
            kept.append(part)
    return ("\n\n" if is_deb822 else "\n").join(kept), tuple(left_out)


@contextlib.contextmanager
def locked(folder: Path, how: Literal["alone", "shared"]) -> Iterator[None]:
    """Hold the folder while the block runs: `alone` to change its settings or lists, `shared` to use them.

    apt fails where it finds its lists locked, and answers wrongly while another apt changes them; we wait instead.
    """
    with (folder / "lock").open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX if how == "alone" else fcntl.LOCK_SH)
        yield


def _copy_sources(places: Mapping[str, str], wanted: Path) -> tuple[str, ...]:
    """Copy the host's sources into `wanted`; return what was left out of them."""
    left_out: list[str] = []
    copies: dict[str, bytes] = {}
    for file in _source_files(places):
        try:
            text = file.read_text("utf-8", "replace")
        except OSError as error:
            left_out.append(f"{file.name}: {(error.strerror or str(error)).lower()}")
            continue
        kept, unverified = verified_sources(text, file.name)
        copies[file.name] = kept.encode()
        left_out += unverified
    if not copies:
        raise WorldFailed("apt", "the host has no sources of packages", hint="add one to /etc/apt/sources.list.d")
    for stale in wanted.iterdir():
        if stale.name not in copies:
            stale.unlink()
    for name, data in copies.items():
        _made_the_same(wanted / name, data)
    return tuple(left_out)


def _made_the_same(file: Path, data: bytes) -> None:
    """Write `file` unless it holds `data` already: others may be reading it."""
    if not (file.is_file() and file.read_bytes() == data):
        write_durably(file, data)


def _source_files(places: Mapping[str, str]) -> list[Path]:
    single, parts = Path(places["SOURCELIST"]), Path(places["SOURCEPARTS"])
    files = sorted(file for file in parts.iterdir() if file.suffix in (".list", ".sources")) if parts.is_dir() else []
    return ([single] if single.is_file() else []) + files


def _settings(folder: Path, architecture: str, places: Mapping[str, str], kept: list[str]) -> str:
    rows = [
        *kept,
        f'Dir::State "{folder}";',
        f'Dir::State::status "{folder}/status";',
        f'Dir::Cache "{folder}/cache";',
        'Dir::Cache::pkgcache "pkgcache.bin";',
        'Dir::Cache::srcpkgcache "srcpkgcache.bin";',
        f'Dir::Log "{folder}/log";',
        'Dir::Etc::main "/dev/null";',
        f'Dir::Etc::parts "{folder}/none";',
        'Dir::Etc::sourcelist "/dev/null";',
        f'Dir::Etc::sourceparts "{folder}/sources.list.d";',
        'Dir::Etc::preferences "/dev/null";',
        f'Dir::Etc::preferencesparts "{folder}/none";',
        f'Dir::Etc::trusted "{places["TRUSTED"]}";',
        f'Dir::Etc::trustedparts "{places["TRUSTEDPARTS"]}";',
        f'Dir::Etc::netrc "{places["NETRC"]}";',
        f'Dir::Etc::netrcparts "{places["NETRCPARTS"]}";',
        f'APT::Architecture "{architecture}";',
        f'APT::Architectures {{ "{architecture}"; }};',
        'APT::Sandbox::User "root";',  # no other user: what runs is who calls
        'APT::Get::AllowUnauthenticated "false";',
        'Acquire::AllowInsecureRepositories "false";',
        'Acquire::AllowWeakRepositories "false";',
        'Acquire::AllowDowngradeToInsecureRepositories "false";',
        'Acquire::Languages "none";',
        'Acquire::GzipIndexes "true";',
    ]
    return "\n".join(rows) + "\n"


def _places(apt_config: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return where the host keeps its sources and keys."""
    argv = ["shell", *(word for pair in _PLACES.items() for word in pair)]
    places = dict(_SHELL_LINE.findall(_asked(apt_config, argv, environment)))
    return {name: places.get(name, "/dev/null") for name in _PLACES}


def _asked(apt_config: str, words: list[str], environment: Mapping[str, str]) -> str:
    argv = [apt_config, *words]
    return run_program(argv, env=environment, timeout_seconds=_CONFIG_SECONDS, where="apt").decode("utf-8", "replace")
