"""The answer of `cosmos build`, in lines and in JSON: of a release that was made, and of one that nothing changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from cosmos.canon import Json
from cosmos.cli.terminal import emit, say
from cosmos.digest import Digest
from cosmos.errors import quoted
from cosmos.model.release import Release
from cosmos.model.reporter import counted
from cosmos.records import dataclass

IMAGE_SUFFIX: Final = ".tar.zst"  # as pack.image_file has it, which takes long to import
UNSIGNED: Final = "the release is not signed, so `cosmos verify` cannot check it: sign it with --key KEY"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a build has to say at its end. `more` are rows for machines alone, `warnings` what was warned of.

    `steps` are the words of each step and the time at which it began, none if nothing had changed.
    """

    folder: Path
    release: Release
    content_root: Digest
    made: Mapping[str, str]
    lint: Json
    signed: bool
    changed: bool
    bootable: bool
    key_file: Path | None
    warnings: int = 0
    more: Mapping[str, Json] = field(default_factory=dict)
    steps: tuple[tuple[str, float], ...] = ()

    def give(self, *, as_json: bool) -> None:
        """Write the answer on stdout."""
        if as_json:
            emit(self._row())
        else:
            self._say()

    @property
    def line(self) -> str:
        """The answer in a line, for `--watch`."""
        warned = f" ({counted(self.warnings, 'warning')}, which `cosmos build` shows)" if self.warnings else ""
        return f"{'built' if self.changed else 'unchanged'} {self.folder}{warned}"

    def _row(self) -> dict[str, Json]:
        return {
            "folder": str(self.folder),
            "content-root": str(self.content_root),
            "signed": self.signed,
            "changed": self.changed,
            "made": dict(self.made),
            "files": [
                {"name": subject.name, "size-bytes": subject.size_bytes, "digest": str(subject.digest)}
                for subject in self.release.subjects
            ],
            "lint": self.lint,
            **self.more,
        }

    def _say(self) -> None:
        image = next((subject for subject in self.release.subjects if subject.name.endswith(IMAGE_SUFFIX)), None)
        say(f"{'built' if self.changed else 'unchanged'} {self.folder}")
        for subject in self.release.subjects:
            say(f"  {subject.size_bytes:>11,}  {subject.name}")
        say(f"content root  {self.content_root}")
        if image is not None:
            say(f"pack digest   {image.digest}")
        if commands := _following(self.folder, self.key_file, signed=self.signed, bootable=self.bootable):
            say(f"next: {', or '.join(commands)}")


def _following(folder: Path, key_file: Path | None, *, signed: bool, bootable: bool) -> list[str]:
    """Return the commands that may come next."""
    public = f" --key {quoted(key_file.with_suffix('.pub'))}" if key_file is not None else ""
    verify = [f"cosmos verify {quoted(folder)}{public}"] if signed else []
    return [*verify, f"cosmos boot {quoted(folder)}"] if bootable else verify
