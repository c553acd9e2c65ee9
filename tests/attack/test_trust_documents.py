"""Attack by attack on what is signed: statements, indexes, archives and releases. Each is refused with exit code 4."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.lock import LockedStar
from cosmos.model.names import Arch, GalaxyName, KeyName, StarName
from cosmos.model.star import Star
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.trust.archives import VerifiedArchive, verify_archive
from cosmos.trust.dsse import BadEnvelope, NotSigned, Signature, assemble, pae
from cosmos.trust.floors import Floors
from cosmos.trust.galaxies import VerifiedIndex, verify_index
from cosmos.trust.keys import PublicKey
from cosmos.trust.releases import ReleaseKeys, verify_release
from cosmos.trust.roles import GALAXY_TYPE, IN_TOTO_TYPE, STAR_TYPE, Role
from cosmos.trust.roots import AuthorKey, Revoked, RoleKeys, TrustRoots
from cosmos.trust.stars import VerifiedStatement, verify_statement


def secret(name: str, role: Role) -> SecretKey:
    return SecretKey(name=KeyName(name), role=role, seed=name.encode().ljust(32, b"."))


ROOT, MIRROR, SHIP = secret("root", "root"), secret("mirror", "galaxy"), secret("ship", "release")
CAROL, DAVE, MALLORY = (secret(name, "author") for name in ("carol", "dave", "mallory"))
CORE, ZLIB, V131 = GalaxyName("core"), StarName("zlib"), Version.parse("1.3.1")
ARCHIVE = b"not an archive, and no one looks"
SOURCE = "core: stars/zlib-1.3.1.toml"
ROOTS = TrustRoots(
    version=1,
    roles={
        "root": RoleKeys(threshold=1, keys=(ROOT.public,)),
        "galaxy": RoleKeys(threshold=1, keys=(MIRROR.public,)),
        "release": RoleKeys(threshold=1, keys=(SHIP.public,)),
    },
    authors=(
        AuthorKey(key=CAROL.public, galaxies=("core",), stars=("zlib", "lib*")),
        AuthorKey(key=DAVE.public, galaxies=("core",), stars=("zlib",)),
    ),
)


def statement(galaxy: str = "core", name: str = "zlib", version: str = "1.3.1", arch: str = "x86_64") -> bytes:
    made = Statement(
        star=Star(name=StarName(name), version=Version.parse(version), arch=Arch(arch)),
        galaxy=GalaxyName(galaxy),
        seq=7,
        archive=Digest.of(ARCHIVE),
        file=f"packages/{name}-{version}.tar.zst",
        size_bytes=len(ARCHIVE),
        unpacked_bytes=10240,
        script=None,
        content=Digest.of(b""),
    )
    return tomli_w.dumps(made.to_toml()).encode()


STATEMENT = statement()
SIGNED = CAROL.sign(STAR_TYPE, STATEMENT)


def judged(
    data: bytes = STATEMENT,
    envelope: bytes | None = SIGNED,
    *,
    roots: TrustRoots = ROOTS,
    allow_unsigned: bool = False,
    machine: Arch | None = None,
) -> VerifiedStatement:
    return verify_statement(
        data,
        envelope,
        galaxy=CORE,
        name=ZLIB,
        version=V131,
        roots=roots,
        allow_unsigned=allow_unsigned,
        source=SOURCE,
        machine=machine,
    )


def by_any_role(key: SecretKey, payload_type: str, payload: bytes) -> bytes:
    """Return what a signer without our rule about roles would make."""
    raw = key._signing.sign(pae(payload_type, payload)).signature
    return assemble(payload_type, payload, [Signature(keyid=key.public.id, raw=raw)])


# A star's statement


@pytest.mark.objective("SO-01")
def test_an_honest_statement_passes() -> None:
    verified = judged(machine=Arch("x86_64"))
    assert (verified.statement.star.name, verified.digest) == ("zlib", Digest.of(STATEMENT))
    assert verified.signers == (CAROL.public.id,)


@pytest.mark.objective("SO-01")
def test_a_star_that_is_not_signed_is_refused() -> None:
    with pytest.raises(NotSigned, match=r"is not signed: there is no \.dsse file beside it"):
        judged(envelope=None)


@pytest.mark.objective("SO-01")
def test_a_star_signed_by_a_key_that_is_not_pinned_is_refused() -> None:
    with pytest.raises(NotSigned):
        judged(envelope=MALLORY.sign(STAR_TYPE, STATEMENT))


@pytest.mark.objective("SO-01")
def test_a_star_signed_by_a_key_of_another_role_is_refused() -> None:
    for key in (ROOT, MIRROR, SHIP):
        with pytest.raises(NotSigned):
            judged(envelope=by_any_role(key, STAR_TYPE, STATEMENT))


@pytest.mark.objective("SO-01")
def test_a_star_outside_its_author_s_scope_is_refused() -> None:
    roots = dataclasses.replace(ROOTS, authors=(AuthorKey(key=CAROL.public, galaxies=("core",), stars=("bash",)),))
    with pytest.raises(NotSigned):
        judged(roots=roots)
    roots = dataclasses.replace(ROOTS, authors=(AuthorKey(key=CAROL.public, galaxies=("extra",), stars=("*",)),))
    with pytest.raises(NotSigned):
        judged(roots=roots)


@pytest.mark.objective("SO-12")
def test_a_star_by_a_revoked_author_is_refused() -> None:
    with pytest.raises(NotSigned):
        judged(roots=dataclasses.replace(ROOTS, revoked=(Revoked(key=CAROL.public.id, reason="stolen"),)))


@pytest.mark.objective("SO-04")
@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ({"galaxy": "extra"}, "is signed for galaxy extra, but stands in core"),
        ({"name": "libz"}, "is signed for star libz, but zlib was asked for"),
        ({"version": "1.3.0"}, "is signed for version 1.3.0, but 1.3.1 was asked for"),
        ({"version": "1.3.1+b2"}, r"is signed for version 1\.3\.1\+b2, but 1\.3\.1 was asked for"),
        ({"arch": "aarch64"}, "is for aarch64, and x86_64 was asked for"),
    ],
)
def test_the_right_file_in_the_wrong_place_is_refused(field: dict[str, str], problem: str) -> None:
    other = statement(**field)
    with pytest.raises(Refused, match=problem):
        judged(other, CAROL.sign(STAR_TYPE, other), machine=Arch("x86_64"))


@pytest.mark.objective("SO-04")
def test_a_star_for_any_machine_runs_on_each() -> None:
    other = statement(arch="any")
    assert judged(other, CAROL.sign(STAR_TYPE, other), machine=Arch("x86_64")).statement.star.arch == "any"


@pytest.mark.objective("SO-04")
def test_a_statement_of_another_star_under_this_name_is_refused_although_validly_signed() -> None:
    other = statement(version="1.2.0")
    with pytest.raises(BadEnvelope, match=r"signs sha256:.*, but .* is sha256:"):
        judged(STATEMENT, CAROL.sign(STAR_TYPE, other))


@pytest.mark.objective("SO-03")
def test_a_swapped_statement_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadEnvelope):
        judged(b"\xff this is not even TOML")
    with pytest.raises(NotSigned):
        judged(b"\xff", MALLORY.sign(STAR_TYPE, b"\xff"))


@pytest.mark.objective("SO-03")
def test_every_flipped_byte_of_a_statement_is_refused_with_exit_code_4() -> None:
    for place in range(len(STATEMENT)):
        data = bytearray(STATEMENT)
        data[place] ^= 0x20
        with pytest.raises(Refused) as caught:
            judged(bytes(data))
        assert caught.value.exit_code == 4


@pytest.mark.objective("SO-03")
def test_no_flipped_byte_of_an_envelope_leads_to_anything_but_this_statement_or_a_refusal() -> None:
    passed = []
    for place in range(len(SIGNED)):
        data = bytearray(SIGNED)
        data[place] ^= 1
        try:
            assert judged(envelope=bytes(data)).digest == Digest.of(STATEMENT)
            passed.append(place)
        except Refused:
            pass
    hint = SIGNED.index(CAROL.public.id.encode())
    assert passed == list(range(hint, hint + len(CAROL.public.id))), "only the key id is a mere hint"


@pytest.mark.objective("SO-04")
def test_a_signature_for_another_kind_of_document_is_refused() -> None:
    for kind in (GALAXY_TYPE, IN_TOTO_TYPE):
        with pytest.raises(BadEnvelope, match="want a signature for"):
            judged(envelope=by_any_role(CAROL, kind, STATEMENT))


@pytest.mark.objective("SO-02")
def test_one_author_does_not_make_two() -> None:
    two = dataclasses.replace(ROOTS, author_threshold=2)
    row = CAROL.signature(STAR_TYPE, STATEMENT)
    with pytest.raises(NotSigned, match="2 distinct pinned keys, got 1"):
        judged(envelope=assemble(STAR_TYPE, STATEMENT, [row, Signature(keyid=DAVE.public.id, raw=row.raw)]), roots=two)
    both = assemble(STAR_TYPE, STATEMENT, [row, DAVE.signature(STAR_TYPE, STATEMENT)])
    assert len(judged(envelope=both, roots=two).signers) == 2


@pytest.mark.objective("SO-02")
def test_a_second_author_who_may_not_sign_this_star_does_not_count() -> None:
    libc = statement(name="libc")
    both = [key.signature(STAR_TYPE, libc) for key in (CAROL, DAVE)]  # DAVE's scope is zlib alone
    with pytest.raises(NotSigned, match="2 distinct pinned keys, got 1"):
        verify_statement(
            libc,
            assemble(STAR_TYPE, libc, both),
            galaxy=CORE,
            name=StarName("libc"),
            version=V131,
            roots=dataclasses.replace(ROOTS, author_threshold=2),
            allow_unsigned=False,
            source=SOURCE,
        )


@pytest.mark.objective("SO-09")
def test_a_star_below_the_operator_s_floor_is_refused() -> None:
    floor = dataclasses.replace(ROOTS, floors=Floors(stars={ZLIB: "1.3.2"}))
    with pytest.raises(Refused, match=r"1\.3\.1 lies below the floor of 1\.3\.2"):
        judged(roots=floor)
    with pytest.raises(Refused, match="below the floor"):
        judged(roots=floor, envelope=None, allow_unsigned=True)
    assert judged(roots=dataclasses.replace(ROOTS, floors=Floors(stars={ZLIB: str(V131)})))


@pytest.mark.objective("SO-01")
def test_unsigned_passes_only_where_the_operator_said_so_and_names_no_signer() -> None:
    assert judged(envelope=None, allow_unsigned=True).signers == ()
    assert judged(envelope=MALLORY.sign(STAR_TYPE, STATEMENT), allow_unsigned=True).signers == ()
    assert judged(allow_unsigned=True).signers == (CAROL.public.id,)


@pytest.mark.objective("SO-03")
def test_where_unsigned_is_allowed_an_envelope_over_other_bytes_is_refused_all_the_same() -> None:
    with pytest.raises(BadEnvelope):
        judged(statement(name="zlib", arch="any"), allow_unsigned=True)
    with pytest.raises(BadEnvelope):
        judged(envelope=b"{}", allow_unsigned=True)


@pytest.mark.objective("SO-04")
def test_where_unsigned_is_allowed_the_wrong_name_is_refused_all_the_same() -> None:
    with pytest.raises(Refused, match="is signed for star libz"):
        judged(statement(name="libz"), None, allow_unsigned=True)


# A galaxy's index


def index_document(**changes: Any) -> bytes:
    made = GalaxyIndex(
        name=CORE,
        version="2026.11.22",
        seq=7,
        newest={ZLIB: V131},
        checksums={ZLIB: Digest.of(ARCHIVE)},
        snapshot=(Listed(name=ZLIB, version=V131, statement=Digest.of(STATEMENT), archive=Digest.of(ARCHIVE)),),
    )
    return tomli_w.dumps(dataclasses.replace(made, **changes).to_toml()).encode()


INDEX = index_document()


def judged_index(
    data: bytes, envelope: bytes | None, *, roots: TrustRoots = ROOTS, allow_unsigned: bool = False
) -> VerifiedIndex:
    return verify_index(
        data, envelope, galaxy=CORE, roots=roots, allow_unsigned=allow_unsigned, source="core: meta.toml"
    )


@pytest.mark.objective("SO-05")
def test_an_honest_index_passes() -> None:
    verified = judged_index(INDEX, MIRROR.sign(GALAXY_TYPE, INDEX))
    assert (verified.index.seq, verified.signers, verified.digest) == (7, (MIRROR.public.id,), Digest.of(INDEX))


@pytest.mark.objective("SO-05")
def test_an_index_by_an_author_or_by_no_one_is_refused() -> None:
    with pytest.raises(NotSigned):
        judged_index(INDEX, by_any_role(CAROL, GALAXY_TYPE, INDEX))
    with pytest.raises(NotSigned):
        judged_index(INDEX, None)


@pytest.mark.objective("SO-12")
def test_an_index_by_a_revoked_key_is_refused() -> None:
    revoked = dataclasses.replace(ROOTS, revoked=(Revoked(key=MIRROR.public.id, reason=""),))
    with pytest.raises(NotSigned):
        judged_index(INDEX, MIRROR.sign(GALAXY_TYPE, INDEX), roots=revoked)


@pytest.mark.objective("SO-03")
def test_every_flipped_byte_of_an_index_is_refused_with_exit_code_4() -> None:
    envelope = MIRROR.sign(GALAXY_TYPE, INDEX)
    for place in range(len(INDEX)):
        data = bytearray(INDEX)
        data[place] ^= 0x20
        with pytest.raises(Refused):
            judged_index(bytes(data), envelope)


@pytest.mark.objective("SO-04")
def test_the_index_of_another_galaxy_is_refused() -> None:
    other = index_document(name=GalaxyName("extra"))
    with pytest.raises(Refused, match="is the index of galaxy extra, but core was asked for"):
        judged_index(other, MIRROR.sign(GALAXY_TYPE, other))
    with pytest.raises(Refused, match="is the index of galaxy extra"):
        judged_index(other, None, allow_unsigned=True)


@pytest.mark.objective("SO-09")
def test_an_index_below_the_operator_s_floor_is_refused() -> None:
    floor = dataclasses.replace(ROOTS, floors=Floors(galaxies={CORE: 8}))
    with pytest.raises(Refused, match="seq 7 lies below the floor of 8"):
        judged_index(INDEX, MIRROR.sign(GALAXY_TYPE, INDEX), roots=floor)
    with pytest.raises(Refused, match="seq 7 lies below the floor of 8"):
        judged_index(INDEX, None, roots=floor, allow_unsigned=True)


LIBZ = StarName("libz")
INCONSISTENT: dict[str, tuple[dict[str, Any], str]] = {
    "no seq": ({"seq": 0}, "has no seq"),
    "a star that no snapshot row backs": ({"snapshot": ()}, "which .*snapshot.* does not list"),
    "a newest version that is not there": ({"newest": {ZLIB: Version.parse("2.0.0")}}, r"\[stars\] names zlib 2\.0\.0"),
    "a hidden star": ({"newest": {}}, r"lists zlib, which \[stars\] does not name"),
    "a checksum of other bytes": ({"checksums": {ZLIB: Digest.of(b"x")}}, "disagree about zlib"),
    "no checksum": ({"checksums": {}}, "disagree about zlib"),
    "a checksum of a star that is not there": (
        {"checksums": {ZLIB: Digest.of(ARCHIVE), LIBZ: Digest.of(b"x")}},
        r"\[checksums\] names libz",
    ),
}


@pytest.mark.objective("SO-05")
@pytest.mark.parametrize(("changes", "problem"), INCONSISTENT.values(), ids=INCONSISTENT)
def test_an_index_that_contradicts_itself_is_refused(changes: dict[str, Any], problem: str) -> None:
    other = index_document(**changes)
    with pytest.raises(Refused, match=problem):
        judged_index(other, MIRROR.sign(GALAXY_TYPE, other))


@pytest.mark.objective("SO-05")
def test_upstream_s_unsigned_index_passes_where_the_operator_said_so() -> None:
    upstream = b'name = "core"\nstars = ["zlib"]\n'
    assert judged_index(upstream, None, allow_unsigned=True).signers == ()
    with pytest.raises(NotSigned):
        judged_index(upstream, None)


# An archive


def locked(**changes: Any) -> LockedStar:
    star = LockedStar(
        name=ZLIB,
        version=V131,
        arch=Arch("x86_64"),
        type="normal",
        galaxy=CORE,
        file="packages/zlib-1.3.1.tar.zst",
        archive=Digest.of(ARCHIVE),
        size_bytes=len(ARCHIVE),
        unpacked_bytes=10240,
        statement=Digest.of(STATEMENT),
        script=None,
        signers=(CAROL.public.id,),
        dependencies=(),
        wanted_by=("image",),
        facts=None,
    )
    return dataclasses.replace(star, **changes)


@pytest.mark.objective("SO-03")
def test_the_archive_that_the_lock_pins_passes() -> None:
    assert verify_archive(ARCHIVE, locked()).data == ARCHIVE


@pytest.mark.objective("SO-03")
def test_an_archive_of_another_size_or_content_is_refused() -> None:
    with pytest.raises(Refused, match=r"^zlib-1\.3\.1: the lock names 32 bytes, but the archive has 33"):
        verify_archive(ARCHIVE + b"!", locked())
    with pytest.raises(Refused, match=r"^zlib-1\.3\.1: the lock names sha256:.*, but the archive is sha256:"):
        verify_archive(ARCHIVE[:-1] + b"!", locked())


@pytest.mark.objective("SO-01")
def test_no_one_else_makes_a_verified_thing() -> None:
    with pytest.raises(TypeError, match="comes from verify_archive alone"):
        VerifiedArchive(star=locked(), data=b"evil", seal=object())  # type: ignore[arg-type]  # that is the attack
    with pytest.raises(TypeError, match="comes from verify_statement alone"):
        VerifiedStatement(statement=judged().statement, digest=Digest.of(b""), signers=(), seal=object())  # type: ignore[arg-type]  # the attack
    with pytest.raises(TypeError, match="comes from verify_index alone"):
        VerifiedIndex(index=GalaxyIndex(name=CORE), digest=Digest.of(b""), signers=(), seal=object())  # type: ignore[arg-type]  # the attack


@pytest.mark.objective("SO-03")
def test_a_verified_archive_does_not_survive_a_swap_of_its_bytes() -> None:
    verified = verify_archive(ARCHIVE, locked())
    with pytest.raises(dataclasses.FrozenInstanceError):
        verified.data = b"evil"  # type: ignore[misc]  # that is the attack


# A release

RELEASE = json.dumps({"_type": "https://in-toto.io/Statement/v1"}).encode()


def judged_release(document: bytes, envelope: bytes | None, key: PublicKey = SHIP.public) -> tuple[str, ...]:
    return verify_release(document, envelope, ReleaseKeys(keys=(key,)), source="RELEASE.json").signers


@pytest.mark.objective("SO-25")
def test_an_honest_release_passes_with_nothing_but_the_public_key() -> None:
    assert judged_release(RELEASE, SHIP.sign(IN_TOTO_TYPE, RELEASE)) == (SHIP.public.id,)


@pytest.mark.objective("SO-25")
def test_a_release_by_another_key_by_no_one_or_of_another_kind_is_refused() -> None:
    with pytest.raises(NotSigned):
        judged_release(RELEASE, SHIP.sign(IN_TOTO_TYPE, RELEASE), CAROL.public)
    with pytest.raises(NotSigned):
        judged_release(RELEASE, None)
    with pytest.raises(BadEnvelope):
        judged_release(RELEASE, by_any_role(SHIP, STAR_TYPE, RELEASE))


@pytest.mark.objective("SO-25")
@pytest.mark.parametrize("bit", [1, 0x20, 0x80])
def test_every_flipped_byte_of_a_release_or_its_envelope_is_refused_with_exit_code_4(bit: int) -> None:
    envelope = SHIP.sign(IN_TOTO_TYPE, RELEASE)
    for place in range(len(RELEASE)):
        data = bytearray(RELEASE)
        data[place] ^= bit
        with pytest.raises(Refused, match=r"^RELEASE\.json"):
            judged_release(bytes(data), envelope)
    for place in range(len(envelope)):
        data = bytearray(envelope)
        data[place] ^= bit
        with pytest.raises(Refused, match=r"^RELEASE\.json\.dsse"):
            judged_release(RELEASE, bytes(data))


@pytest.mark.objective("SO-25")
def test_a_release_s_envelope_in_another_layout_is_refused() -> None:
    envelope = SHIP.sign(IN_TOTO_TYPE, RELEASE)
    with pytest.raises(BadEnvelope, match="not byte for byte as it was written"):
        judged_release(RELEASE, json.dumps(json.loads(envelope)).encode())
