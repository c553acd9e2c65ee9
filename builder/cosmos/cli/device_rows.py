"""What the commands on a system answer: as rows for machines (`--json`), and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from cosmos.canon import Json
from cosmos.device.install import Installation
from cosmos.device.root import shown
from cosmos.device.show import Offered, Shown
from cosmos.device.status import SystemStatus, trust_advice
from cosmos.device.verify import Difference, SystemVerdict
from cosmos.model.image import GalaxySource
from cosmos.model.universe import Installed
from cosmos.transport.opening import is_network
from cosmos.trust.badges import Badge


def galaxy_row(galaxy: GalaxySource) -> dict[str, Json]:
    """Return one galaxy of the settings."""
    return {
        "name": str(galaxy.name),
        "url": galaxy.url,
        "allow-unsigned": galaxy.allow_unsigned,
        "local": not is_network(galaxy.url),
    }


def status_row(status: SystemStatus) -> dict[str, Json]:
    """Return a system's status."""
    universe = status.universe
    return {
        "root": status.root,
        "image": universe.image,
        "version": universe.version,
        "arch": str(universe.arch),
        "content-root": None if universe.content_root is None else str(universe.content_root),
        "stars": {str(name): str(star.version) for name, star in sorted(universe.installed.items())},
        "files": status.files,
        "bytes": status.size_bytes,
        "trust": None if status.trust is None else str(status.trust),
        "galaxies": [galaxy_row(galaxy) for galaxy in status.settings.galaxies],
        "installation": status.standing,
    }


def status_lines(status: SystemStatus) -> Iterator[str]:
    """Yield a system's status."""
    universe, settings = status.universe, status.settings
    yield f"image         {universe.image or 'none'} {universe.version} ({universe.arch})"
    yield f"made as       {universe.content_root or 'unknown'} (content root without universe.toml)"
    yield f"stars         {len(universe.installed)} with {_counted(status.files, 'file')}, {status.size_bytes:,} bytes"
    yield f"trust         {status.trust or trust_advice(status)}"
    yield f"galaxies      {', '.join(galaxy.name for galaxy in settings.galaxies) or 'none'}"
    if status.standing == "running":
        yield "installation  one is going on"
    elif status.standing == "interrupted":
        yield "installation  one was cut off: the next cosmos install puts back what was there before"


def installed_row(star: Installed) -> dict[str, Json]:
    """Return one installed star."""
    return {
        "version": str(star.version),
        "arch": str(star.arch),
        "type": star.type,
        "galaxy": star.galaxy,
        "archive": None if star.archive is None else str(star.archive),
        "dependencies": [str(name) for name in star.dependencies],
        "wanted-by": list(star.wanted_by),
        "files": [shown(path) for path in star.files],
    }


def offered_row(offered: Offered) -> dict[str, Json]:
    """Return a star as one galaxy has it."""
    row: dict[str, Json] = {
        "galaxy": offered.galaxy,
        "versions": [str(version) for version in offered.versions],
        "refused": offered.refused or None,
    }
    if offered.newest is not None:
        said = offered.newest.statement
        row |= {
            "description": said.star.description,
            "license": said.star.license,
            "arch": str(said.star.arch),
            "type": said.star.type,
            "archive": str(said.archive),
            "size-bytes": said.size_bytes,
            "unpacked-bytes": said.unpacked_bytes,
            "script": said.script is not None,
            "dependencies": {str(name): limit.text for name, limit in sorted(said.star.dependencies.items())},
            "signers": [{"key": key, "name": name} for key, name in offered.signers.items()],
            "badges": [badge_row(badge) for badge in offered.badges],
        }
    return row


def badge_row(badge: Badge) -> dict[str, Json]:
    """Return one badge as it stands."""
    return {
        "standing": badge.standing,
        "kind": None if badge.claim is None else badge.claim.kind,
        "result": None if badge.claim is None else badge.claim.result,
        "signers": list(badge.signers),
        "why": badge.why or None,
    }


def shown_row(found: Shown) -> dict[str, Json]:
    """Return all that is known of a star."""
    return {
        "name": str(found.name),
        "installed": None if found.installed is None else installed_row(found.installed),
        "needed-by": [str(name) for name in found.needed_by],
        "may": list(found.powers),
        "galaxies": [offered_row(offered) for offered in found.offered],
    }


def shown_lines(found: Shown) -> Iterator[str]:
    """Yield all that is known of a star."""
    star = found.installed
    yield str(found.name)
    if star is None:
        yield "installed     no"
    else:
        yield f"installed     {star.version} ({star.arch}, {star.type}) from {star.galaxy or 'nobody knows where'}"
        yield f"archive       {star.archive or 'unknown'}"
        yield f"wanted by     {', '.join(star.wanted_by) or 'nobody knows'}"
        yield f"depends on    {', '.join(star.dependencies) or 'nothing'}"
        yield f"needed by     {', '.join(found.needed_by) or 'nothing'}"
        yield f"files         {len(star.files) - sum(entry.kind == 'dir' for entry in star.entries)}"
    if found.powers:
        yield f"may           {', '.join(found.powers)}, by the policy of this system"
    for offered in found.offered:
        yield from _offered_lines(offered)


def _offered_lines(offered: Offered) -> Iterator[str]:
    yield f"in galaxy     {offered.galaxy}: {', '.join(str(version) for version in offered.versions)}"
    if offered.newest is None:
        yield f"  refused     {offered.refused}"
        return
    said = offered.newest.statement
    if said.star.description:
        yield f"  what        {said.star.description}"
    if said.star.license:
        yield f"  license     {said.star.license}"
    yield f"  size        {said.size_bytes:,} bytes, {said.unpacked_bytes:,} unpacked"
    needs = ", ".join(f"{name} {limit}" for name, limit in sorted(said.star.dependencies.items()))
    yield f"  depends on  {needs or 'nothing'}"
    names = ", ".join(f"{name} ({key[:20]})" for key, name in offered.signers.items())
    yield f"  signed by   {names or 'NOBODY: this galaxy may hold unsigned stars'}"
    for badge in offered.badges:
        what = f"{badge.claim.kind} {badge.claim.result}" if badge.claim is not None else "a badge"
        yield f"  badge       {badge.standing}: {what}, {badge.why or _names(badge.signers)}"


def installation_row(done: Installation, *, dry_run: bool) -> dict[str, Json]:
    """Return what was installed, or would be."""
    return {
        "dry-run": dry_run,
        "installed": [
            {
                "name": str(chosen.star.name),
                "version": str(chosen.star.version),
                "galaxy": str(chosen.star.galaxy),
                "archive": str(chosen.star.archive),
                "signers": list(chosen.star.signers),
                "wanted-by": list(chosen.star.wanted_by),
                "files": [shown(path) for path in done.records[chosen.star.name].files],
            }
            for chosen in done.stars
        ],
        "kept": [str(name) for name in done.kept],
    }


def installation_lines(done: Installation, *, dry_run: bool) -> Iterator[str]:
    """Yield what was installed, or would be."""
    verb = "would install" if dry_run else "installed"
    for chosen in done.stars:
        star, entries = chosen.star, done.records[chosen.star.name].entries
        files = _counted(sum(entry.kind != "dir" for entry in entries), "file")
        yield f"{verb} {star.name} {star.version} from {star.galaxy}: {files}, for {', '.join(star.wanted_by)}"
    for name in done.kept:
        yield f"kept {name}: it is installed already"


def verdict_row(verdict: SystemVerdict) -> dict[str, Json]:
    """Return how a system compares with its universe."""
    return {
        "root": verdict.root,
        "good": verdict.is_good,
        "stars": verdict.stars,
        "judged": verdict.judged,
        "bytes": verdict.bytes_read,
        "owners-judged": verdict.owners_judged,
        "differences": [_difference_row(difference) for difference in verdict.differences],
        "unreadable": [_difference_row(difference) for difference in verdict.unreadable],
        "cannot-be-judged": [str(name) for name in verdict.unjudged],
    }


def good_line(verdict: SystemVerdict) -> str:
    """Return what to say of a system that is as it was installed."""
    owners = "" if verdict.owners_judged else "; owners were not judged: this root belongs to an ordinary user"
    stars = _counted(verdict.stars, "star")
    return f"{verdict.root}: all {verdict.judged:,} entries of {stars} are as they were installed{owners}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _difference_row(difference: Difference) -> Json:
    return {"path": shown(difference.path), "star": difference.star or None, "problem": difference.problem}


def _names(signers: tuple[str, ...]) -> str:
    """Return key ids as people compare them."""
    return "by " + ", ".join(signer[:20] for signer in signers)
