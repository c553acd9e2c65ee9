"""Whether a freeze has anything to do: its first look, before most of the program is imported.

It is the look of `cosmos build` (kept_build) at the files that a freeze reads. A freeze that signs its lock, that is
offline, or that asks for the stars of a date has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cosmos.canon import Json
from cosmos.cli.collecting import collect_seldom
from cosmos.cli.cosmos.kept_build import Question, look_at, question
from cosmos.cli.terminal import answer, surroundings
from cosmos.errors import quoted
from cosmos.image.kept_release import frozen_key
from cosmos.model.lock import LOCK_FILE
from cosmos.model.reporter import counted


def freeze_if_changed(
    image: Path,
    upgraded: tuple[str, ...],
    lowered: tuple[str, ...],
    *,
    trusts_stat: bool,
    as_of: str | None,
    offline: bool,
    key_file: Path | None,
    passphrase_fd: int | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Write the lock of `image`, unless nothing changed since a freeze that left it as it was."""
    asked = None
    if key_file is None and as_of is None and not offline:
        options: dict[str, Json] = {"upgrade": [*sorted(upgraded)], "allow-downgrade": [*sorted(lowered)]}
        asked = question(image, home, None, options, trusts_stat=trusts_stat)
    if asked is not None and _is_frozen(asked, as_json=as_json):
        return
    collect_seldom()
    from cosmos.cli.cosmos.freeze_image import freeze_image

    freeze_image(
        image,
        upgraded,
        lowered,
        as_of=as_of,
        offline=offline,
        key_file=key_file,
        passphrase_fd=passphrase_fd,
        home=home,
        asked=asked,
        as_json=as_json,
    )


def _is_frozen(asked: Question, *, as_json: bool) -> bool:
    """Return whether nothing changed since the freeze that was remembered; then say its answer again."""
    found = look_at(asked, frozen_key(asked.image), "every star is resolved again", is_release=False)
    if isinstance(found, str):
        return False
    surroundings().reporter(quiet=as_json).step(found.said)
    remarks = found.kept.remarks
    looked: dict[str, Json] = {"moves": {}, "looked-at": {"files": found.files, "hashed": found.hashed}}
    tell_frozen(asked.image, {**remarks, **looked}, as_json=as_json)
    return True


def remarks_of(stars: int, *, signed: bool) -> dict[str, Json]:
    """Return what is said again of a lock that a freeze left as it was."""
    return {"stars": stars, "changed": False, "signed": signed}


def tell_frozen(folder: Path, said: Mapping[str, Json], moved: Iterable[str] = (), *, as_json: bool) -> None:
    """Answer about the lock of the image in `folder`. `moved` has a line for each star that moved."""
    lock, stars = folder / LOCK_FILE, said["stars"]
    assert isinstance(stars, int)
    word = ("written" if said["changed"] else "unchanged") + (", signed" if said["signed"] else "")
    lines = (f"{lock}: {word}, {counted(stars, 'star')}", *moved, f"next: cosmos build {quoted(folder)}")
    answer({"lock": str(lock), **said}, as_json, "\n".join(lines))
