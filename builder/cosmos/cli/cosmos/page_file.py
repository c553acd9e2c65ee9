"""Where the page of a release may lie, and the page that `cosmos build --report FILE` writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cosmos.cli.cosmos.build_wishes import Wishes
from cosmos.cli.cosmos.built_words import Answer
from cosmos.cli.own_files import demand_own_or_nothing
from cosmos.cli.terminal import surroundings
from cosmos.durable import demand_writable, write_durably
from cosmos.errors import Malformed, quoted
from cosmos.links import real

_PAGE_START: Final = b"<!DOCTYPE html>"


def beside(file: Path, release: Path, command: str) -> str | None:
    """Return the release's folder as the page names it in links; None if it is not below the page's folder.

    Raises `Malformed` if the page would lie inside the release, or in the place of something that is no page; `command`
    is completed by the path of another place.
    """
    demand_own_or_nothing(file, _PAGE_START, "page")
    page_folder, folder = real(file.parent), real(release)
    if page_folder.is_relative_to(folder):
        raise Malformed(
            str(file),
            "lies inside the release, where verify refuses a file that nobody signed",
            hint=f"{command} {quoted(os.path.normpath(folder.parent / 'report.html'))}",
        )
    return folder.relative_to(page_folder).as_posix() if folder.is_relative_to(page_folder) else None


def demand_place(wishes: Wishes) -> None:
    """Raise before the build if the page cannot be written: `Malformed`, `WorldFailed`."""
    if wishes.report is not None:
        folder = wishes.image if wishes.image.is_dir() else wishes.image.parent
        beside(wishes.report, wishes.out or folder / "out", f"cosmos build {quoted(wishes.image)} --report")
        demand_writable(wishes.report)


def write_page(wishes: Wishes, answer: Answer) -> None:
    """Write the page of the release that was built, with the course of the build. Raises as `cosmos report` does."""
    if wishes.report is None:
        return
    from cosmos.release.report.course import course_of
    from cosmos.release.report.from_folder import facts_of
    from cosmos.release.report.page import page
    from cosmos.release.verify import verify_release_folder
    from cosmos.trust.releases import ReleaseKeys

    ended, reporter = surroundings().now(), surroundings().reporter(quiet=True)
    key = wishes.key
    keys = () if key is None or isinstance(key, str) else (key.public,)
    verdict = verify_release_folder(answer.folder, ReleaseKeys(keys=keys), reporter=reporter) if keys else None
    facts = facts_of(answer.folder, verdict, reporter)
    course = course_of(answer.steps, ended, answer.made, facts.lock)
    links = beside(wishes.report, answer.folder, "cosmos report -o")
    write_durably(wishes.report, page(facts, changes=None, beside=links, course=course))
