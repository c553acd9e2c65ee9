"""Remove stars: `uninstall` those that are named, `autoremove` those that nobody needs any more. One transaction.

A star that another star needs is refused, unless the other goes too, or with `force`. Without `force`, the star
`cosmos` stays, because nothing else could bring a star back, and so do the stars that the image asked for, because a
kernel or an init may be among them (docs/decisions/0033).

For what happens to each path, see `device.leaving`, and for folders `device.shared_folders`. Nothing is ever removed
that is not what the star put there, except changed configuration with `purge`. `purge` also removes the files of a star
that another program recorded without digests; without it such a star is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from cosmos.device.dependants import dependants, unneeded, without
from cosmos.device.journal import at_work, journal, looking
from cosmos.device.leaving import Kept, Leaving, demand_no_link_above, recorded
from cosmos.device.live_entries import found_identity
from cosmos.device.recovery import Undone
from cosmos.device.root import LiveRoot
from cosmos.device.settling import settle
from cosmos.device.shared_folders import settled_folders
from cosmos.device.system import demand_system, read_universe, rendered, universe_bytes
from cosmos.device.transaction import Batch, Transaction
from cosmos.digest import Digest
from cosmos.errors import NoSolution
from cosmos.model.changes import Change, Remove
from cosmos.model.history import star_changes, versions_of
from cosmos.model.installed_entry import recorded_bytes
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter
from cosmos.model.universe import PROGRAM, Installed, Universe
from cosmos.model.version import Version
from cosmos.records import dataclass

_IMAGE = "image"  # who asked for a star that came with the image
_FEW = 6  # names in one sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class UninstallRequest:
    """The stars to remove. `autoremove` names no star: it finds them itself."""

    stars: Sequence[StarName] = ()
    force: bool = False
    purge: bool = False
    wait_seconds: float = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """The removed stars (from a rehearsal: those that would be removed), and what became of their paths.

    `files` and `folders` count the removed ones, and `size_bytes` are the bytes that the stars took. `kept` are paths
    that stay. `forced` are dependencies that stars which stay have lost. `unneeded` are stars that nobody needs now.
    """

    stars: tuple[tuple[StarName, Version], ...]
    files: int
    folders: int
    size_bytes: int
    kept: tuple[Kept, ...]
    forced: tuple[tuple[StarName, tuple[StarName, ...]], ...]
    unneeded: tuple[StarName, ...]
    undone: Undone | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    batches: tuple[Batch, ...]
    after: Universe
    removal: Removal


def uninstall(
    root: LiveRoot, request: UninstallRequest, reporter: Reporter, agree: Callable[[Removal], None] = lambda _: None
) -> Removal:
    """Remove the stars of `request`. If it raises an error, also one of `agree`, the system stays as it was."""
    return _carried_out(root, request, reporter, agree, is_auto=False)


def rehearse_uninstall(root: LiveRoot, request: UninstallRequest) -> Removal:
    """Return what `uninstall` would do, and change nothing."""
    with looking(root):
        universe = read_universe(root)
        return _planned(root, universe, _demanded(root, universe, request), request).removal


def autoremove(
    root: LiveRoot, request: UninstallRequest, reporter: Reporter, agree: Callable[[Removal], None] = lambda _: None
) -> Removal:
    """Remove the stars that nobody asked for and that no star needs any more. `agree`: as for `uninstall`."""
    return _carried_out(root, request, reporter, agree, is_auto=True)


def rehearse_autoremove(root: LiveRoot, request: UninstallRequest) -> Removal:
    """Return what `autoremove` would do, and change nothing."""
    with looking(root):
        universe = read_universe(root)
        return _planned(root, universe, unneeded(universe), request).removal


def _carried_out(
    root: LiveRoot, request: UninstallRequest, reporter: Reporter, agree: Callable[[Removal], None], *, is_auto: bool
) -> Removal:
    demand_system(root)
    with at_work(root, request.wait_seconds):
        undone = settle(root, reporter)
        universe = read_universe(root)
        going = unneeded(universe) if is_auto else _demanded(root, universe, request)
        plan = _planned(root, universe, going, request)
        if going:
            agree(plan.removal)
            command = "autoremove" if is_auto else "uninstall"
            with journal(root, tag=Digest.of(universe_bytes(root) or b"").short, command=command) as going_on:
                transaction = Transaction(root, going_on)
                for batch in plan.batches:
                    transaction.prepare(batch)
                transaction.publish()
                transaction.commit(rendered(plan.after), star_changes(versions_of(universe), versions_of(plan.after)))
    return replace(plan.removal, undone=undone)


def _demanded(root: LiveRoot, universe: Universe, request: UninstallRequest) -> tuple[StarName, ...]:
    """Return the stars to remove, or raise `NoSolution` that names all stars which stand against it."""
    going = tuple(dict.fromkeys(request.stars))
    missing = [name for name in going if name not in universe.installed]
    if missing:
        hint = f"to list what is installed: cosmos status --json{root.option}"
        if len(missing) == 1:
            raise NoSolution(missing[0], "is not installed", hint=hint)
        raise NoSolution(_listed(missing), "are not installed", hint=hint)
    if request.force:
        return going
    needed = dependants(universe, going)
    if needed:
        every = " ".join((*going, *_all_dependants(universe, going)))
        raise NoSolution(
            "no solution",
            "; ".join(f"{name} is needed by {_listed(names)}" for name, names in needed.items()),
            hint=f"remove what needs it too: cosmos uninstall {every}{root.option}; or add --force",
        )
    for name in going:
        hint = f"if you are sure: cosmos uninstall {' '.join(going)} --force{root.option}"
        if name == PROGRAM:
            raise NoSolution(name, "is this program: without it, nothing on the system can install a star", hint=hint)
        if _IMAGE in universe.installed[name].asked_by:
            problem = "came with the image, which asked for it, and the system may not start without it"
            raise NoSolution(name, problem, hint=hint)
    return going


def _all_dependants(universe: Universe, going: Iterable[StarName]) -> tuple[StarName, ...]:
    """Return the stars that must go besides `going`: those that need one of them, and those that need these, sorted."""
    all_going = set(going)
    while True:
        more = {name for names in dependants(universe, all_going).values() for name in names}
        if not more:
            return tuple(sorted(all_going - set(going)))
        all_going |= more


def _planned(root: LiveRoot, universe: Universe, going: Sequence[StarName], request: UninstallRequest) -> _Plan:
    leaving = Leaving(root, purges=request.purge)
    batches = [
        Batch(star=name, changes=tuple(_changes(root, name, universe.installed[name], leaving, request)), entries={})
        for name in going
    ]
    after = without(universe, going)
    folders = settled_folders(root, universe, after.installed, leaving.removed, {}, {})
    after = replace(after, installed=folders.installed)
    if folders.changes:
        batches.append(Batch(star="", changes=folders.changes, entries={}))
    full = [Kept(path=path, star=star, why="the folder is not empty") for path, star in folders.full]
    stars = [(name, universe.installed[name]) for name in going]
    removal = Removal(
        stars=tuple((name, star.version) for name, star in stars),
        files=len(leaving.removed),
        folders=len(folders.changes),
        size_bytes=sum(recorded_bytes(star.entries) or 0 for _, star in stars),
        kept=tuple(sorted((*leaving.kept, *full), key=lambda one: one.path)),
        forced=tuple(dependants(universe, going).items()),
        unneeded=unneeded(after),
    )
    return _Plan(batches=tuple(batches), after=after, removal=removal)


def _changes(
    root: LiveRoot, name: StarName, star: Installed, leaving: Leaving, request: UninstallRequest
) -> Iterator[Change]:
    if not star.files or star.entries:
        yield from leaving.changes(recorded(name, star.entries))
        return
    if not request.purge:
        raise NoSolution(
            name,
            "was recorded by another program without digests, so cosmos cannot tell its files from changed ones",
            hint="to remove all its files as they are now: add --purge",
        )
    for path in sorted(star.files):
        demand_no_link_above(root, path, name)
        found = found_identity(root, path)
        if found is not None and found.kind != "dir" and path not in leaving.removed:
            leaving.removed.add(path)
            yield Remove(path=path, old=found)


def _listed(names: Iterable[StarName]) -> str:
    """Return the names in one sentence."""
    every = sorted(names)
    more = f" and {len(every) - _FEW} more" if len(every) > _FEW else ""
    return f"{', '.join(every[:_FEW])}{more}"
