"""Attest and count rebuilds: "I rebuilt this content root from this lock" (`trust.badges`).

A person builds a release again on their own machine, and signs the result with an attester's key: `cosmos attest OUT`.
The badges of all attesters are in one file beside the folder, OUT.intoto.jsonl. It is not a part of the release.
`cosmos verify OUT --quorum N` demands that N distinct pinned attesters have rebuilt this content root from this lock.
An attester whose rebuild has another content root signs that as well (`cosmos rebuild OUT --attest KEY`).
"""

from __future__ import annotations

from pathlib import Path

from cosmos.digest import Digest
from cosmos.durable import write_durably
from cosmos.errors import Malformed, Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_LOCK_BYTES, MAX_RELEASE_BYTES
from cosmos.model.lock import LOCK_FILE
from cosmos.model.release import MANIFEST_FILE, RELEASE_FILE, Release
from cosmos.model.reporter import Reporter
from cosmos.reading import digest_of_size, is_there, read_bounded
from cosmos.records import dataclass
from cosmos.release.verify import demand_whole
from cosmos.trust.badges import BADGES_SUFFIX, Badge, Claim, Mismatch, add_badge, counted, judge_badges, unlike
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """The result of a build, read from the files of its folder: the content root, and the digest of the lock."""

    content_root: Digest
    lock: Digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Quorum:
    """The distinct pinned attesters who have rebuilt a release, and all badges of the release.

    `unlike` are those who got another content root from its lock, each with what they found.
    """

    signers: tuple[str, ...]
    badges: tuple[Badge, ...]
    unlike: tuple[tuple[str, Digest], ...]


def attest_rebuild(
    folder: Path, key: SecretKey, badges_file: Path | None = None, *, reporter: Reporter
) -> tuple[Rebuilt, Path]:
    """Add a badge beside `folder`: the holder of `key` has rebuilt the release.

    Every file is checked first: the image must hold what the manifest lists. Raises `Refused`, `Differs`, `Malformed`.
    """
    demand_attester(key)
    rebuilt = what_was_built(folder)
    demand_whole(folder, _release(folder), reporter)
    claim = Claim(kind="rebuild", name=MANIFEST_FILE, digest=rebuilt.content_root, result="PASSED", lock=rebuilt.lock)
    return rebuilt, _added(claim, key, badges_file or badges_beside(folder))


def attest_unlike(folder: Path, key: SecretKey, found: Digest, mismatch: Mismatch) -> Path:
    """Add a badge beside `folder`: the holder of `key` got the content root `found` from the release's lock.

    `mismatch` says in which paths.
    Raises `Refused`, `Malformed`.
    """
    demand_attester(key)
    rebuilt = what_was_built(folder)
    if found == rebuilt.content_root:
        raise Refused(str(folder), f"was rebuilt with its own content root, {found}: this is no mismatch")
    claim = Claim(
        kind="rebuild",
        name=MANIFEST_FILE,
        digest=rebuilt.content_root,
        result="FAILED",
        lock=rebuilt.lock,
        found=found,
        mismatch=mismatch,
    )
    return _added(claim, key, badges_beside(folder))


def demand_attester(key: SecretKey) -> None:
    """Raise `Refused` unless `key` has the role of an attester."""
    if key.role != "attester":
        raise Refused(
            f"key {key.public.name}",
            f"has the role {key.role}, but only an attester's badge counts",
            hint="to make such a key: cosmos key new NAME --role attester",
        )


def demand_quorum(folder: Path, least: int, roots: TrustRoots, badges_file: Path | None = None) -> Quorum:
    """Return the attesters who have rebuilt the verified release in `folder`; raises `Refused` for too few."""
    if least < 1:
        raise Malformed("--quorum", f"want at least 1, got {least}")
    rebuilt, file = what_was_built(folder), badges_file or badges_beside(folder)
    data = read_bounded(file) if is_there(file) else b""
    badges = judge_badges(data, digest=rebuilt.content_root, roots=roots, source=str(file))
    signers = counted(badges, "rebuild", rebuilt.lock)
    if len(signers) < least:
        raise Refused(
            str(folder),
            f"want {least} distinct pinned attesters to have rebuilt {rebuilt.content_root} from its lock, "
            f"got {len(signers) or 'none'} of {len(badges)} badges",
            hint="build it elsewhere from the same lock, and there: cosmos attest OUT --key ATTESTER.key",
        )
    return Quorum(signers=signers, badges=badges, unlike=unlike(badges, rebuilt.lock))


def what_was_built(folder: Path) -> Rebuilt:
    """Return the content root of the manifest, and the lock's digest; raises `Malformed` if `folder` is no release."""
    for name in (RELEASE_FILE, MANIFEST_FILE, LOCK_FILE):
        if not is_there(folder / name):
            raise Malformed(
                str(folder / name),
                "is not there",
                hint="name the folder that `cosmos build` made, such as images/NAME/out",
            )
    stated = {subject.name: subject for subject in _release(folder).subjects}
    manifest, locked = stated.get(MANIFEST_FILE), stated.get(LOCK_FILE)
    root = None if manifest is None else digest_of_size(folder / MANIFEST_FILE, manifest.size_bytes)
    lock = Digest.of(read_bounded(folder / LOCK_FILE, MAX_LOCK_BYTES))
    if manifest is None or locked is None or root is None or (manifest.digest, locked.digest) != (root, lock):
        raise Refused(str(folder), f"{RELEASE_FILE} does not name the manifest and the lock in this folder")
    return Rebuilt(content_root=root, lock=lock)


def _added(claim: Claim, key: SecretKey, file: Path) -> Path:
    old = read_bounded(file) if is_there(file) else b""
    write_durably(file, add_badge(old, key.sign(IN_TOTO_TYPE, claim.to_bytes()), str(file)))
    return file


def _release(folder: Path) -> Release:
    return Release.parse(read_bounded(folder / RELEASE_FILE, MAX_RELEASE_BYTES), str(folder / RELEASE_FILE))


def badges_beside(folder: Path) -> Path:
    """Return the file of a release's badges, beside its folder."""
    whole = folder.resolve()
    return whole.with_name(f"{whole.name}{BADGES_SUFFIX}")
