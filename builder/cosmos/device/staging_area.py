"""`StagingArea`: stages the new stars of one installation, each on the files of its dependencies.

If the operator lets a star's script run programs, its tools are the files of the stars that it depends on, directly or
not, and nothing else of the system. A new star is staged again when a program needs its files, so the bytes of one star
are in memory at a time. But no program runs twice: the layer of a star whose script ran programs is kept in a spool, if
another star needs it. So the files that are placed are those that are used as tools. An installed star's files are read
from the system, and must be unchanged since their installation (`DependencyFiles.files`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from cosmos.content import pieces
from cosmos.device.dependency_files import DependencyFiles, path_map
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import SETTINGS_PATH
from cosmos.limits import MAX_RUN_SECONDS
from cosmos.model.lock import LockedStar
from cosmos.model.names import StarName
from cosmos.model.settings import Settings
from cosmos.spool import Spool
from cosmos.staging.acquire import Acquired
from cosmos.staging.powers import Consent, OpenFolders
from cosmos.staging.stage import StagedStar, StagingInputs, stage_star
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine

if TYPE_CHECKING:
    from cosmos.sandbox.bubble import Bubble


def system_consent(root: LiveRoot, settings: Settings, *, safe: bool) -> Consent:
    """Return what the system's policy allows each star; with `safe`, no script runs programs."""
    folders = OpenFolders.below(settings.install_dir, root.mapped_folder)
    return Consent(powers=settings.powers, file=shown(SETTINGS_PATH), folders=folders, safe=safe)


class StagingArea:
    """Stages new stars, in dependency order."""

    def __init__(
        self,
        root: LiveRoot,
        dependencies: DependencyFiles,
        acquired: Mapping[StarName, Acquired],
        consent: Consent,
        epoch: int,
    ) -> None:
        self._dependencies = dependencies
        self._acquired = acquired
        self._consent = consent
        self._epoch = epoch
        self._paths = path_map(root)
        self._keeps_lines = any(consent.gives(name, "run") for name in acquired)
        self._lines: dict[StarName, tuple[ManifestLine, ...]] = {}  # of staged stars: for the digest of the tools
        self._needed = frozenset(chain.from_iterable(item.star.dependencies for item in acquired.values()))
        self._made: dict[StarName, Sequence[Entry]] = {}  # layers that programs made

    def stage(self, name: StarName) -> StagedStar:
        """Return the star's layer, which the stars after it may see; raises `Refused` or `ScriptFailed`."""
        staged = self._staged(name)
        self._dependencies.add(name, staged.entries)
        if self._keeps_lines:
            self._lines[name] = tuple(map(ManifestLine.of, staged.entries.values()))
        if staged.receipt is not None and staged.receipt.ran_programs and name in self._needed:
            self._made[name] = self._kept(staged.entries.values())
        return staged

    def _kept(self, entries: Iterable[Entry]) -> Sequence[Entry]:
        """Return the entries of a layer, with contents that take little memory and do not need the archive."""
        return [
            replace(entry, content=self._spool.add(pieces(entry.content))) if entry.content else entry
            for entry in entries
        ]

    @cached_property
    def _spool(self) -> Spool:
        """One for all layers that are kept: it has one open file."""
        return next(iter(self._acquired.values())).spool()

    def _staged(self, name: StarName) -> StagedStar:
        item = self._acquired[name]
        inputs = StagingInputs(
            epoch=self._epoch,
            paths=self._paths,
            dependencies=self._dependencies.of(item.star.dependencies) if item.star.script else {},
            programs=self._programs(item.star) if self._consent.gives(name, "run") else None,
            run_hint=self._consent.hint(name, "run"),
        )
        return stage_star(item.archive(), item.statement, inputs, item.spool())

    def _programs(self, star: LockedStar) -> Bubble:
        from cosmos.sandbox.bubble import Bubble, star_tools, tools_digest  # few scripts run programs

        lines = map(self._lines_of, self._dependencies.names(star.dependencies))
        digest = tools_digest(chain(map(ManifestLine.of, self._paths.entries()), *lines))
        tools = star_tools(lambda: self._tools(star), digest)
        return Bubble(tools=tools, epoch=self._epoch, timeout_seconds=MAX_RUN_SECONDS, where=str(star.name))

    def _lines_of(self, name: StarName) -> Iterable[ManifestLine]:
        if name in self._lines:
            return self._lines[name]
        return map(ManifestLine.of, self._dependencies.files(name))

    def _tools(self, star: LockedStar) -> Iterator[Entry]:
        """Yield this system's merged folders, and the files of all dependencies of `star`."""
        yield from self._paths.entries()
        for name in self._dependencies.names(star.dependencies):
            yield from self._files(name)

    def _files(self, name: StarName) -> Iterable[Entry]:
        if name in self._made:
            return self._made[name]
        return self._staged(name).entries.values() if name in self._acquired else self._dependencies.files(name)
