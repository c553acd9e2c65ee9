"""The answer of `cosmos build`, in lines and in JSON: of a release that was made, and of one that nothing changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from cosmos.canon import Json
from cosmos.cli.terminal import say
from cosmos.digest import Digest
from cosmos.model.release import Release

IMAGE_SUFFIX: Final = ".tar.zst"  # as pack.image_file has it, which takes long to import
UNSIGNED: Final = "the release is not signed, so `cosmos verify` cannot check it: sign it with --key KEY"


def built_row(
    folder: Path,
    release: Release,
    root: Digest,
    made: Mapping[str, str],
    lint: Json,
    *,
    signed: bool,
    changed: bool,
) -> dict[str, Json]:
    """Return the answer for machines."""
    return {
        "folder": str(folder),
        "content-root": str(root),
        "signed": signed,
        "changed": changed,
        "made": dict(made),
        "files": [
            {"name": subject.name, "size-bytes": subject.size_bytes, "digest": str(subject.digest)}
            for subject in release.subjects
        ],
        "lint": lint,
    }


def say_built(folder: Path, release: Release, root: Digest, following: Iterable[str], *, changed: bool) -> None:
    """Say the answer for people; `following` are the commands that may come next."""
    image = next((subject for subject in release.subjects if subject.name.endswith(IMAGE_SUFFIX)), None)
    say(f"{'built' if changed else 'unchanged'} {folder}")
    for subject in release.subjects:
        say(f"  {subject.size_bytes:>11,}  {subject.name}")
    say(f"content root  {root}")
    if image is not None:
        say(f"pack digest   {image.digest}")
    if commands := list(following):
        say(f"next: {', or '.join(commands)}")


def following(folder: Path, key_file: Path | None, *, signed: bool, bootable: bool) -> list[str]:
    """Return the commands that may come next."""
    public = f" --key {key_file.with_suffix('.pub')}" if key_file is not None else ""
    verify = [f"cosmos verify {folder}{public}"] if signed else []
    return [*verify, f"cosmos boot {folder}"] if bootable else verify
