"""Whether a build has anything to do: the first look of `cosmos build`, before most of the program is imported.

For a signed release, this look is not enough: everything that the release asserts is verified again (`signed_again`),
unless `signed-from-memory = true` stands under [store] in HOME/config.toml. `--trust-stat` is refused for one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cosmos.canon import Json
from cosmos.cli.cosmos.own_program import own_terms
from cosmos.cli.terminal import surroundings
from cosmos.digest import Digest
from cosmos.errors import CosmosError
from cosmos.image.home_config import home_settings
from cosmos.image.kept_release import (
    ABSENT,
    Kept,
    Place,
    Places,
    kept_key,
    read_kept,
    terms_digest,
    unchanged,
    write_kept,
)
from cosmos.image.template_folder import IMAGE_FILE
from cosmos.keyring.store_key import STORE_KEY_FILE, store_key
from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.model.home_settings import HomeSettings
from cosmos.model.names import GalaxyName
from cosmos.model.release import RELEASE_ENVELOPE, RELEASE_FILE, Release, draft_prefix
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.stamps import SETTLED_NANOSECONDS, Seen
from cosmos.store.blobs import StoreFolder
from cosmos.store.sealed import NotSealed, Seal, SealedStore
from cosmos.transport.local import LocalCarrier

if TYPE_CHECKING:
    from cosmos.staging.source import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a build or a freeze is asked, as far as it decides the result. `terms` hashes this program when called."""

    image: Path
    home: Path
    out: Path
    terms: Callable[[], str]
    settings: HomeSettings
    settled: int
    trusts_stat: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Unchanged:
    """The answer that nothing changed: the release, and how many files were read to see that, of how many.

    `digests` has the SHA-256 of each file of the release, by name, in hex.
    """

    release: Release
    content_root: Digest
    signed: bool
    remarks: Mapping[str, Json]
    files: int
    hashed: int
    digests: Mapping[str, str]

    def texts(self, key: str) -> list[str]:
        """Return the sentences that were said then, under this key of the remarks."""
        said = self.remarks[key]
        return [str(text) for text in said] if isinstance(said, list) else []


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A record of which every file is as it was: how many files there are, and how many of them were read."""

    kept: Kept
    files: int
    hashed: int

    @property
    def said(self) -> str:
        """The sentence for people."""
        return how_seen(self.files, self.hashed)


def how_seen(files: int, hashed: int) -> str:
    """Return the sentence that nothing changed, and how that was seen."""
    others = ", the others have the stat of the last time" if hashed < files else ""
    return f"nothing changed: {hashed:,} of {files:,} files were hashed again{others}"


def question(
    image: Path, home: Path | None, out: Path | None, options: Mapping[str, Json], *, trusts_stat: bool
) -> Question | None:
    """Return the question, or None if the image has no folder of its own: then the build begins as usual."""
    around = surroundings()
    folder = image if image.is_dir() else image.parent
    if not image.is_dir() and image.name != IMAGE_FILE:
        return None
    place = around.home(home, near=image)
    kernel = tuple(os.uname())[::2]  # its name, release and processor: not the host's name
    sought = (str(around.at(str(folder))), around.environ.get("HOME", ""))  # by lint
    folders: list[Json] = [os.fsencode(path).hex() for path in sought]  # which may be no UTF-8

    def terms() -> str:
        return terms_digest({**options, "folders": folders, "program": own_terms(), "machine": [*kernel]})

    return Question(
        image=folder,
        home=place,
        out=out or folder / "out",
        terms=cache(terms),
        settings=home_settings(place),
        settled=int(around.now() * 1e9) - SETTLED_NANOSECONDS,
        trusts_stat=trusts_stat,
    )


def look(asked: Question) -> Unchanged | str:
    """Return the answer that nothing changed; else a sentence: what has changed first, as far as it is known."""
    found = look_at(asked, kept_key(asked.image, asked.out), "the release is made again")
    if isinstance(found, str):
        return found
    data = read_bounded(asked.out / RELEASE_FILE, MAX_RELEASE_BYTES)
    return Unchanged(
        release=Release.parse(data, str(asked.out / RELEASE_FILE)),
        content_root=Digest.parse(found.kept.content_root),
        signed=(asked.out / RELEASE_ENVELOPE).is_file(),
        remarks=found.kept.remarks,
        files=found.files,
        hashed=found.hashed,
        digests={path: seen.what.split(" ")[0] for (where, path), seen in found.kept.rows.items() if where == "out"},
    )


def look_at(asked: Question, key: Digest, instead: str, *, is_release: bool = True) -> Look | str:
    """Return what was seen if all is as the record under `key` says; else a sentence: what has changed first.

    `instead` says what is done if somebody changed the record. A record of a lock is of no release.
    """
    if not (asked.home / STORE_KEY_FILE).exists():
        return "this home has built nothing yet"
    folder = StoreFolder(asked.home / "store")
    with folder.hold():
        store = SealedStore(folder, Seal(store_key(asked.home)))
        try:
            kept = read_kept(store, key)
        except NotSealed as forged:
            surroundings().reporter(quiet=False).warn(f"{forged}; it is not believed, and {instead}")
            return "the store's record of it was changed"
        if kept is None:
            return "this home has not made it yet"
        if is_release and kept.terms != asked.terms():
            return "the program, its options or the machine"
        seen = unchanged(kept, _places(asked, kept, folder, is_release=is_release))
        if isinstance(seen, str):
            return seen
        if kept.terms != asked.terms():  # a freeze that has something to do need not know
            return "the program, its options or the machine"
        _keep_stats(store, key, kept, seen)
    there = {place: one for place, one in seen.items() if one.what != ABSENT}
    by_stat = sum(one.stat != "" and one.stat == kept.rows[place].stat for place, one in there.items())
    return Look(kept=kept, files=len(there), hashed=len(there) - (by_stat if asked.trusts_stat else 0))


def sweep_left(asked: Question) -> None:
    """Remove what killed builds left beside the release and in the store, as a build does that makes a release.

    What cannot be removed stays: the release is as it was.
    """
    out = asked.out.absolute()
    with suppress(OSError, CosmosError):
        StoreFolder(asked.home / "store").sweep()
    with suppress(OSError, CosmosError):
        prefix = draft_prefix(out.name)
        if any(name.startswith(prefix) for name in os.listdir(out.parent)):  # noqa: PTH208 names alone are quicker
            from cosmos.release.draft import sweep_beside  # loaded where something lies there

            sweep_beside(out)


def known_files(asked: Question) -> Mapping[Place, Seen]:
    """Return what the record of the last build says of each file; a record that is not ours says nothing."""
    if not (asked.home / STORE_KEY_FILE).exists():
        return {}
    folder = StoreFolder(asked.home / "store")
    try:
        kept = read_kept(SealedStore(folder, Seal(store_key(asked.home))), kept_key(asked.image, asked.out))
    except NotSealed:
        return {}  # `look` has said so
    return {} if kept is None else kept.rows


def _places(asked: Question, kept: Kept, store: StoreFolder, *, is_release: bool) -> Places:
    return Places(
        image=asked.image,
        home=asked.home,
        out=asked.out,
        template=_path(kept.folder),
        galaxies={name: LocalCarrier(_path(folder)) for name, (folder, _, _) in kept.galaxies.items()},
        settled=asked.settled,
        known=kept.rows,
        trusts_stat=asked.trusts_stat,
        sources=_sources(asked, kept, store) if kept.remotes else {},
        has_release=is_release,
    )


def _sources(asked: Question, kept: Kept, store: StoreFolder) -> Mapping[str, Source]:
    """Return the remote galaxies of the last build. No connection is made yet."""
    from cosmos.cli.network import network  # without such a galaxy, none of this is needed
    from cosmos.staging.source import Source
    from cosmos.transport.opening import open_carrier

    reached = network()
    return {
        name: Source(
            galaxy=GalaxyName(name),
            carrier=open_carrier(address, asked.image, store.partial_dir, reached),
            store=store,
        )
        for name, address in kept.remotes.items()
    }


def _keep_stats(store: SealedStore, key: Digest, kept: Kept, seen: Mapping[Place, Seen]) -> None:
    """Keep the stats that are known now and were not before: the next build may be told to trust them."""
    rows = {place: one if one.stat else kept.rows[place] for place, one in seen.items()}
    if rows != kept.rows:
        write_kept(
            store,
            key,
            Kept(
                terms=kept.terms,
                template=kept.template,
                folder=kept.folder,
                content_root=kept.content_root,
                remarks=kept.remarks,
                galaxies=kept.galaxies,
                remotes=kept.remotes,
                rows=rows,
            ),
        )


def _path(text: str) -> Path:
    return Path(os.fsdecode(bytes.fromhex(text)))
