"""`report.html`: one page about a release, for people. It needs no network, no script and no other file.

Every value of a release may come from somebody hostile: names, licences, descriptions, the words of programs. So
Jinja2 escapes each value (autoescape), a character that people cannot see is written as its number, and a long text is
cut. Links lead only to places of the page and to files of the release. The page's own rules (Content-Security-Policy)
forbid every script, and everything from elsewhere, in case that one of these walls has a gap.

The same release gives the same bytes: no clock, no name of a machine and no path of it is in the page. Only the course
of a build has seconds, and is in no page of a release itself.
"""

from __future__ import annotations

import base64
import hashlib
import pkgutil
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from cosmos.about import VERSION
from cosmos.canon import Json
from cosmos.model.lock import LockedStar
from cosmos.model.names import StarName
from cosmos.model.release import RELEASE_FILE, REPORT_FILE
from cosmos.pack.image_file import DIRECTORIES
from cosmos.release.report.changes import Changes
from cosmos.release.report.course import Course
from cosmos.release.report.facts import Facts, Right
from cosmos.release.report.graph import graph
from cosmos.release.report.treemap import HEIGHT, WIDTH, Group, Part, shown_size, treemap
from cosmos.resolve.chains import Chain, Wants, first_chains, steps_to_a_wish
from cosmos.resolve.dependency_tree import dependency_tree, wants_of
from cosmos.sbom.cyclonedx import CYCLONEDX_FILE
from cosmos.sbom.spdx import SPDX_FILE

_MOST_TEXT: Final = 1_000  # characters of one value; the longest that people write are licences and descriptions
_MOST_ROWS: Final = 5_000  # of the table of stars; a lock may list 100 times as many
_MOST_BRANCHES: Final = 10_000
_MOST_RIGHTS: Final = 300
_MOST_CHAINS: Final = 3  # of one star; `cosmos why` has more
_MOST_EXPLAINED: Final = 10_000  # needs of all stars of a lock; a full desktop has more, and `cosmos why`
_MOST_SIGNERS: Final = 8
_DEEPEST: Final = 12  # steps to the right in the tree; deeper ones stay there, with their number
_SHORT_KEY: Final = 16  # characters of a key id that tell keys apart for a person; the table of signers has all
_MEANINGS: Final = {
    SPDX_FILE: "bill of materials, SPDX",
    CYCLONEDX_FILE: "bill of materials, CycloneDX",
    RELEASE_FILE: "provenance: what the release was made from",
    "RELEASE.json.dsse": "the signature of RELEASE.json",
    "universe.lock.toml": "the lock: every star pinned",
    "universe.lock.toml.dsse": "the signature of the lock",
    "manifest.txt": "one line a path; its digest is the content root",
    "receipts.json": "what each star's script read and did",
    "definition.tar": "what the operator wrote: image.toml, template, finish script",
    "cosmos": "the binary that is in the image",
    REPORT_FILE: "the page of the release, which its build wrote",
}


def page(facts: Facts, *, changes: Changes | None, beside: str | None, course: Course | None = None) -> bytes:
    """Return the page. `beside` is the release's folder as links name it, from the page; None writes no links.

    `course` is how the build went that has just made the release.
    """
    style = _part("page.css")
    text = _template().render(
        style=Markup(style),  # noqa: S704 - our own file
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        facts=facts,
        release=facts.release,
        lock=facts.lock,
        image=_text(facts.release.external.get("image")),
        version=_text(facts.release.external.get("version")),
        arch=_text(facts.release.external.get("arch")),
        epoch=_date(facts.release.internal.get("sourceDateEpoch")),
        made_by=VERSION,
        most_layers=_MOST_ROWS,
        files=_files(facts, beside),
        changes=changes,
        course=course,
        **_of_stars(facts),
        **_policies(facts),
    )
    return f"{text}\n".encode()


def page_name(facts: Facts) -> str:
    """Return the name of the page's file: NAME-VERSION-report.html."""
    stated = (facts.release.external.get("image"), facts.release.external.get("version"))
    name = "-".join(_text(part) for part in stated)
    return f"{quote(name, safe='+~')[:200]}-report.html"


@cache
def _template() -> Template:
    """Return the compiled page: to compile it takes more time than to render it, so a process does it once."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters["size"] = shown_size
    environment.filters["short"] = _short
    environment.filters["number"] = lambda number: f"{number:,}"
    return environment.from_string(_part("page.html"))


def _part(name: str) -> str:
    data = pkgutil.get_data("cosmos.release.report", name)  # the single-file binary has it in memory
    if data is None:
        raise FileNotFoundError(f"cosmos/release/report/{name}")
    return data.decode()


def _of_stars(facts: Facts) -> dict[str, object]:
    """Return what the page says of stars: the table, the map, the tree, the graph, the signers and the rights."""
    wants = wants_of(facts.lock)
    ids = {star.id: str(star.name) for star in facts.lock.stars}
    shown = facts.lock.stars[:_MOST_ROWS]
    needs = sum(map(len, wants.above.values()))
    away = steps_to_a_wish(wants) if needs <= _MOST_EXPLAINED else None
    trees, more_branches = _trees(facts, wants, {star.name for star in shown})
    signers = Counter(signer for star in facts.lock.stars for signer in star.signers)
    parts = _parts(facts, wants)
    return {
        "stars": [_star(star, facts, wants, away) for star in shown],
        "more_stars": len(facts.lock.stars) - len(shown),
        "cells": treemap(parts),
        "map_width": WIDTH,
        "map_height": HEIGHT,
        "total_unpacked": sum(part.size_bytes for part in parts.values()),
        "total_packed": sum(packed for packed, _ in facts.layers.values()),
        "trees": trees,
        "more_branches": more_branches,
        "graph": graph(facts.lock, wants),
        "signers": sorted(signers.items()),
        "rights": [(right, _owner(right, ids)) for right in facts.rights[:_MOST_RIGHTS]],
        "more_rights": max(len(facts.rights) - _MOST_RIGHTS, 0),
        "finish": facts.deeds.get("finish", ()),
    }


def _trees(facts: Facts, wants: Wants, with_row: Collection[StarName]) -> tuple[list[dict[str, object]], bool]:
    """Return the trees below each wish, and whether lines are left out. A star links to its row if it has one."""
    trees: list[dict[str, object]] = []
    left = _MOST_BRANCHES
    for who, branches in dependency_tree(facts.lock, wants):
        lines = [
            {
                "step": min(one.depth, _DEEPEST),
                "depth": one.depth,
                "star": one.star,
                "again": one.is_repeated,
                "has_row": one.star.name in with_row,
            }
            for one in branches[:left]
        ]
        trees.append({"wish": who, "branches": lines})
        if len(branches) > left:
            return trees, True
        left -= len(lines)
    return trees, False


def _parts(facts: Facts, wants: Wants) -> dict[str, Part]:
    """Return what takes room in the image: each star, and the image's own files."""
    parts = {}
    for star in facts.lock.stars:
        _, unpacked = _sizes(star, facts)
        group: Group = "asked" if wants.asked_by[star.name] else "needed"
        parts[star.id] = Part(name=str(star.name), size_bytes=unpacked, group=group)
    for name, (_, unpacked) in facts.layers.items():
        if name not in parts:
            shown = "folders" if name == DIRECTORIES else "the image's own files"
            parts[name] = Part(name=shown, size_bytes=unpacked, group="own")
    return parts


def _sizes(star: LockedStar, facts: Facts) -> tuple[int, int]:
    """Return the packed and unpacked bytes of the star's layer; without a layered image, of its archive."""
    if not facts.layers:
        return star.size_bytes, star.unpacked_bytes
    return facts.layers.get(star.id, (0, 0))


def _star(star: LockedStar, facts: Facts, wants: Wants, away: Mapping[StarName, int] | None) -> dict[str, object]:
    """Return a row of the table of stars; without `away`, it names no chain."""
    chains, has_more = ((), True) if away is None else first_chains(star.name, wants, away, _MOST_CHAINS)
    packed, unpacked = _sizes(star, facts)
    described = facts.bill.get(str(star.name))
    return {
        "star": star,
        "about": described,
        "signers": star.signers[:_MOST_SIGNERS],
        "more_signers": max(len(star.signers) - _MOST_SIGNERS, 0),
        "powers": [power for power, stars in _powers(facts) if str(star.name) in stars],
        "packed": packed,
        "unpacked": unpacked,
        "did": facts.deeds.get(str(star.name), ()),
        "chains": [_words(chain) for chain in chains],
        "has_more": has_more,
    }


def _words(chain: Chain) -> str:
    names = [str(name) for name in chain.stars]
    if len(names) > _DEEPEST:
        names = [*names[: _DEEPEST // 2], f"… {len(names) - _DEEPEST} more …", *names[-_DEEPEST // 2 :]]
    return " → ".join((chain.wish, *names))


def _owner(right: Right, ids: Mapping[str, str]) -> str:
    return ids.get(right.layer, "the image's own files")


def _files(facts: Facts, beside: str | None) -> list[dict[str, object]]:
    """Return the files of the release, with a link to each if the page lies where links can lead to them."""
    unnamed = (RELEASE_FILE, REPORT_FILE) if facts.verdict == "unfinished" else (RELEASE_FILE,)
    rows: list[dict[str, object]] = [{"name": name, "size": None, "digest": None} for name in unnamed]
    rows += [
        {"name": subject.name, "size": subject.size_bytes, "digest": str(subject.digest)}
        for subject in sorted(facts.release.subjects, key=lambda subject: subject.name)
    ]
    for row in rows:
        name = str(row["name"])
        row["meaning"] = _MEANINGS.get(name, "")
        row["link"] = None if beside is None else _link(beside, name)
    return rows


def _link(beside: str, name: str) -> str:
    """Return a link to a file. It begins with `./`, so that a name such as `javascript:x` is no scheme."""
    parts = [*beside.split("/"), name] if beside else [name]
    return "./" + "/".join(quote(part.encode("utf-8", "surrogatepass"), safe="") for part in parts)


def _policies(facts: Facts) -> dict[str, object]:
    """Return what the operator demanded, allowed and waived, as RELEASE.json and image.toml say it."""
    external, internal = facts.release.external, facts.release.internal
    waive = _table(_table(external.get("policy")).get("waive"))
    waivers = [
        {
            "rule": rule,
            "reason": _text(_table(one).get("reason")),
            "until": _text(_table(one).get("until")),
            "paths": [*map(_text, _list(_table(one).get("paths")))],
        }
        for rule, one in sorted(waive.items())
    ]
    return {
        "powers": _powers(facts),
        "waivers": waivers,
        "demands": [*_demands(facts)],
        "accepted": [(key, _text(value)) for key, value in sorted(_table(external.get("acceptedRevoked")).items())],
        "downgrades": [(key, _text(value)) for key, value in sorted(_table(external.get("allowedDowngrades")).items())],
        "unsteady": [*map(_text, _list(external.get("unsteady")))],
        "secrets": [*map(_text, _list(external.get("secrets")))],
        "counter": _text(external.get("counter")),
        "root": _text(internal.get("contentRoot")),
        "sandbox": [(key, _text(value)) for key, value in sorted(_table(internal.get("sandbox")).items())],
    }


def _powers(facts: Facts) -> list[tuple[str, list[str]]]:
    powers = _table(_table(facts.release.external.get("policy")).get("powers"))
    return [(power, [*map(_text, _list(stars))]) for power, stars in sorted(powers.items())]


def _demands(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield what `[policy]` of image.toml says besides powers and waivers: its key, and what that means."""
    if facts.definition is None:
        return
    policy = facts.definition.policy
    if policy.size_budget_bytes is not None:
        yield "size-budget-bytes", f"a larger image than {policy.size_budget_bytes:,} bytes is an error"
    if policy.signed_lock:
        yield "signed-lock", "a build refuses a lock that no release key has signed"
    if policy.unsigned_release:
        yield "unsigned-release", "the release may hold stars of an unsigned galaxy"
    if policy.vouching.log:
        yield "log", "every star must be in its galaxy's transparency log"
    for kind, number in sorted(policy.vouching.badges.items()):
        yield f"badges.{kind}", f"{number} pinned attesters must have signed that each star passed"
    for path, star in sorted(policy.owners.items()):
        yield "owners", f"/{path.text} is kept from {star}"


def _date(epoch: Json) -> str:
    """Return the image's time in UTC."""
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch < 1 << 33:
        return _text(epoch)
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _table(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _text(value: Json) -> str:
    return "" if value is None else str(value)


def _short(key: str) -> str:
    """Return the beginning of a key id.

    >>> _short("ed25519:0123456789abcdef0123456789abcdef")
    'ed25519:01234567…'
    """
    return f"{key[:_SHORT_KEY]}…" if len(key) > _SHORT_KEY else key


def _shown(value: object) -> object:
    """Return a value as the page shows it: Jinja2 calls this for each value, before it escapes the value."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = value if len(value) <= _MOST_TEXT else f"{value[:_MOST_TEXT]}… ({len(value):,} characters)"
    return text if text.isprintable() else "".join(map(_seen, text))


def _seen(character: str) -> str:
    """Return the character; its number if it is invisible, turns the text around, or cannot be written."""
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else f"\\u{{{ord(character):x}}}"
