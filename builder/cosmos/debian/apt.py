"""Find and fetch Debian packages through apt, from the archives that the host trusts or from one suite of Debian.

apt verifies each package, and Cosmos checks it once more: its bytes must have the size and the SHA-256 of its record,
also when they come from Cosmos's own folder. The lists are updated at most once a run, if they are older than
`FRESH_SECONDS` or lack a package. An archive that cannot be reached is only a warning if all packages are found.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Final, TypeVar

from cosmos.debian.apt_sources import no_suite
from cosmos.debian.apt_state import INSTALL_APT, AptState, busy, locked, prepared_state
from cosmos.debian.available import Available
from cosmos.debian.deb822 import paragraphs
from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import Malformed, NoSolution, Refused, WorldFailed
from cosmos.limits import MAX_STAR_ARCHIVE_BYTES
from cosmos.model.names import Arch, StarName, Suite
from cosmos.model.reporter import Reporter
from cosmos.model.version import DebianVersion
from cosmos.process import Stall, find_program, run_program, watch_program
from cosmos.reading import open_plain, read_within
from cosmos.records import dataclass

T = TypeVar("T")

FRESH_SECONDS: Final = 6 * 3600  # archives change a few times a day
_RETRY_SECONDS: Final = 600  # a source that is away must not be waited for by every star of a `make`
_UPDATE_SECONDS: Final = 900
_ASK_SECONDS: Final = 120
_DOWNLOAD_SECONDS: Final = 3600
_STALL_SECONDS: Final = 60  # silent, and no file grows; apt itself gives an archive up after 30
_LOCK_SECONDS: Final = 60  # for apt's own lock, which only an apt holds whose cosmos is dead, or that is not ours
_LISTS_BYTES: Final = 200 << 20  # Debian's lists and apt's index of them: 90 MiB in 2026, and as much meanwhile
_BATCH: Final = 200  # packages in one call: the kernel bounds the length of an argument list
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]{0,127}")
_MAX_WARNINGS: Final = 5
_PROVIDER: Final = re.compile(r"(\S+) \S+ \(= ?(\S*)\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class AptRecord:
    """One package as a signed index lists it. `fields` are its control fields, by lower-case name."""

    name: str
    version: str
    architecture: str
    size_bytes: int
    digest: Digest
    fields: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> AptRecord:
        """Return the record in `fields`; raises `Malformed` if a required field is missing."""
        name = fields.get("package", "")
        try:
            return cls(
                name=StarName.parse(name),
                version=DebianVersion.of(fields["version"]).text,
                architecture=fields["architecture"],
                size_bytes=int(fields["size"]),
                digest=Digest.from_hex(fields["sha256"]),
                fields=fields,
            )
        except (KeyError, ValueError) as error:
            raise Malformed(f"apt: {name}", f"its record has no good {error}") from error

    @property
    def is_essential(self) -> bool:
        """Whether every Debian system has it, so that other packages need not declare that they depend on it."""
        return self.fields.get("essential") == "yes"

    @property
    def file_name(self) -> str:
        """The package's usual file name."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


class Apt:
    """The archives that the host trusts, for one architecture."""

    def __init__(self, state: AptState, *, now: float, offline: bool, reporter: Reporter) -> None:
        self.state = state
        self._now = now
        self._offline = offline
        self._reporter = reporter
        self._is_current = offline
        self._available: Available | None = None
        self._known: dict[tuple[str, str | None], AptRecord] = {}  # each question costs apt-cache half a second
        for warning in state.warnings:
            reporter.warn(f"apt: {warning}")

    @classmethod
    def at(
        cls,
        folder: Path,
        arch: Arch,
        *,
        suite: Suite | None = None,
        named: Path | None = None,
        environ: Mapping[str, str],
        now: float,
        offline: bool,
        reporter: Reporter,
    ) -> Apt:
        """Return the archives, with a private state in `folder`; raises what `prepared_state` raises."""
        state = prepared_state(folder, arch, environ, suite=suite, named=named)
        return cls(state, now=now, offline=offline, reporter=reporter)

    def candidates(self, names: Iterable[str]) -> dict[str, AptRecord]:
        """Return the record of each of `names` that exists: the version that apt would install."""
        wanted = sorted({name for name in names if _NAME.fullmatch(name)})
        if all((name, None) in self._known for name in wanted):
            return {name: self._known[name, None] for name in wanted}
        self.ensure_lists()
        found = self._shown(wanted)
        if len(found) < len(wanted) and self._brought_up_to_date():
            found = self._shown(wanted)
        self._known |= {(name, None): record for name, record in found.items()}
        return found

    def record(self, name: str, version: str | None = None) -> AptRecord:
        """Return the record of one package, at `version` if one is given; raises `NoSolution`."""
        if not _NAME.fullmatch(name):
            raise Malformed(name, "is not the name of a Debian package", hint="a version goes after =: NAME=VERSION")
        if (name, version) not in self._known:
            found = self.candidates([name]).get(name) if version is None else self._at(name, version)
            self._known[name, version] = found if found is not None else self._missing(name, version)
        return self._known[name, version]

    def _at(self, name: str, version: str) -> AptRecord | None:
        self.ensure_lists()
        found = self._exact(name, version)
        if found is None and self._brought_up_to_date():
            found = self._exact(name, version)
        return found

    def names_beginning(self, prefix: str) -> tuple[str, ...]:
        """Return the names of all packages that begin with `prefix`."""
        self.ensure_lists()
        names = self._asked("apt-cache", "pkgnames", prefix).split()
        return tuple(sorted(name for name in names if _NAME.fullmatch(name)))

    def essential(self) -> tuple[str, ...]:
        """Return the names of the packages that every Debian system has (`Essential: yes`), in order of name."""
        self.ensure_lists()
        self._available = self._all()  # apt has no index of them
        named = self._available.essential()
        return tuple(sorted(name for name, record in self.candidates(named).items() if record.is_essential))

    def providers(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return, for each virtual package of `names`, the packages that provide it, in order of name."""
        wanted = sorted({name for name in names if _NAME.fullmatch(name)})
        found: dict[str, set[str]] = {}
        for batch in _batches(wanted):
            of, is_providing = "", False
            for line in self._asked("apt-cache", "showpkg", *batch).splitlines():
                if line.startswith("Package: "):
                    of, is_providing = line.removeprefix("Package: "), False
                elif is_providing and (match := _PROVIDER.fullmatch(line.strip())):
                    found.setdefault(of, set()).add(match[1])
                elif line.endswith(":") or line.startswith("Reverse Provides"):
                    is_providing = line.startswith("Reverse Provides")
        return {name: tuple(sorted(packages)) for name, packages in found.items()}

    def fetch(self, records: Sequence[AptRecord]) -> None:
        """Download each package of `records` into the private folder, checked; raises `WorldFailed` or `Refused`."""
        self._available = None  # a closure is complete by now
        lacking = [record for record in records if not self._file(record).is_file()]
        for batch in _batches(lacking):
            if self._offline:
                name = batch[0].file_name
                raise WorldFailed(name, "was not fetched before, and offline nothing is fetched", hint="go online once")
            try:
                self._download(batch, lacking)
            except WorldFailed:
                if not self._brought_up_to_date():  # the archive has moved on from our lists
                    raise
                self._download(batch, lacking)

    def read(self, record: AptRecord) -> bytes:
        """Return the package's bytes, checked against its record; fetches it if it is missing or damaged."""
        file = self._file(record)
        if file.is_file():
            try:
                return _checked(file, record)
            except Refused:
                file.unlink(missing_ok=True)
                self._reporter.warn(f"{record.file_name}: the copy that was kept is damaged; it is fetched again")
        self.fetch([record])
        return _checked(file, record)

    def ensure_lists(self) -> None:
        """Update the lists if they are missing or older than `FRESH_SECONDS`; raises `WorldFailed`."""
        if self._offline and not self.state.has_lists:
            raise WorldFailed("apt", "has no lists of packages, and offline none are fetched", hint="go online once")
        age = self._now - self._updated()  # below 0: a process that began after this one has just updated them
        if not self._is_current and not (self.state.has_lists and -_UPDATE_SECONDS <= age < FRESH_SECONDS):
            self._brought_up_to_date()

    def _brought_up_to_date(self) -> bool:
        """Fetch the lists unless this run has done so; return whether they changed."""
        if self._is_current:
            return False
        self._bring_up_to_date()
        self._known.clear()
        if self._available is not None:
            self._available = self._all()
        return True

    def _bring_up_to_date(self) -> None:
        before = self._updated()
        with locked(self.state.folder, "alone"):
            self._is_current = True
            if self._updated() == before:  # else another process has done it while we waited
                self._update()

    def _update(self) -> None:
        self._demand_space()
        self._reporter.step(f"apt: fetch the lists of packages of {self.state.where}")
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            said: list[str] = []
            status, last = watch_program(
                [self._program("apt-get"), "-q", "update"],
                env=self.state.environment,
                timeout_seconds=_UPDATE_SECONDS,
                where="apt",
                told=said.append,
                stall=self._stall(),
            )
            if not any(line.startswith("E: Could not get lock") for line in said):
                break
            if time.monotonic() >= deadline:
                raise busy(self.state.lists)
            time.sleep(1)
        problems = [line for line in said if line.startswith(("W: Failed", "E: ", "W: GPG", "W: The repository"))]
        self._demand_lists(self.state.in_words_of_the_host(last))
        for line in problems[:_MAX_WARNINGS]:
            self._reporter.warn(self.state.in_words_of_the_host(f"apt: {line[3:].strip()}"))
        fresh = FRESH_SECONDS if not problems and status == 0 else _RETRY_SECONDS
        write_durably(self.state.updated, str(self._now - FRESH_SECONDS + fresh).encode())

    def _demand_lists(self, last: str) -> None:
        """Raise unless there are lists, with those of the requested suite."""
        suite = self.state.suite
        if suite is not None and suite not in self.state.code_names():
            raise no_suite(suite, f"none of the archives has a list of its packages:\n{last}")
        if not self.state.has_lists:
            hint = "check the network, then try again"
            raise WorldFailed("apt", f"no source of packages could be read:\n{last}", hint=hint)

    def _demand_space(self) -> None:
        free = shutil.disk_usage(self.state.folder).free
        if free < _LISTS_BYTES:
            raise WorldFailed(
                str(self.state.folder),
                f"{free >> 20} MiB are free there, and the lists of packages need {_LISTS_BYTES >> 20} MiB",
                hint="free some, or name a folder on another disk with --home",
            )

    def _stall(self) -> Stall:
        return Stall(seconds=_STALL_SECONDS, progress=lambda: _sizes(self.state.folder))

    def _updated(self) -> float:
        try:
            return float(self.state.updated.read_bytes()[:32])
        except (OSError, ValueError):
            return -1.0

    def _shown(self, names: Sequence[str]) -> dict[str, AptRecord]:
        found: dict[str, AptRecord] = {}
        if self._available is not None:
            texts = (text for name in names if (text := self._available.paragraph(name)) is not None)
            return {record.name: record for text in texts for record in self._records_in(text)}
        for batch in _batches(names):
            for record in self._records("--no-all-versions", *batch):
                found.setdefault(record.name, record)
        return found

    def _all(self) -> Available:
        return Available(self._answer("apt-cache", "dumpavail"))

    def _exact(self, name: str, version: str) -> AptRecord | None:
        try:
            wanted = DebianVersion.of(version)
        except ValueError as error:
            raise Malformed(name, str(error)) from error
        records = self._records(f"{name}={version}")
        return next((record for record in records if DebianVersion.of(record.version).rank == wanted.rank), None)

    def _records(self, *words: str) -> Iterator[AptRecord]:
        try:
            text = self._asked("apt-cache", "show", *words)
        except WorldFailed:
            return  # apt-cache ends with status 100 where it knows none of the names
        yield from self._records_in(text)

    def _records_in(self, text: str) -> Iterator[AptRecord]:
        for fields in paragraphs(text, "apt-cache"):
            if fields.get("architecture") in (self.state.architecture, "all"):
                yield AptRecord.of(fields)

    def _missing(self, name: str, version: str | None) -> AptRecord:
        have = sorted({DebianVersion.of(record.version) for record in self._records("--all-versions", name)})
        if have and version is not None:
            versions = ", ".join(one.text for one in have)
            raise NoSolution(name, f"version {version} was asked for; in {self.state.where} there is {versions}")
        hint = (
            "without --offline the lists are fetched again"
            if self._offline
            else "is it a name of Debian's? see apt-cache search"
        )
        raise NoSolution(
            name, f"no package of that name for {self.state.architecture} in {self.state.where}", hint=hint
        )

    def _download(self, batch: Sequence[AptRecord], all_lacking: Sequence[AptRecord]) -> None:
        wanted = [record for record in batch if not self._file(record).is_file()]
        done = sum(self._file(record).is_file() for record in all_lacking)

        def told(line: str) -> None:
            nonlocal done
            if line.startswith("Get:"):
                done += 1
                self._reporter.progress(f"fetch {' '.join(line.split()[4:5])}", done, len(all_lacking))

        with tempfile.TemporaryDirectory(prefix="download-", dir=self.state.folder) as name:
            folder = Path(name)
            exact = [f"{record.name}={record.version}" for record in wanted]
            argv = [self._program("apt-get"), "-q", "download", *exact]
            with locked(self.state.folder, "shared"):
                status, last = watch_program(
                    argv,
                    env=self.state.environment,
                    cwd=folder,
                    timeout_seconds=_DOWNLOAD_SECONDS,
                    where="apt",
                    told=told,
                    stall=self._stall(),
                )
            arrived = {file.name: file for file in folder.iterdir()}
            for record in wanted:
                file = arrived.get(record.file_name)
                if file is None:
                    raise WorldFailed(record.file_name, f"apt-get could not fetch it (status {status}):\n{last}")
                _checked(file, record)
                file.replace(self._file(record))

    def _file(self, record: AptRecord) -> Path:
        return self.state.debs / f"{record.digest.hex}.deb"

    def _asked(self, program: str, *words: str) -> str:
        return self._answer(program, *words).decode("utf-8", "replace")

    def _answer(self, program: str, *words: str) -> bytes:
        argv = [self._program(program), *words]
        with locked(self.state.folder, "shared"), self.state.naming_sources():
            return run_program(argv, env=self.state.environment, timeout_seconds=_ASK_SECONDS, where="apt")

    def _program(self, name: str) -> str:
        return find_program(name, INSTALL_APT, path=self.state.environment["PATH"])


def _checked(file: Path, record: AptRecord) -> bytes:
    """Return the bytes of `file` if they are the package of `record`, or raise `Refused`."""
    with open_plain(file) as stream:
        data = read_within(stream, min(record.size_bytes, MAX_STAR_ARCHIVE_BYTES))
    if len(data) != record.size_bytes:
        raise Refused(record.file_name, f"the signed index names {record.size_bytes} bytes, but it has another size")
    if Digest.of(data) != record.digest:
        raise Refused(record.file_name, f"the signed index names {record.digest}, but it is {Digest.of(data)}")
    return data


def _sizes(folder: Path) -> dict[str, int]:
    """Return the size of each file below `folder`; files may come and go meanwhile."""
    sizes = {}
    for file in sorted(folder.rglob("*")):
        with contextlib.suppress(OSError):
            sizes[str(file)] = file.lstat().st_size
    return sizes


def _batches(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), _BATCH):
        yield things[start : start + _BATCH]
