"""A program that builds, as RELEASE.json names it."""

from __future__ import annotations

from cosmos.model.release import Builder

BUILDER = Builder(
    versions={"cosmos": "0.1.0", "python": "3.11.2", "zstd": "1.5.7"},
    parts=(
        {"name": "builder/cosmos", "digest": {"dirHash": "ab" * 32}},
        {"name": "jinja2", "uri": "pkg:pypi/jinja2@3.1.6"},
    ),
)
