"""The part of `cosmos verify` for a release: check it against pinned keys, and by the trust anchors of a home."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cosmos.canon import Json
from cosmos.cli.terminal import answer, surroundings
from cosmos.cli.trust_words import shown_public_key
from cosmos.release.verify import ReleaseVerdict, demand_release, verify_release_folder
from cosmos.trust.releases import ReleaseKeys

if TYPE_CHECKING:
    from cosmos.image.home import Home
    from cosmos.release.attest import Quorum
    from cosmos.release.verdicts import TrustVerdicts


def verify_release(
    path: Path,
    key_files: tuple[Path, ...],
    quorum: int | None,
    badges_file: Path | None,
    accept_revoked: tuple[str, ...],
    home: Path | None,
    *,
    as_json: bool,
) -> None:
    """Check the release in `path`, and say what was found. Raises what the verification raises."""
    keys = tuple(shown_public_key(file) for file in key_files)
    demand_release(path)  # before the trust anchors: a wrong folder is the likelier mistake
    world = _world(home, path, as_json) if home is not None or not keys else None
    signers = ReleaseKeys(keys=keys) if keys or world is None else ReleaseKeys.pinned(world.pinned)
    verdict = _verified(path, signers, as_json)
    judged = None if world is None else _judged(verdict, world, accept_revoked)
    row, text = {**_verdict_row(verdict), **_trust_row(judged)}, _verdict_text(verdict) + _trust_text(judged)
    if quorum is not None:
        asked = _asked_quorum(path, quorum, badges_file, home)
        row = {**row, "rebuilt-by": list(asked.signers), "rebuilt-otherwise": [list(one) for one in _unlike(asked)]}
        text = f"{text}\nrebuilt by    {', '.join(asked.signers)}"
        text += "".join(f"\nNOT rebuilt   by {signer}, who got {found}" for signer, found in _unlike(asked))
    answer(row, as_json, text)


def _world(home: Path | None, release: Path, as_json: bool) -> Home:
    from cosmos.cli.cosmos.world import world_at  # the builder's modules, for those who have trust anchors alone

    return world_at(home, release, offline=True, quiet=as_json)


def _judged(verdict: ReleaseVerdict, world: Home, accept_revoked: Iterable[str]) -> TrustVerdicts:
    from cosmos.release.verdicts import judge_release

    return judge_release(verdict, world, frozenset(accept_revoked))


def _verified(path: Path, signers: ReleaseKeys, as_json: bool) -> ReleaseVerdict:
    reporter, workers = surroundings().reporter(quiet=as_json), len(os.sched_getaffinity(0))
    return verify_release_folder(path, signers, workers=workers, reporter=reporter)


def _verdict_row(verdict: ReleaseVerdict) -> dict[str, Json]:
    return {
        "folder": str(verdict.folder),
        "content-root": str(verdict.content_root),
        "signers": list(verdict.signers),
        "files": len(verdict.release.subjects),
        "entries": verdict.entries,
        "compared": list(verdict.compared),
    }


def _verdict_text(verdict: ReleaseVerdict) -> str:
    where = "the image" if verdict.compared else "the manifest (there is no tar.zst to compare with it)"
    return (
        f"{verdict.folder}: verified, {len(verdict.release.subjects)} files, {verdict.entries:,} entries in {where}\n"
        f"content root  {verdict.content_root}\n"
        f"signed by     {', '.join(verdict.signers)}"
    )


def _trust_row(verdicts: TrustVerdicts | None) -> dict[str, Json]:
    """Return the two verdicts for `--json`; nothing without trust anchors."""
    if verdicts is None:
        return {}
    return {
        "valid-when-locked": None if verdicts.when_locked is None else not verdicts.when_locked,
        "trusted-now": not verdicts.now,
        "not-trusted": [str(problem) for problem in verdicts.now],
        "accepted": dict(verdicts.accepted),
    }


def _trust_text(verdicts: TrustVerdicts | None) -> str:
    """Return the two verdicts as lines that follow others."""
    if verdicts is None:
        return ""
    if verdicts.when_locked is not None:
        when = f"yes, by trust.toml version {verdicts.lock_version}"
    else:
        when = f"cannot be judged: {verdicts.why_not}"
    now = "; ".join(map(str, verdicts.now))
    lines = [
        f"was valid when locked  {when}",
        f"is trusted now         {f'no, but accepted: {now}' if now else f'yes, by version {verdicts.version}'}",
    ]
    lines += [f"its maker accepted     {why}" for why in verdicts.accepted.values()]
    return "".join(f"\n{line}" for line in lines)


def _unlike(asked: Quorum) -> list[tuple[str, str]]:
    """Return the attesters who got another content root, with what they found."""
    return [(signer, str(found)) for signer, found in asked.unlike]


def _asked_quorum(out: Path, least: int, badges_file: Path | None, home: Path | None) -> Quorum:
    """Return the attesters, pinned in `home`, who have rebuilt the release in `out`; raises `Refused`."""
    from cosmos.keyring.anchors import home_anchor, load_trust
    from cosmos.release.attest import demand_quorum

    roots = load_trust(home_anchor(surroundings().home(home, near=out))).roots
    return demand_quorum(out, least, roots, badges_file)
