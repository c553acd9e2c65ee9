"""The answer of the commands that make a release out of another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cosmos.canon import Json
from cosmos.cli.terminal import answer
from cosmos.release.delta.applying import MadeRelease


def answer_made(made: MadeRelease, out: Path, as_json: bool, downloaded: Mapping[str, int] | None = None) -> None:
    """Say which release was made and verified, and where; and what was `downloaded` for it, if it was fetched."""
    verdict = made.verdict
    row: dict[str, Json] = {
        "folder": str(out),
        "changed": made.changed,
        "content-root": str(verdict.content_root),
        "signers": list(verdict.signers),
        "files": len(verdict.release.subjects),
        "entries": verdict.entries,
        **({} if downloaded is None else {"downloaded": {**downloaded}}),
    }
    text = (
        f"{'made' if made.changed else 'unchanged'} {out}: verified, {len(verdict.release.subjects)} files, "
        f"{verdict.entries:,} entries in the image\n"
        f"content root  {verdict.content_root}\n"
        f"signed by     {', '.join(verdict.signers)}"
    )
    if downloaded is not None:
        text += f"\ndownloaded    {sum(downloaded.values()):,} bytes"
    answer(row, as_json, text)
