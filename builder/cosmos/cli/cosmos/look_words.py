"""The lines and rows of what a person looks at before stars are installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cosmos.canon import Json
from cosmos.cli.cosmos.rows import counted
from cosmos.cli.terminal import in_one_line
from cosmos.device.look import Deeds, Look, Signer, StarLook, Unusual
from cosmos.device.root import shown
from cosmos.staging.powers import Wanted
from cosmos.trust.badges import Badge

_SHOWN = 3  # paths, programs and origins of one star in a line: to be read


def look_lines(look: Look, verb: str) -> Iterator[str]:
    """Yield one to three lines for each star, then the totals, and the powers that are refused."""
    for one in look.stars:
        wanted = ", ".join(one.star.wanted_by)
        yield f"{verb} {one.star.name} {one.star.version} from {one.star.galaxy}: {_files(one)}, for {wanted}"
        yield f"  {'; '.join(_about(one))}"
        beyond = list(_beyond(one))
        if beyond:
            yield f"  {'; '.join(beyond)}"
    if look.stars:
        yield (
            f"{counted(len(look.stars), 'star')}: {counted(look.fetched_bytes, 'byte')} to fetch, "
            f"{counted(look.installed_bytes, 'byte')} installed"
        )
    if look.refused:
        yield f"not allowed: {', '.join(f'{row.star} {row.power}' for row in look.refused)}"


def look_row(look: Look) -> dict[str, Json]:
    """Return all that `look_lines` says, as a row, with nothing left out."""
    return {
        "look": [_star_row(one) for one in look.stars],
        "total": {
            "stars": len(look.stars),
            "size-bytes": look.fetched_bytes,
            "installed-bytes": look.installed_bytes,
        },
        "refused-powers": [_power_row(row) for row in look.refused],
    }


def badge_row(badge: Badge) -> dict[str, Json]:
    """Return the row of one badge."""
    return {
        "standing": badge.standing,
        "kind": None if badge.claim is None else badge.claim.kind,
        "result": None if badge.claim is None else badge.claim.result,
        "signers": list(badge.signers),
        "why": badge.why or None,
    }


def _files(one: StarLook) -> str:
    return counted(one.files, "file")


def _about(one: StarLook) -> Iterator[str]:
    """Yield sizes, licence, origin, signers and badges."""
    yield f"{counted(one.star.size_bytes, 'byte')} to fetch, {counted(one.installed_bytes, 'byte')} installed"
    yield in_one_line(one.about.license) or "no licence stated"
    if one.about.origins:
        origins = [f"{origin.ecosystem} {origin.name} {origin.version}" for origin in one.about.origins]
        yield in_one_line(f"made from {_some(origins)}")
    yield _signed(one.signers)
    if one.badges is None:
        yield "badges not known"
    elif one.badges:
        yield f"badges: {', '.join(map(_badge, one.badges))}"


def _signed(signers: tuple[Signer, ...]) -> str:
    if not signers:
        return "signed by NOBODY"
    return f"signed by {', '.join(f'{signer.name} ({_scope(signer)})' for signer in signers)}"


def _scope(signer: Signer) -> str:
    """Return what the operator lets the signer sign, as the trust document has it."""
    stars = "all stars" if "*" in signer.stars else f"stars {' '.join(signer.stars)}"
    return f"for {stars}" if "*" in signer.galaxies else f"for {stars} of {' '.join(signer.galaxies)}"


def _badge(badge: Badge) -> str:
    return badge.standing if badge.claim is None else f"{badge.claim.kind} {badge.claim.result} {badge.standing}"


def _beyond(one: StarLook) -> Iterator[str]:
    """Yield what is more than plain files in /usr and /etc."""
    if one.deeds is not None:
        yield _did(one.deeds)
    if one.outside:
        yield f"{counted(one.outside, 'path')} outside /usr and /etc"
    if one.unusual:
        yield f"unusual: {_some([_strange(strange) for strange in one.unusual])}"
    if one.powers:
        yield f"powers: {', '.join(_power(row) for row in one.powers)}"


def _did(deeds: Deeds) -> str:
    done = [f"{verb} {count}" for verb, count in deeds.counts.items() if verb != "run"]
    ran = [in_one_line(" ".join(words[:4]) + (" …" if len(words) > 4 else "")) for words in deeds.programs]
    said = [*done, *([f"runs {_some(ran)}"] if ran else [])]
    return f"script: {', '.join(said) or 'does nothing'}"


def _strange(one: Unusual) -> str:
    return f"{shown(one.path)} {one.mode:04o} {'+'.join(one.what)}"


def _power(row: Wanted) -> str:
    return f"{row.power} {'allowed' if row.is_given else 'REFUSED'}"


def _some(texts: Iterable[str]) -> str:
    """Return the first texts, and how many more there are."""
    every = list(texts)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def _star_row(one: StarLook) -> dict[str, Json]:
    about = one.about
    return {
        "name": str(one.star.name),
        "version": str(one.star.version),
        "galaxy": str(one.star.galaxy),
        "wanted-by": list(one.star.wanted_by),
        "signers": [_signer_row(signer) for signer in one.signers],
        "badges": None if one.badges is None else [badge_row(badge) for badge in one.badges],
        "description": about.description,
        "license": about.license,
        "origins": [
            {"ecosystem": origin.ecosystem, "name": origin.name, "version": origin.version} for origin in about.origins
        ],
        "size-bytes": one.star.size_bytes,
        "installed-bytes": one.installed_bytes,
        "files": one.files,
        "outside": one.outside,
        "unusual": [
            {"path": shown(strange.path), "mode": f"{strange.mode:04o}", "what": list(strange.what)}
            for strange in one.unusual
        ],
        "powers": [_power_row(row) for row in one.powers],
        "script": None
        if one.deeds is None
        else {"programs": [list(words) for words in one.deeds.programs], "did": dict(one.deeds.counts)},
    }


def _signer_row(signer: Signer) -> dict[str, Json]:
    return {
        "key": signer.key,
        "name": signer.name,
        "galaxies": list(signer.galaxies),
        "stars": list(signer.stars),
    }


def _power_row(row: Wanted) -> dict[str, Json]:
    return {
        "star": str(row.star),
        "power": row.power,
        "allowed": row.is_given,
        "what": row.what,
        "times": row.times,
    }
