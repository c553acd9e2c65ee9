"""The words of `cosmos build`, as one value for every part of a build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cosmos.records import dataclass

if TYPE_CHECKING:
    from fractions import Fraction

    from cosmos.image.given_values import GivenValues
    from cosmos.release.sign import Signing


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """The words of the command line. `quiet`: only an error is told."""

    image: Path
    offline: bool
    origin: Path | None
    out: Path | None
    jobs: int
    level: int | None
    key_file: Path | None
    key: Signing
    accept_revoked: frozenset[str]
    explain: bool
    audit: Fraction | None
    audit_seed: str | None
    keep_root: Path | None
    report: Path | None
    safe: bool
    shell: bool
    given: GivenValues
    secret_words: tuple[str, ...]
    passphrase_fd: int | None
    home: Path | None
    quiet: bool
