"""Compare a running system with what was signed, or else with its universe: is every path still what a star put there?

For each entry, it checks that the entry is there, its kind, mode and owner, a file's bytes, a symlink's target, the
file that a hard link shares, a device's number, and a file's capabilities and other attributes. What they must be
follows from the star's signed archive where it is at hand without a socket, or from the release that made the system if
the caller names one (device.examination), otherwise from universe.toml; `as_signed` and `as_recorded` keep the two
apart. So a file and its row that were forged together are found. The entries of the image's own layers are checked by
the release, or else by their record, except those of cosmos itself. Of a shared folder, only the kind is checked. For
the universe itself, it checks that no path has two owners, that all dependencies are installed, and that upstream's
`files` and our `entries` agree.

Every problem is reported: an entry that cannot be read (`unreadable`), a star that upstream recorded without digests
(`unjudged`), and a change that was cut off. Contents are hashed in pieces, so little memory is needed.
Configuration with other bytes is listed apart.

It also judges the stars by the keys that are trusted now (device.trusted).

It does not check paths that no star owns, times, and owners under a `--root` that belongs to an ordinary user
(`owners_judged` says so).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from itertools import chain
from pathlib import Path
from typing import Final

from cosmos.device.entry_check import Difference
from cosmos.device.examination import LAYERS, Examination, Examined
from cosmos.device.journal import changing_command, standing
from cosmos.device.memory import system_trust
from cosmos.device.released import ReleaseAsked, Released, open_release
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.shelves import Shelves, galaxies_on
from cosmos.device.signed_record import NoArchiveSays
from cosmos.device.system import read_universe
from cosmos.device.trusted import NOT_ASKED, InstalledTrust, judge_installed, shelves_at_hand
from cosmos.device.vouching import as_onlooker
from cosmos.errors import CosmosError, Differs, Refused, WorldFailed
from cosmos.model.journal import change_words
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, Silent
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.records import dataclass
from cosmos.release.verify import ReleaseVerdict
from cosmos.store.blobs import StoreFolder
from cosmos.treepath import TreePath

_UNSETTLED: Final = {
    "idle": None,
    "running": "is going on",
    "interrupted": "was cut off; the next `cosmos install` puts back what was there before",
    "committed": "was cut off; the next `cosmos install` finishes it",
    "unreadable": "was cut off; its journal is damaged, or of another cosmos: finish it with that one",
    "unclear": "is going on, or was cut off; only the system's owner can tell",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemVerdict:
    """The result of a comparison. `judged` counts the checked entries of stars, `bytes_read` the hashed bytes.

    A shared folder counts where its maker has it. `files` counts all entries of stars that are no folders, as `status`
    and `show` do. `of_image` counts the checked entries of the image's own layers.

    `as_signed` are the stars that were compared with what was signed, and `as_recorded` those that were compared with
    universe.toml alone, with the reason. `without_archive` are those of them whose archive does not say what they laid,
    because their script runs programs. `release` is the release that was at hand, and `by_release` are the stars, and
    the layers of the image, that it judged. `configuration` are files with other bytes below /etc: they are
    differences too, but the operator may have made them. `taken` are paths of signed stars that the image gave to
    another owner. With `demands_trust`, every star must be trusted now.
    """

    root: str
    stars: int
    judged: int
    files: int
    bytes_read: int
    differences: tuple[Difference, ...]
    unreadable: tuple[Difference, ...]
    unjudged: tuple[StarName, ...]
    owners_judged: bool
    trust: InstalledTrust = NOT_ASKED
    of_image: int = 0
    configuration: tuple[Difference, ...] = ()
    as_signed: tuple[StarName, ...] = ()
    as_recorded: Mapping[StarName, str] = field(default_factory=dict)
    taken: tuple[Difference, ...] = ()
    doubts: tuple[str, ...] = ()
    demands_trust: bool = False
    release: ReleaseVerdict | None = None
    by_release: tuple[str, ...] = ()
    without_archive: Mapping[StarName, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether every entry was checked and is as it was installed, and no star has lost its trust."""
        wrong = self.differences or self.configuration or self.unreadable or self.unjudged or self.trust.untrusted
        return not wrong and not (self.demands_trust and self.doubts)

    def error(self) -> CosmosError | None:
        """Return the error to raise; None if the system is good.

        It is `Differs` if something differs, cannot be judged, or is not trusted although that is demanded; `Refused`
        if a star is not trusted now; and `WorldFailed` if the only problem is that some entries cannot be read.
        """
        demanded = self.doubts if self.demands_trust else ()
        lines = demanded or tuple(map(str, self.trust.untrusted))
        lines += tuple(str(one) for one in (*self.differences, *self.configuration, *self.unreadable))
        lines += tuple(f"{name}: cannot be judged: it was recorded without digests" for name in self.unjudged)
        if self.differences or self.configuration or self.unjudged or demanded:
            return Differs(self.root, ", ".join(self._counts(len(demanded))), differences=lines)
        if self.trust.untrusted:
            problem = f"{_counted(len(self.trust.untrusted), 'star')} must not be used: {'; '.join(lines)}"
            return Refused(self.root, problem, hint="see the keys with: cosmos trust show --root DIR")
        if self.unreadable:
            problem = f"{_counted(len(self.unreadable), 'path')} cannot be read: {', '.join(lines[:3])}"
            return WorldFailed(self.root, problem, hint="run it as root")
        return None

    def _counts(self, doubted: int) -> Iterator[str]:
        if self.differences or not (self.configuration or doubted):
            yield f"{_counted(len(self.differences), 'difference')} from its universe"
        if self.configuration:
            yield _counted(len(self.configuration), "changed configuration file")
        if self.unjudged:
            yield f"{_counted(len(self.unjudged), 'star')} cannot be judged"
        if doubted:
            yield f"{_counted(doubted, 'star')} cannot be trusted"


@dataclass(frozen=True, kw_only=True, slots=True)
class HowToVerify:
    """How a system is verified. `by_record`: by universe.toml alone, without unpacking an archive.

    `sticks` are folders that may be galaxies, besides those of the settings. `release` made the system.
    """

    by_record: bool = False
    demands_trust: bool = False
    sticks: Sequence[Path] = ()
    release: ReleaseAsked | None = None


AS_SIGNED: Final = HowToVerify()


def verify_system(root: Path, reporter: Reporter | None = None, how: HowToVerify = AS_SIGNED) -> SystemVerdict:
    """Return how the system at `root` compares with its universe. Raises only if the universe cannot be read."""
    with LiveRoot.open(root) as live:
        return verify_live(live, reporter or Silent(), how)


def verify_live(root: LiveRoot, reporter: Reporter, how: HowToVerify = AS_SIGNED) -> SystemVerdict:
    """Return how `root` compares with what was signed, or else with its universe."""
    universe = read_universe(root)
    settings, problem = _settings(root)
    shelves = shelves_at_hand(root, galaxies_on(how.sticks, _store(root, settings)))
    released = _released(root, how.release, universe, settings, reporter)
    asked = shelves if isinstance(shelves, Shelves) and not (how.by_record or problem) else None
    why = problem or ("" if isinstance(shelves, Shelves) else shelves.problem or "the system has no trust anchors")
    examination = Examination(root, universe, settings, asked, released=released, why=why)
    found = _Found()
    total = len(universe.installed) + len(universe.layers)
    for done, examined in enumerate(chain(examination.stars(), examination.layers()), 1):
        found.add(examined)
        reporter.progress("verify", done, total)
    trust = judge_installed(root, universe, shelves)
    differences = [*_inconsistencies(universe), *found.differences]
    if (unsettled := _UNSETTLED[standing(root)]) is not None:
        differences.insert(0, _of_universe(f"{change_words(changing_command(root))} {unsettled}"))
    return SystemVerdict(
        root=str(root.path),
        stars=len(universe.installed),
        judged=found.judged,
        of_image=found.of_image,
        files=sum(len(star.files) for star in universe.installed.values()),
        bytes_read=examination.check.bytes_read,
        differences=tuple(differences),
        configuration=tuple(found.configuration),
        unreadable=tuple(found.unreadable),
        unjudged=tuple(sorted(found.unjudged)),
        owners_judged=root.keeps_owners,
        trust=trust,
        as_signed=tuple(sorted(found.as_signed)),
        as_recorded=dict(sorted(found.as_recorded.items())),
        taken=tuple(found.taken),
        doubts=trust.doubts(universe),
        demands_trust=how.demands_trust,
        release=None if released is None else released.verdict,
        by_release=tuple(found.by_release),
        without_archive=dict(sorted(found.without_archive.items())),
    )


class _Found:
    """The results of an examination so far."""

    def __init__(self) -> None:
        self.differences = list[Difference]()
        self.configuration = list[Difference]()
        self.unreadable = list[Difference]()
        self.taken = list[Difference]()
        self.unjudged = list[StarName]()
        self.as_signed = list[StarName]()
        self.as_recorded: dict[StarName, str] = {}
        self.without_archive: dict[StarName, str] = {}
        self.by_release = list[str]()
        self.judged = self.of_image = 0

    def add(self, one: Examined) -> None:
        """Add one star, or one layer."""
        if one.is_star:
            name = StarName(one.owner)
            self.judged += one.checked
            if one.answer == "signed":
                self.as_signed.append(name)
            elif one.answer == "recorded":
                self.as_recorded[name] = "" if one.cause is None else one.cause.problem
                if isinstance(one.cause, NoArchiveSays):
                    self.without_archive[name] = one.cause.problem
            else:
                self.unjudged.append(name)
        else:
            self.of_image += one.checked
        self.by_release += [one.owner] if one.by_release else []
        self.differences += one.record
        given = "its signed archive brings it, but the image gave it to another owner: as recorded only"
        self.taken += [Difference(path=path, star=one.owner, problem=given) for path in one.taken]
        for bad in one.bad:
            for problem in bad.problems:
                row = Difference(path=bad.entry.path, star=one.owner, problem=problem.text)
                if problem.harm == "unreadable":
                    self.unreadable.append(row)
                elif bad.is_changed_configuration and problem.harm == "content":
                    self.configuration.append(row)
                else:
                    self.differences.append(row)


def _released(
    root: LiveRoot, asked: ReleaseAsked | None, universe: Universe, settings: Settings, reporter: Reporter
) -> Released | None:
    if asked is None:
        return None
    return open_release(root, asked, universe, _store(root, settings), system_trust(root), as_onlooker(root), reporter)


def _settings(root: LiveRoot) -> tuple[Settings, str]:
    """Return the settings; if they cannot be read, the defaults, and why."""
    try:
        return read_settings(root), ""
    except CosmosError as error:
        return Settings(), str(error)


def _store(root: LiveRoot, settings: Settings) -> StoreFolder:
    return StoreFolder(root.below(settings.cache_dir))


def _inconsistencies(universe: Universe) -> Iterator[Difference]:
    owners: dict[TreePath, str] = {
        entry.path: LAYERS[layer]
        for layer, entries in universe.layers.items()
        for entry in entries
        if entry.kind != "dir"
    }
    for name, star in sorted(universe.installed.items()):
        if star.entries and {entry.path for entry in star.entries if entry.kind != "dir"} != set(star.files):
            yield _of_universe(f"installed.{name}: its files and its entries name different paths")
        if len(set(star.files)) != len(star.files):
            yield _of_universe(f"installed.{name}: names one path twice")
        for needed in star.dependencies:
            if needed not in universe.installed:
                yield _of_universe(f"installed.{name}: depends on {needed}, which is not installed")
        for path in star.files:
            if owners.setdefault(path, name) != name:
                yield _of_universe(f"{shown(path)} belongs to both {owners[path]} and {name}")


def _of_universe(problem: str) -> Difference:
    return Difference(path=UNIVERSE_PATH, star="", problem=problem)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
