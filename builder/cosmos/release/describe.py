"""Make RELEASE.json of a build: the files that it wrote, and everything that went into them (model.release)."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.model.image import Image, Policy
from cosmos.model.lock import LOCK_FILE, Lock, LockedGalaxy, LockedStar, LockedTrust
from cosmos.model.names import StarName
from cosmos.model.release import DEFINITION_FILE, Builder, Release, Subject
from cosmos.model.waiver import waivers_to_json
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.records import dataclass
from cosmos.release.draft import Written
from cosmos.sbom.bill import star_purl


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildFacts:
    """The facts of a build besides the files that it wrote.

    `definition` is the digest of image.toml, `inputs` those of all files of definition.tar by their name in it, `root`
    the content root, `level` the zstd level of the layers. `builder` is the program that made the release. `accepted`
    are the stars that are not trusted now and that the operator accepted by name, with the reasons. `signers` are the
    verified signers of each star. `unsteady` are the stars whose programs may give another result each time, by the
    operator's waiver. `sandbox` is the result of the live probe of Nova's sandbox. `secrets` are the names of the
    template's secret variables. `holding_all` names the files that contain the whole tree.
    """

    image: Image
    definition: Digest
    inputs: Mapping[str, Digest]
    lock: Lock
    root: Digest
    level: int
    accepted: Mapping[str, str]
    signers: Mapping[StarName, tuple[str, ...]]
    unsteady: tuple[str, ...]
    sandbox: Mapping[str, Json]
    secrets: tuple[str, ...]
    holding_all: frozenset[str]
    builder: Builder


def describe(files: Mapping[str, Written], facts: BuildFacts) -> Release:
    """Return the release that consists of `files`."""
    image, lock = facts.image, facts.lock
    downgrades: dict[str, Json] = {str(name): str(version) for name, version in sorted(lock.downgraded.items())}
    return Release(
        subjects=tuple(
            Subject(
                name=name,
                digest=files[name].digest,
                size_bytes=files[name].size_bytes,
                content_root=facts.root if name in facts.holding_all else None,
            )
            for name in sorted(files)
        ),
        external={
            "image": str(image.name),
            "version": str(image.version),
            "arch": str(image.arch),
            "definition": str(facts.definition),
            "marker": image.marker,
            **({"counter": image.counter} if image.counter else {}),
            **({"acceptedRevoked": dict(facts.accepted)} if facts.accepted else {}),
            **({"allowedDowngrades": downgrades} if downgrades else {}),
            **({"vars": given} if (given := _given(image)) else {}),
            **_lists(unsteady=facts.unsteady, secrets=facts.secrets),
            **({"policy": policy} if (policy := _policy(image.policy)) else {}),
        },
        internal={
            "contentRoot": str(facts.root),
            "layerFormat": lock.build.layer_format,
            "level": facts.level,
            "sandbox": dict(facts.sandbox),
            "sourceDateEpoch": lock.build.source_date_epoch,
            "zstd": ZSTD_VERSION,
            "pinned": {"cosmos": lock.build.cosmos, "zstd": lock.build.zstd, "level": lock.build.level},
        },
        resolved=_resolved(files, facts),
        builder=facts.builder,
    )


def _resolved(files: Mapping[str, Written], facts: BuildFacts) -> tuple[Json, ...]:
    """Return every input: what the operator wrote, the lock, and what the lock names."""
    return (
        *(_input(name, digest) for name, digest in sorted(facts.inputs.items())),
        *(_descriptor(name, files[name].digest) for name in (LOCK_FILE, f"{LOCK_FILE}.dsse") if name in files),
        *_trust(facts.lock.trust),
        *(_galaxy(galaxy) for galaxy in facts.lock.galaxies),
        *(_star(star, facts.signers[star.name]) for star in facts.lock.stars),
    )


def _given(image: Image) -> dict[str, Json]:
    """Return the values that came with the build command, by name."""
    return {name: _plain(image.vars[name]) for name in image.given}


def _plain(value: object) -> Json:
    """Return the value of a variable: of one of the types that a template declares."""
    return [*map(str, value)] if isinstance(value, list) else value if isinstance(value, str | int) else str(value)


def _lists(**named: tuple[str, ...]) -> dict[str, Json]:
    """Return those of the lists that are not empty."""
    return {name: [*values] for name, values in named.items() if values}


def _policy(policy: Policy) -> dict[str, Json]:
    """Return which stars may do more than others, and which rules of the ship guard are waived."""
    powers: dict[str, Json] = {power: [*map(str, stars)] for power, stars in policy.powers.named.items()}
    waive: dict[str, Json] = waivers_to_json(policy.waivers)
    return {**({"powers": powers} if powers else {}), **({"waive": waive} if waive else {})}


def _input(name: str, digest: Digest) -> Json:
    """Return a file that the operator wrote. It lies in definition.tar under the same name."""
    return {**_descriptor(name, digest), "annotations": {"in": DEFINITION_FILE}}


def _descriptor(name: str, digest: Digest) -> dict[str, Json]:
    return {"name": name, "digest": {"sha256": digest.hex}}


def _trust(trust: LockedTrust) -> list[Json]:
    """Return the trust anchors that the lock was made under, if any key was pinned."""
    if trust.digest is None:
        return []
    return [{**_descriptor("trust.toml", trust.digest), "annotations": {"version": trust.version}}]


def _star(star: LockedStar, signers: tuple[str, ...]) -> Json:
    return {
        **_descriptor(star.id, star.archive),
        "uri": star_purl(str(star.name), str(star.version)),
        "annotations": {
            "galaxy": str(star.galaxy),
            "file": star.file,
            "statement": str(star.statement),
            "script": str(star.script or ""),
            "signers": [*signers],
        },
    }


def _galaxy(galaxy: LockedGalaxy) -> Json:
    """Return a snapshot. Its address is a URI only if it is no path of the builder's disk."""
    return {
        **_descriptor(f"galaxy:{galaxy.name}", galaxy.index),
        **({"uri": galaxy.url} if "://" in galaxy.url else {}),
        "annotations": {"seq": galaxy.seq, "version": galaxy.version, "allowUnsigned": galaxy.allow_unsigned},
    }
