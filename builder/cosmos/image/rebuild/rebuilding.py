"""`cosmos rebuild`: build a release again from itself, and compare every file.

  1  judge the release's own signature and files                    (original)
  2  fetch and verify every star of its lock into a store of its own
  3  build it again from there, cold, in a process of its own       (job)
  4  compare: every file, and if one differs, every path
  5  adversarial: again with one thing varied at a time, then with everything varied; a difference that shows with
     several things alone is halved until none can be left out

Nothing that another build has made is used. The folder of a rebuild is removed at its end, unless it is kept.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.durable import temporary_folder
from cosmos.errors import CosmosError, Malformed
from cosmos.image.definition import read_definition
from cosmos.image.flow import fetched
from cosmos.image.home import Home
from cosmos.image.preflight import BuildOptions, preflight
from cosmos.image.rebuild.culprit import first_unlike, receipts_of
from cosmos.image.rebuild.job import LAYERS_FILE, Job, read_layers, secrets_to_bytes
from cosmos.image.rebuild.original import Original, lay_out
from cosmos.image.rebuild.trials import (
    CALM,
    EVERYTHING,
    Rebuilder,
    RebuildOptions,
    Rebuilt,
    Trial,
    causes_of,
    smallest,
)
from cosmos.image.rebuild.variations import (
    SHARED_MEMORY,
    Circumstances,
    Variation,
    applied,
    command,
    started_decoys,
    tools_path,
)
from cosmos.image.rebuild.world import RebuildWorld
from cosmos.keyring.anchors import home_anchor
from cosmos.keyring.store_key import store_key
from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.model.receipts import RECEIPTS_FILE
from cosmos.model.release import DEFINITION_FILE, RELEASE_FILE, Release
from cosmos.process import run_program
from cosmos.reading import read_bounded
from cosmos.release.diff.comparison import Comparison, compare
from cosmos.store.blobs import StoreFolder
from cosmos.store.sealed import NotSealed, Seal, SealedStore
from cosmos.treepath import TreePath

_BUILD_SECONDS: Final = 4 * 3600  # of one build; what takes longer has a program that hangs
_PID_FILE: Final = "pid"
_TOOLS: Final = "tools"
_FAKETIME_LEFT: Final = ("faketime_shm_{}", "sem.faketime_sem_{}")  # in /dev/shm; libfaketime forgets them at an exec
_PREFIX: Final = "cosmos-rebuild-"  # of temporary folders
_NOT_SHOWN: Final = "it holds a secret, so its contents are not shown: was the same value given?"


def rebuild(original: Original, home: Home, rebuilder: Rebuilder, options: RebuildOptions) -> Rebuilt:
    """Build `original` again as often as `options` says. Raises the errors of `cosmos.errors` up to the first build."""
    original.demand_secrets(options.secrets)
    with temporary_folder(_PREFIX) as folder:
        workshop = _Workshop(original, home, rebuilder, options, folder)
        workshop.fetch()
        trials = [
            workshop.tried(_numbered(CALM, number, options.times), "nothing is varied", Circumstances())
            for number in range(options.times)
        ]
        here = tuple(variation for variation in options.variations if not variation.missing)
        for variation in here:
            trials.append(workshop.tried(variation.name, variation.what, applied((variation,))))
        if here:
            trials.append(workshop.tried(EVERYTHING, f"all {len(here)} together", applied(here)))
        return Rebuilt(
            original=original,
            content_root=workshop.content_root,
            trials=tuple(trials),
            not_tried={one.name: one.missing for one in options.variations if one.missing},
            culprits=_culprits(workshop, trials, here),
            causes=causes_of(trials, here),
            poisoned=workshop.poisoned,
        )


@contextlib.contextmanager
def _named_in(packed: Path, laid_out: Path) -> Iterator[None]:
    """Let an error about a file below `laid_out`, a temporary folder, name it as a file of the archive `packed`."""
    try:
        yield
    except CosmosError as error:
        if error.where.startswith(f"{laid_out}/"):
            error.where = f"{packed}: {error.where.removeprefix(f'{laid_out}/')}"
        raise


class _Workshop:
    """The folder of a rebuild: the definition, a home with the pinned keys, the fetched stars, one folder a trial."""

    def __init__(
        self, original: Original, home: Home, rebuilder: Rebuilder, options: RebuildOptions, folder: Path
    ) -> None:
        self._original = original
        self._home = home
        self._rebuilder = rebuilder
        self._options = options
        self._folder = folder
        self._number = 0
        self._secret_files: Collection[TreePath] = ()
        self.image = lay_out(original, folder / "definition")
        self.content_root = _content_root(original.release)
        self._receipts = receipts_of(original.folder)
        self.poisoned: tuple[str, ...] = ()

    def fetch(self) -> None:
        """Fetch and verify what the lock names. Raises as `cosmos build` does."""
        world = RebuildWorld(
            home=self._home.home,
            offline=self._home.offline,
            reporter=self._home.reporter,
            upper=self._folder / "fetched",
            lower=self._home.home / "store",
            origin=self._options.base,
            network=self._home.network,
        )
        options = BuildOptions(
            out=self._folder / "none",
            jobs=1,
            identity=self._rebuilder.identity,
            builder=self._rebuilder.builder,
            level=self._original.level,
            accept_revoked=frozenset(self._original.accepted),
            secrets=self._options.secrets,
        )
        with _named_in(self._original.folder / DEFINITION_FILE, self._folder / "definition"):
            ready = preflight(read_definition(self.image), world, options)
        self._secret_files = ready.template.secret_files
        found = fetched(ready, world, options)
        for one in found.stars.values():
            world.store.get(one.star.archive, one.star.size_bytes)  # also what the builder's own store had already
        world.store.settle()
        trust = home_anchor(self._home.home).path.parent
        if trust.is_dir():
            shutil.copytree(trust, self._folder / "home" / "trust")

    def tried(self, name: str, what: str, now: Circumstances) -> Trial:
        """Return what comes of one rebuild under the circumstances `now`."""
        self._home.reporter.item(f"rebuild: {name} ({what})")
        self._number += 1
        place = self._folder / f"{self._number}" / now.folder
        place.mkdir(parents=True)
        out = place / "out"
        try:
            with _temporary(now, place) as temporary:
                self._run(now, place, out, temporary)
                if self._number == 1:
                    self.poisoned = self._found_in_store(place, temporary)
            trial = self._compared(name, what, out)
        except CosmosError as error:
            trial = Trial(name=name, what=what, problem=str(error))
        trial = replace(trial, started=started_decoys(place / _TOOLS))
        if self._options.kept is not None and out.is_dir():
            if self._options.secrets:
                self._options.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copytree(out, self._options.kept / name.replace(" ", "-"), dirs_exist_ok=True)
        shutil.rmtree(place.parent, ignore_errors=True)
        return trial

    def part(self, some: tuple[Variation, ...]) -> Trial:
        """Return what comes of a rebuild with `some` of the variations."""
        return self.tried(f"part {self._number + 1}", ", ".join(one.name for one in some), applied(some))

    def _run(self, now: Circumstances, place: Path, out: Path, temporary: Path) -> None:
        home, definition = place / "home", place / "definition"
        if (self._folder / "home").is_dir():
            shutil.copytree(self._folder / "home", home)
        shutil.copytree(self._folder / "definition", definition, symlinks=True)
        job = Job(
            definition=definition / self.image.relative_to(self._folder / "definition"),
            home=home,
            upper=temporary / "store",
            lower=self._folder / "fetched",
            out=out,
            jobs=now.jobs,
            level=self._original.level,
            accepted=self._original.accepted,
            shuffle=now.shuffle,
            secrets=tuple(self._options.secrets),
        )
        file = place / "job.json"
        file.write_bytes(job.to_bytes())
        path = tools_path(now, place / _TOOLS, self._rebuilder.env.get("PATH", ""))
        env = {"HOME": str(place), **self._rebuilder.env, "PATH": path, **now.env, "TMPDIR": str(temporary)}
        if now.user is not None:
            _give(self._folder, place, temporary, now.user)
        try:
            run_program(
                command(now, (*self._rebuilder.argv, str(file)), place / _PID_FILE),
                env=env,
                cwd=place,
                stdin=secrets_to_bytes(self._options.secrets),
                timeout_seconds=_BUILD_SECONDS,
                where="rebuild",
            )
        finally:
            _tidy_shared_memory(place / _PID_FILE)

    def _found_in_store(self, place: Path, temporary: Path) -> tuple[str, ...]:
        """Return a sentence about each record in the builder's store that is not what the rebuild made itself.

        No record of it was used: this says why a build that used them gave something else.
        """
        made = SealedStore(StoreFolder(temporary / "store"), Seal(store_key(place / "home")))
        found: list[str] = []
        for star, key in read_layers(place / LAYERS_FILE).items():
            try:
                kept = self._home.made.get_result(key)
            except NotSealed as forged:
                found.append(f"{star}: {forged}")
                continue
            if kept is not None and kept != made.get_result(key):
                found.append(f"{star}: the store's record of {key.short} is another layer than its script makes now")
        for sentence in found:
            self._home.reporter.warn(f"{self._home.home / 'store'} is poisoned: {sentence}")
        return tuple(found)

    def _compared(self, name: str, what: str, out: Path) -> Trial:
        data = read_bounded(out / RELEASE_FILE, MAX_RELEASE_BYTES)
        release = Release.parse(data, str(out / RELEASE_FILE))
        files, wanted = {**_digests(release), RELEASE_FILE: Digest.of(data)}, self._wanted(release)
        unlike = tuple(sorted(one for one in files.keys() | wanted.keys() if files.get(one) != wanted.get(one)))
        return Trial(
            name=name,
            what=what,
            files=unlike,
            content_root=_content_root(release),
            builder=release.builder,
            comparison=self._unshown(compare(self._original.folder, out)) if unlike else None,
            unlike=first_unlike(self._receipts, receipts_of(out)) if RECEIPTS_FILE in unlike else {},
        )

    def _wanted(self, release: Release) -> dict[str, Digest]:
        """Return the digests that the files should have.

        RELEASE.json names who built, and its builder chose the words of the page. So another builder is no difference,
        but all else has to be the same.
        """
        stated = self._original.release
        if (stated.builder, stated.form) == (release.builder, release.form):
            return {**_digests(stated), RELEASE_FILE: _digest_of(self._original.folder / RELEASE_FILE)}
        by_us = stated.by(release)
        return {**_digests(by_us), RELEASE_FILE: Digest.of(by_us.to_bytes())}

    def _unshown(self, found: Comparison) -> Comparison:
        """Return the comparison without the contents of files that hold a secret."""
        if found.tree is None or not self._secret_files:
            return found
        differences = tuple(
            replace(one, inside=(_NOT_SHOWN,)) if {one.path, one.moved_to} & {*self._secret_files} else one
            for one in found.tree.differences
        )
        return replace(found, tree=replace(found.tree, differences=differences))


def _culprits(workshop: _Workshop, trials: list[Trial], here: tuple[Variation, ...]) -> tuple[str, ...]:
    """Return the variations that make a difference. If only several together do, halve until none can be left out."""
    calm = [trial for trial in trials if not trial.is_same and trial.name.startswith(CALM)]
    if calm:
        return ()  # it differs without any variation
    alone = [trial.name for trial in trials if not trial.is_same and trial.name != EVERYTHING]
    if alone or trials[-1].is_same:
        return tuple(alone)
    return tuple(one.name for one in smallest(here, lambda part: not workshop.part(part).is_same))


@contextlib.contextmanager
def _temporary(now: Circumstances, place: Path) -> Iterator[Path]:
    """Give the folder for temporary files: inside `place`, or elsewhere if the circumstances say so."""
    if now.temporary is None:
        (place / "tmp").mkdir()
        yield place / "tmp"
        return
    with temporary_folder(_PREFIX, now.temporary) as folder:
        yield folder


def _give(folder: Path, place: Path, temporary: Path, user: int) -> None:
    """Let `user` read the workshop and own its own part of it."""
    for above in (folder, place.parent):
        above.chmod(0o755)
    for top in (place, temporary):
        for one in (top, *sorted(top.rglob("*"))):
            os.chown(one, user, user, follow_symlinks=False)
    for one in sorted((folder / "fetched").rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)
    (folder / "fetched").chmod(0o755)


def _tidy_shared_memory(pid_file: Path) -> None:
    """Remove what libfaketime left behind for the process whose number is in `pid_file`."""
    number = pid_file.read_text().strip() if pid_file.is_file() else ""
    if number.isdecimal():
        for name in _FAKETIME_LEFT:
            (SHARED_MEMORY / name.format(number)).unlink(missing_ok=True)


def _digests(release: Release) -> dict[str, Digest]:
    return {subject.name: subject.digest for subject in release.subjects}


def _digest_of(file: Path) -> Digest:
    with file.open("rb") as stream:
        return Digest.of_stream(stream)


def _content_root(release: Release) -> Digest:
    root = release.internal.get("contentRoot")
    try:
        return Digest.parse(root if isinstance(root, str) else "")
    except ValueError as error:
        raise Malformed(RELEASE_FILE, f"internalParameters.contentRoot: {error}") from error


def _numbered(name: str, number: int, times: int) -> str:
    return name if times == 1 else f"{name}, {number + 1} of {times}"
