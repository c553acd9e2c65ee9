"""apt's private folder: its own lists, caches and settings, so that an ordinary user can use the host's archives.

    FOLDER/apt.conf            the only settings that apt reads (APT_CONFIG, with the host's apt.conf.d left out)
    FOLDER/sources.list.d/     copies of the host's sources (or those of one suite), without those not to be verified
    FOLDER/lists/              the archives' signed indexes
    FOLDER/cache/              apt's caches of the lists
    FOLDER/debs/SHA256.deb     packages that were fetched and checked
    FOLDER/updated             when the lists were last updated, in seconds since 1970

Cosmos takes from the host: its sources, the keys that it trusts, and its way to the archives (`Acquire::http`, proxies,
whether it checks the age of an index). It does not take hooks, pins, the default release, or the list of installed
packages. apt verifies each archive's signature over its index and, through it, the SHA-256 of each package. A source
that turns this off (`[trusted=yes]`, `Allow-Insecure: yes`) is left out.

For one suite, Cosmos makes the sources from the host's (debian.apt_sources), in a folder of the suite's own. An
operator may name a file of sources instead; it is used unchanged.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from cosmos.debian.apt_sources import debian_keyring, host_sources, suite_sources
from cosmos.durable import make_folder, opened_folder, write_durably
from cosmos.errors import Malformed, WorldFailed
from cosmos.locking import Hold, open_lock, take_in_time, unlock
from cosmos.model.names import Arch, Suite
from cosmos.process import find_program, run_program
from cosmos.reading import holds, is_there, read_bounded
from cosmos.records import dataclass

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
_CODE_NAME: Final = re.compile(r"^Codename: (\S+)$", re.MULTILINE)
_PROXIES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_CONFIG_SECONDS: Final = 30
_UPDATED: Final = "updated"
_APT_READS: Final = re.compile(r"[A-Za-z0-9_.-]+\.(?:list|sources)")  # other names are passed over: sources.list(5)
_FORMS: Final = (".list", ".sources")
_LEFT_OUT: Final = "a source is left out, because it turns verification off or cannot be read"
_SILENT_SECONDS: Final = 30  # that apt waits for an archive which says nothing; less than ours for apt itself
LOCK_SECONDS: Final = 600  # as long as another may well need to bring the lists up to date
INSTALL_APT: Final = "this needs Debian's apt: run it on Debian, Ubuntu or in a container of one"


@dataclass(frozen=True, kw_only=True, slots=True)
class AptState:
    """A private folder that is ready. `warnings` name the sources that are left out, with the reason.

    Without a `suite`, packages come from the suites in the host's sources. `copied` has the file that each copy is of.
    """

    folder: Path
    architecture: str
    suite: Suite | None
    environment: Mapping[str, str]
    warnings: tuple[str, ...]
    copied: Mapping[str, Path]

    @property
    def where(self) -> str:
        """The name of the sources in messages."""
        return "the host's sources" if self.suite is None else f"Debian {self.suite}"

    @property
    def updated(self) -> Path:
        """The file that holds the time of the lists' last update."""
        return self.folder / _UPDATED

    @property
    def lists(self) -> Path:
        """The folder of the indexes."""
        return self.folder / "lists"

    @property
    def debs(self) -> Path:
        """The folder of checked packages."""
        return self.folder / "debs"

    @property
    def has_lists(self) -> bool:
        """Whether the folder holds any index of packages."""
        return any(self.lists.glob("*_Packages*"))

    def in_words_of_the_host(self, said: str) -> str:
        """Return what apt said with each file of sources by its own path: apt knows its copy alone."""
        for copy, file in self.copied.items():
            said = said.replace(copy, str(file))
        return said

    @contextlib.contextmanager
    def naming_sources(self) -> Iterator[None]:
        """Let an error of a program of apt name the files of sources by their own paths. Raises it again."""
        try:
            yield
        except WorldFailed as error:
            error.problem = self.in_words_of_the_host(error.problem)
            raise

    def code_names(self) -> frozenset[str]:
        """Return the code names that the archives' signed indexes give themselves."""
        indexes = filter(is_there, sorted(self.lists.glob("*Release")))
        texts = (read_bounded(file).decode("utf-8", "replace") for file in indexes)
        return frozenset(match[1] for text in texts if (match := _CODE_NAME.search(text)))


def prepared_state(
    folder: Path, arch: Arch, environ: Mapping[str, str], *, suite: Suite | None = None, named: Path | None = None
) -> AptState:
    """Make or renew the private folder for `arch` and `suite` and return it; `named` is the operator's file of sources.

    It uses PATH, proxies and APT_CONFIG of `environ`. Raises `WorldFailed` if the host has no apt or no source of the
    suite, `Malformed` for an architecture that Debian has no name for.
    """
    architecture = ARCHITECTURES.get(arch)
    if architecture in (None, "all"):
        known = ", ".join(sorted(name for name, debian in ARCHITECTURES.items() if debian != "all"))
        raise Malformed(str(arch), f"no architecture of Debian is known by this name; expected one of {known}")
    folder = folder.absolute() / (f"{architecture}-{suite}" if suite else str(architecture))
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
        files, own, warnings = _read_sources([named] if named is not None else _source_files(places))
        if suite is not None and named is None:
            files, warnings = _of_suite(files, suite)
        copies = folder / "sources.list.d"
        if _replace_sources(copies, files):
            (folder / _UPDATED).unlink(missing_ok=True)
        _made_the_same(folder / "apt.conf", settings.encode())
        _made_the_same(folder / "status", b"")
    return AptState(
        folder=folder,
        architecture=str(architecture),
        suite=suite,
        environment={**plain, "APT_CONFIG": str(folder / "apt.conf")},
        warnings=warnings,
        copied={str(copies / name): own[name] for name in files if name in own},
    )


def verified_sources(text: str, file_name: str) -> tuple[str, tuple[str, ...]]:
    """Return a file of apt's sources without those that turn verification off, and the sources left out.

    `*.sources` holds paragraphs (deb822), `*.list` one source a line. `deb-src` lines and disabled ones are kept; apt
    ignores them.
    """
    is_deb822 = file_name.endswith(".sources")
    parts = re.split(r"\n[ \t]*\n", text) if is_deb822 else text.split("\n")
    kept, left_out = [], []
    for part in parts:
        live = "\n".join(line for line in part.split("\n") if not line.lstrip().startswith("#"))
        if _UNVERIFIED.search(live):
            left_out.append(" ".join(live.split())[:160])
        else:
            kept.append(part)
    return ("\n\n" if is_deb822 else "\n").join(kept), tuple(left_out)


@contextlib.contextmanager
def locked(folder: Path, how: Hold) -> Iterator[None]:
    """Hold the folder while the block runs: `alone` to change its settings or lists, `shared` to use them.

    apt fails if its lists are locked, and gives wrong answers while another apt changes them; so Cosmos waits instead.
    Raises `WorldFailed` if it is still held after `LOCK_SECONDS`.
    """
    with opened_folder(folder) as there:
        number = open_lock(there, "lock")
    try:
        if not take_in_time(number, how, LOCK_SECONDS):
            raise busy(folder)
        yield
    finally:
        unlock(number)


def busy(folder: Path) -> WorldFailed:
    """Return the error for a folder that another process uses."""
    hint = "wait until it is done, end it, or work in another folder with --home"
    return WorldFailed(str(folder), "another cosmos is at work here and holds the lock", hint=hint)


def _read_sources(files: Iterable[Path]) -> tuple[dict[str, str], dict[str, Path], tuple[str, ...]]:
    """Return the verified sources and their files by the name of the copy, and warnings about what is left out.

    Raises `WorldFailed` if no file is left.
    """
    found: dict[str, str] = {}
    own: dict[str, Path] = {}
    warnings: list[str] = []
    for file in files:
        try:
            text = read_bounded(file).decode("utf-8", "replace")
        except OSError as error:
            warnings.append(f"{_LEFT_OUT}: {file.name}: {(error.strerror or str(error)).lower()}")
            continue
        name = (
            file.name
            if _APT_READS.fullmatch(file.name)
            else f"named{'.sources' if file.suffix == '.sources' else '.list'}"
        )
        own[name] = file
        found[name], unverified = verified_sources(text, name)
        warnings += [f"{_LEFT_OUT}: {file.name}: {one}" for one in unverified]
    if not found:
        reason = f":\n{warnings[0]}" if warnings else ""
        raise WorldFailed(
            "apt", f"the host has no sources of packages{reason}", hint="add one to /etc/apt/sources.list.d"
        )
    return found, own, tuple(warnings)


def _of_suite(files: Mapping[str, str], suite: Suite) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the sources of one suite, made from the host's archives of Debian alone."""
    entries = (entry for name, text in files.items() for entry in host_sources(text, name))
    made = suite_sources(entries, suite, debian_keyring(suite))
    lacking = f"the host takes no security updates: packages of {suite} come without {suite}-security"
    return {f"{suite}.sources": made.text}, () if made.has_security else (lacking,)


def _replace_sources(folder: Path, files: Mapping[str, str]) -> bool:
    """Make `folder` hold exactly these files; return whether it changed."""
    stale = [file for file in folder.iterdir() if file.name not in files]
    for file in stale:
        file.unlink()
    written = [name for name, text in files.items() if _made_the_same(folder / name, text.encode())]
    return bool(stale or written)


def _made_the_same(file: Path, data: bytes) -> bool:
    """Write `file` unless it holds `data` already, because others may read it now; return whether it was written."""
    if holds(file, data):
        return False
    write_durably(file, data)
    return True


def _source_files(places: Mapping[str, str]) -> list[Path]:
    single, parts = Path(places["SOURCELIST"]), Path(places["SOURCEPARTS"])
    files = sorted(file for file in parts.iterdir() if file.suffix in _FORMS) if parts.is_dir() else []
    return ([single] if is_there(single) else []) + files


def _settings(folder: Path, architecture: str, places: Mapping[str, str], kept: list[str]) -> str:
    rows = [
        f'Acquire::http::Timeout "{_SILENT_SECONDS}";',
        f'Acquire::https::Timeout "{_SILENT_SECONDS}";',
        *kept,  # what the host says counts more
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
    """Return the places of the host's sources and keys."""
    argv = ["shell", *(word for pair in _PLACES.items() for word in pair)]
    places = dict(_SHELL_LINE.findall(_asked(apt_config, argv, environment)))
    return {name: places.get(name, "/dev/null") for name in _PLACES}


def _asked(apt_config: str, words: list[str], environment: Mapping[str, str]) -> str:
    argv = [apt_config, *words]
    return run_program(argv, env=environment, timeout_seconds=_CONFIG_SECONDS, where="apt").decode("utf-8", "replace")
