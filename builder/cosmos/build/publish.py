"""Describe a release, sign it, and put it where it belongs in one step."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from cosmos.about import VERSION
from cosmos.build.definition import Definition
from cosmos.build.outputs import image_name
from cosmos.build.receipts import RECEIPTS_FILE
from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.durable import replace_folder_durably, write_durably
from cosmos.errors import Refused, WorldFailed
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_RECEIPTS_BYTES, MAX_RELEASE_BYTES, demand_within
from cosmos.model.lock import Lock, LockedGalaxy, LockedStar
from cosmos.model.release import RELEASE_ENVELOPE, RELEASE_FILE, Release, Subject
from cosmos.model.reporter import Reporter
from cosmos.nova.bubble_probe import WANTED
from cosmos.nova.probe import demand_sandbox
from cosmos.pack.zst import ZSTD_VERSION
from cosmos.reading import read_up_to
from cosmos.tables import Table
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.signing_request import REQUEST_FILE, SigningRequest

Signing: TypeAlias = SecretKey | Literal["elsewhere"] | None  # the key that signs a release, if one does


def describe(
    definition: Definition, lock: Lock, folder: Path, root: Digest, level: int, accepted: Mapping[str, str]
) -> Release:
    """Return the release whose files lie in `folder`, and write its RELEASE.json beside them.

    `accepted` are the stars that are not trusted now and were taken by name, and why they are not.
    """
    image = definition.image
    downgrades: dict[str, Json] = {str(name): str(version) for name, version in sorted(lock.downgraded.items())}
    release = Release(
        subjects=tuple(
            Subject(
                name=file.name,
                digest=_digest(file),
                size_bytes=file.stat().st_size,
                content_root=root if file.name == image_name(image, "tar.zst") else None,
            )
            for file in sorted(folder.iterdir())
        ),
        external={
            "image": str(image.name),
            "version": str(image.version),
            "arch": str(image.arch),
            "definition": str(Digest.of(definition.data)),
            "marker": image.marker,
            **({"counter": image.counter} if image.counter else {}),
            **({"acceptedRevoked": dict(accepted)} if accepted else {}),
            **({"allowedDowngrades": downgrades} if downgrades else {}),
        },
        internal={
            "contentRoot": str(root),
            "layerFormat": lock.build.layer_format,
            "level": level,
            "sandbox": {**demand_sandbox(), **({"programs": dict(WANTED)} if _ran_programs(folder) else {})},
            "sourceDateEpoch": lock.build.source_date_epoch,
            "zstd": ZSTD_VERSION,
            "pinned": {"cosmos": lock.build.cosmos, "zstd": lock.build.zstd, "level": lock.build.level},
        },
        resolved=(*(_galaxy(galaxy) for galaxy in lock.galaxies), *(_star(star) for star in lock.stars)),
        cosmos_version=VERSION,
    )
    _write(folder / RELEASE_FILE, release)
    return release


def sign(folder: Path, release: Release, key: Signing, definition: Definition, lock: Lock) -> None:
    """Write `RELEASE.json.dsse`; or, where the key is elsewhere, `RELEASE.request`; without a key nothing.

    Refuses a signed release of unsigned stars unless the image's policy allows it in words.
    """
    if key is None:
        return
    unsigned = [star.name for star in lock.stars if not star.signers]
    if unsigned and not definition.image.policy.unsigned_release:
        raise Refused(
            str(definition.folder / "image.toml"),
            f"{', '.join(unsigned)} came unsigned, and a signed release cannot be made from that",
            hint="sign these stars, or say [policy] unsigned-release = true",
        )
    if key == "elsewhere":
        write_durably(folder / REQUEST_FILE, SigningRequest(payload=release.to_bytes()).to_bytes())
    else:
        write_durably(folder / RELEASE_ENVELOPE, key.sign(IN_TOTO_TYPE, release.to_bytes()))


def publish(folder: Path, out: Path, reporter: Reporter) -> bool:
    """Make `folder` stand at `out` in one step; return False where the same release stands there already.

    A signed release stays where the new one is the same but for the signature that it lacks.
    """
    if out.is_dir():
        loses_signature = (out / RELEASE_ENVELOPE).is_file() and not (folder / RELEASE_ENVELOPE).is_file()
        if same_files(folder, out, but=RELEASE_ENVELOPE if loses_signature else ""):
            return False
        if loses_signature and (out / RELEASE_FILE).is_file():
            reporter.warn(f"{out}: a signed release is replaced by another one, which is not signed")
        if any(out.iterdir()) and not (out / RELEASE_FILE).is_file():
            raise WorldFailed(
                str(out),
                "is not empty and holds no release, and cosmos does not delete what it did not make",
                hint="choose another folder with --out",
            )
    replace_folder_durably(folder, out)
    return True


def same_files(one: Path, other: Path, *, but: str = "") -> bool:
    """Return whether two folders hold the same files, with the same bytes and modes; `but` is not looked at."""
    names = sorted(file.name for file in one.iterdir() if file.name != but)
    if names != sorted(file.name for file in other.iterdir() if file.name != but):
        return False
    return all(
        (other / name).is_file()
        and (one / name).stat().st_mode == (other / name).stat().st_mode
        and filecmp.cmp(one / name, other / name, shallow=False)
        for name in names
    )


def _write(file: Path, release: Release) -> None:
    data = release.to_bytes()
    demand_within(len(data), MAX_RELEASE_BYTES, RELEASE_FILE, hint="make two images of it")
    write_durably(file, data)


def _ran_programs(folder: Path) -> bool:
    """Whether a script of the release in `folder` ran a program, by its receipts. Each was inspected, or nothing is."""
    receipts_bytes = read_up_to(folder / RECEIPTS_FILE, MAX_RECEIPTS_BYTES)
    document = Table.from_json(receipts_bytes, RECEIPTS_FILE, max_bytes=MAX_RECEIPTS_BYTES)
    receipts = [*document.need("stars", dict).values(), document.value("finish")]
    return any(event["do"] == "run" for receipt in receipts if receipt for event in receipt["events"])


def _star(star: LockedStar) -> Json:
    return {
        "name": star.id,
        "digest": {"sha256": star.archive.hex},
        "annotations": {
            "galaxy": str(star.galaxy),
            "file": star.file,
            "statement": str(star.statement),
            "signers": [*star.signers],
        },
    }


def _galaxy(galaxy: LockedGalaxy) -> Json:
    return {
        "name": f"galaxy:{galaxy.name}",
        "digest": {"sha256": galaxy.index.hex},
        "annotations": {"seq": galaxy.seq, "allowUnsigned": galaxy.allow_unsigned},
    }


def _digest(file: Path) -> Digest:
    with file.open("rb") as stream:
        return Digest.of_stream(stream)
