"""`stellar attest`: an attester says of a star's archive that its test or a scan passed, or failed (`trust.badges`)."""

from __future__ import annotations

from pathlib import Path

from cosmos.content import content_digest
from cosmos.durable import write_durably
from cosmos.errors import Malformed, Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_STAR_ARCHIVE_BYTES
from cosmos.model.reporter import Reporter
from cosmos.model.statement import Statement
from cosmos.reading import file_content, is_there, read_bounded
from cosmos.records import dataclass
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.trust.badges import BADGES_SUFFIX, MAX_BADGES_BYTES, Claim, Kind, Result, add_badge
from cosmos.trust.roles import IN_TOTO_TYPE


@dataclass(frozen=True, kw_only=True, slots=True)
class Attested:
    """A new badge in `file`."""

    claim: Claim
    file: Path


def attest_star(statement_file: Path, kind: Kind, result: Result, key: SecretKey, reporter: Reporter) -> Attested:
    """Add a badge for the archive that the statement names; raises `Refused` or `Malformed`.

    An attester must have the archive: it is read, and must have the digest that the statement names.
    """
    if key.role != "attester":
        raise Refused(
            f"key {key.public.name}",
            f"has the role {key.role}, but only an attester's badge counts",
            hint="to make such a key: cosmos key new NAME --role attester",
        )
    source = str(statement_file)
    statement = Statement.parse(read_bounded(statement_file, MAX_DOCUMENT_BYTES), source)
    galaxy, star = GalaxyFolder(root=statement_file.parent.parent), statement.star
    archive = galaxy.root / statement.file
    if not is_there(archive):
        raise Malformed(source, f"names the archive {statement.file}, which is not there")
    got = content_digest(file_content(archive, MAX_STAR_ARCHIVE_BYTES))
    if got != statement.archive:
        raise Refused(str(archive), f"the statement names {statement.archive}, but the archive is {got}")
    claim = Claim(kind=kind, name=statement.star.id, digest=statement.archive, result=result)
    file = statement_file.with_name(f"{galaxy.stem_of(star.name, star.version, star.arch)}{BADGES_SUFFIX}")
    with galaxy.publishing(reporter):
        old = read_bounded(file, MAX_BADGES_BYTES) if is_there(file) else b""
        write_durably(file, add_badge(old, key.sign(IN_TOTO_TYPE, claim.to_bytes()), str(file)))
    return Attested(claim=claim, file=file)
