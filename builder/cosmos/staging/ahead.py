"""What is going to be fetched of several stars: a remote galaxy sends several files at the same time.

Every command that fetches many stars says so first (`fetching_ahead`), and then fetches one after the other, as before.
So it judges, reports and fails in the order of the stars, whichever file came first (transport.ahead). A file that
the store has is not fetched, and a local galaxy is read file by file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from cosmos.digest import Digest
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_INDEX_ENVELOPE_BYTES
from cosmos.model.lock import LockedStar
from cosmos.model.names import StarName
from cosmos.model.statement import manifest_path
from cosmos.reading import ENVELOPE_SUFFIX
from cosmos.staging.beside import beside_path
from cosmos.staging.source import Source, statement_path
from cosmos.transport.carrier import Expected
from cosmos.trust.galaxies import VerifiedIndex


@contextmanager
def fetching_ahead(wanted: Iterable[tuple[Source, Sequence[Expected]]]) -> Iterator[None]:
    """Give a block in which these files are going to be fetched, in this order."""
    files: dict[str, tuple[Source, list[Expected]]] = {}
    for source, expected in wanted:
        files.setdefault(source.galaxy, (source, []))[1].extend(expected)
    with ExitStack() as stack:
        for source, expected in files.values():
            if source.carrier is not None and len(expected) > 1:
                stack.enter_context(source.carrier.expecting(expected))
        yield


def star_files(source: Source, index: VerifiedIndex, star: LockedStar) -> list[Expected]:
    """Return what is to be fetched of a locked star: its statement, its signatures and its archive.

    A galaxy in upstream's format has no statements.
    """
    row = index.rows.get(star.statement)
    statement = [] if row is None else statement_files(source, row.stem, row.statement)
    return [*statement, *archive_files(source, star)]


def statement_files(source: Source, stem: str, statement: Digest) -> list[Expected]:
    """Return what is to be fetched of a statement."""
    if not _is_remote(source) or source.has_kept(statement):
        return []
    path = statement_path(stem)
    return [
        Expected(path=path, most=MAX_DOCUMENT_BYTES),
        Expected(path=path + ENVELOPE_SUFFIX, most=MAX_INDEX_ENVELOPE_BYTES),
    ]


def archive_files(source: Source, star: LockedStar) -> list[Expected]:
    """Return what is to be fetched of an archive."""
    if not _is_remote(source) or source.store.has(star.archive, star.size_bytes):
        return []
    return [Expected(path=star.file, most=star.size_bytes, digest=star.archive)]


def manifest_files(source: Source, name: StarName) -> list[Expected]:
    """Return what is to be fetched of a star's manifest in a galaxy of upstream's format."""
    return [Expected(path=manifest_path(name), most=MAX_DOCUMENT_BYTES)] if _is_remote(source) else []


def files_beside(source: Source, stem: str, suffix: str, most: int) -> list[Expected]:
    """Return what is to be fetched of a file beside a statement: a log proof, or badges. A galaxy may lack it."""
    return [Expected(path=beside_path(stem, suffix), most=most)] if _is_remote(source) else []


def _is_remote(source: Source) -> bool:
    return source.carrier is not None and not source.carrier.is_local
