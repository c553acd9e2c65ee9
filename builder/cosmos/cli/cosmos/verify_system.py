"""The part of `cosmos verify` for a system: check that every entry is as it was installed."""

from __future__ import annotations

from pathlib import Path

from cosmos.canon import Json
from cosmos.cli.cosmos.arguments import naming_instead
from cosmos.cli.cosmos.from_release import release_row
from cosmos.cli.cosmos.rows import counted, trust_rows, unjudged_words
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.device.entry_check import Difference
from cosmos.device.root import LiveRoot, shown
from cosmos.device.verify import HowToVerify, SystemVerdict, verify_live


def verify_system(root: Path | None, how: HowToVerify, as_json: bool) -> None:
    """Compare the system at `root` with what was signed, or its universe: `cosmos verify` without a release.

    Raises `Differs`, with each difference, or `WorldFailed` if a file cannot be read.
    """
    with naming_instead(root, "a release: cosmos verify RELEASE"), LiveRoot.open(root or Path("/")) as live:
        verdict = verify_live(live, surroundings().reporter(quiet=as_json), how)
    if as_json:
        emit(_verdict_row(verdict))
    else:
        for name, why in verdict.without_archive.items():
            surroundings().terminal.warn(f"{name}: as recorded only: {why}")
    error = verdict.error()
    if error is not None:
        raise error
    if not as_json:
        say(_good_line(verdict))


def _verdict_row(verdict: SystemVerdict) -> dict[str, Json]:
    """Return the row of the comparison of a system with its universe."""
    return {
        "root": verdict.root,
        "good": verdict.is_good,
        "stars": verdict.stars,
        "judged": verdict.judged,
        "judged-of-image": verdict.of_image,
        "files": verdict.files,
        "bytes": verdict.bytes_read,
        "owners-judged": verdict.owners_judged,
        "differences": [_difference_row(difference) for difference in verdict.differences],
        "changed-configuration": [_difference_row(difference) for difference in verdict.configuration],
        "unreadable": [_difference_row(difference) for difference in verdict.unreadable],
        "cannot-be-judged": [str(name) for name in verdict.unjudged],
        "as-signed": [str(name) for name in verdict.as_signed],
        "as-recorded-only": [{"name": str(name), "why": why} for name, why in verdict.as_recorded.items()],
        "given-to-another": [_difference_row(difference) for difference in verdict.taken],
        "release": release_row(verdict.release),
        "by-release": list(verdict.by_release),
        **trust_rows(verdict.trust),
        "trust-demanded": verdict.demands_trust,
        "cannot-be-trusted": list(verdict.doubts),
    }


def _good_line(verdict: SystemVerdict) -> str:
    """Return the answer for a system without differences."""
    owners = "" if verdict.owners_judged else "; owners were not judged: this root belongs to an ordinary user"
    stars = counted(verdict.stars, "star")
    entries = f"{counted(verdict.files, 'file')} and {counted(verdict.judged - verdict.files, 'folder')}"
    unknown = unjudged_words(verdict.trust)
    as_released = " as released" if verdict.release is not None else ""
    image = f", and all {verdict.of_image} of the image itself{as_released}," if verdict.of_image else ""
    answers = f"; {counted(len(verdict.as_signed), 'star')} as signed, {len(verdict.as_recorded)} as recorded only"
    given = f"; {counted(len(verdict.taken), 'path')} of signed stars as recorded only" if verdict.taken else ""
    return (
        f"{verdict.root}: all {entries} of {stars}{image} are as they were installed{answers}{given}{owners}{unknown}"
    )


def _difference_row(difference: Difference) -> Json:
    return {"path": shown(difference.path), "star": difference.star or None, "problem": difference.problem}
