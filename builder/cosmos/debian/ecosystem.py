"""Debian as an `Ecosystem`: packages of the host's archives, or of the suite that a recipe names, through apt."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Self, TypeAlias

from cosmos.debian.apt import Apt, AptRecord
from cosmos.debian.contents import contents_of, origin_of
from cosmos.debian.source import DebSource, find_packages, find_those_there_are
from cosmos.digest import Digest
from cosmos.limits import Budget
from cosmos.model.names import Arch, Suite
from cosmos.model.star import DEBIAN, Origin, SourceRules
from cosmos.model.version import DebianVersion
from cosmos.tables import Table
from cosmos.tree.ecosystem import Asked, Contents, Found, Outside, PackedFile

OpenApt: TypeAlias = Callable[[Arch, Suite | None], Apt]


class Debian:
    """The archives of Debian packages that this machine reaches."""

    rules: ClassVar = SourceRules(
        form=f"{DEBIAN}:NAME",
        noun="packages",
        keys=("suite",),
        version_scheme="debian",
        has_description=True,
        listed_by="dpkg-deb --contents",
    )

    def __init__(self, open_apt: OpenApt) -> None:
        self._open_apt = open_apt
        self._shared = SharedPackages()

    @classmethod
    def at(cls, outside: Outside) -> Self:
        """Return Debian for this machine; it reads nothing yet."""
        return cls(apt_opener(outside))

    @classmethod
    def check_source(cls, source: str) -> None:
        """Raise `ValueError` for a malformed source."""
        DebSource.parse(source)

    @classmethod
    def check_keys(cls, _sources: Sequence[str], beside: Table) -> None:
        """Raise `Malformed` for a malformed suite."""
        _suite(beside)

    @classmethod
    def wild_parts(cls, source: str, name: str) -> tuple[tuple[str, str], ...]:
        """Return the part of `name` that each wildcard of `source` matches, and that part with the wildcard."""
        return DebSource.parse(source).wild_parts(name)

    def find(self, asked: Asked) -> DebianMaterial:
        """Return the packages that the sources name; raises `NoSolution`, `Malformed`, `WorldFailed`."""
        apt = self._open_apt(asked.arch, _suite(asked.beside))
        records = find_packages(apt, [DebSource.parse(source) for source in asked.sources])
        return DebianMaterial(apt, records, self._shared)

    def fetch_ahead(self, requests: Sequence[Asked]) -> None:
        """Fetch the packages of all these requests at once; raises `WorldFailed` or `Refused`.

        What cannot be found is left for `find` to tell.
        """
        wanted: dict[tuple[Arch, Suite | None], Counter[str]] = {}
        for asked in requests:
            wanted.setdefault((asked.arch, _suite(asked.beside)), Counter()).update(asked.sources)
        for (arch, suite), sources in wanted.items():
            apt = self._open_apt(arch, suite)
            records = find_those_there_are(apt, [DebSource.parse(source) for source in sources])
            apt.fetch(list({record.digest: record for record in records}.values()))
            several = [DebSource.parse(source) for source, times in sources.items() if times > 1]
            self._shared.expect(find_those_there_are(apt, several) if several else ())


class SharedPackages:
    """The last package that was read, if another star is made of it too. A kernel takes a second and a half to unpack.

    What a star's readers may still unpack of it is counted for each star by itself.
    """

    __slots__ = ("_expected", "_kept")

    def __init__(self) -> None:
        self._expected: set[Digest] = set()
        self._kept: tuple[Digest, Contents] | None = None

    def expect(self, records: Iterable[AptRecord]) -> None:
        """Keep each of these packages, once it is read, until another one is read."""
        self._expected.update(record.digest for record in records)

    def contents(self, record: AptRecord, read: Callable[[], Contents]) -> Contents:
        """Return a package's contents: those that were kept, or what `read` returns."""
        if self._kept is None or self._kept[0] != record.digest:
            self._kept = None  # before the next one is there
            found = read()
            if record.digest not in self._expected:
                return found
            self._kept = record.digest, found
        found = self._kept[1]
        return replace(found, budget=Budget(found.budget.left))


class DebianMaterial:
    """Packages, by their records in the archive's signed index."""

    __slots__ = ("_apt", "_records", "_shared", "found")

    def __init__(self, apt: Apt, records: Sequence[AptRecord], shared: SharedPackages) -> None:
        self._apt = apt
        self._shared = shared
        self._records: dict[Origin, AptRecord] = {origin_of(record): record for record in records}
        self.found = tuple(map(_found, records))

    def fetch(self) -> None:
        """Download all of them; raises `WorldFailed` or `Refused`."""
        self._apt.fetch([self._records[one.origin] for one in self.found])

    def packed(self, found: Found) -> PackedFile:
        """Return a package's file; raises `Refused` or `WorldFailed`."""
        record = self._records[found.origin]
        return PackedFile(name=record.file_name, data=self._apt.read(record))

    def read(self, found: Found) -> Contents:
        """Return a package's contents; raises `Refused` or `Malformed`."""
        record = self._records[found.origin]
        return self._shared.contents(record, lambda: contents_of(self._apt.read(record), record))


def apt_opener(outside: Outside) -> OpenApt:
    """Return the function that opens sources of packages; it opens each source once."""

    @functools.cache
    def open_apt(wanted: Arch, suite: Suite | None = None) -> Apt:
        return Apt.at(
            outside.home / "apt",
            wanted,
            suite=suite,
            named=outside.apt_sources,
            environ=outside.environ,
            now=outside.now,
            offline=outside.offline,
            reporter=outside.reporter,
        )

    return open_apt


def _found(record: AptRecord) -> Found:
    return Found(
        origin=origin_of(record),
        owner=f"the package {record.name}",
        version=DebianVersion.of(record.version),
        summary=record.fields.get("description", "").split("\n")[0],
        is_for_machine=record.architecture != "all",
    )


def _suite(beside: Table) -> Suite | None:
    return beside.take_read("suite", Suite.parse)
