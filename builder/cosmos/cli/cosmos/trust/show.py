"""`cosmos trust show`: show which keys may sign what."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.canon import Json
from cosmos.cli.cosmos.trust.places import places, root_here
from cosmos.cli.options import FOLDER, json_option
from cosmos.cli.terminal import emit, say, surroundings
from cosmos.cli.trust_rows import anchor_row, key_row, say_keys
from cosmos.keyring.anchors import accepted_versions, load_trust
from cosmos.keyring.state import NO_MEMORY
from cosmos.trust.roots import TrustRoots


@click.command("show")
@click.option("--home", type=FOLDER, envvar="COSMOS_HOME", help="The builder's home.")
@click.option("--root", type=FOLDER, callback=root_here, help="The system at this root.")
@json_option
def trust_show(home: Path | None, root: Path | None, as_json: bool) -> None:
    """Show the accepted trust anchors: which keys may sign what."""
    with places(home, root) as (path, state):
        memory = state.read()
        anchor = load_trust(path, memory)
        versions = accepted_versions(path)
    if as_json:
        emit(
            {
                **anchor_row(anchor),
                **_roots_row(anchor.roots),
                "kept-versions": list(versions),
                "rollback-judged": memory is not None,
            }
        )
        return
    signed = "signed by its root keys" if anchor.is_signed else "not signed by its root keys"
    say(f"{anchor.path}, version {anchor.roots.version}, {signed}")
    say(f"  {anchor.digest}")
    say_keys(anchor.roots)
    for row in anchor.roots.revoked:
        say(f"  {anchor.roots.name_of(row.key)} {row}")
    say(f"  kept: version {', '.join(map(str, versions)) or 'none'}")
    if memory is None:
        surroundings().terminal.note(f"{state.path}: {NO_MEMORY}")


def _roots_row(roots: TrustRoots) -> dict[str, Json]:
    scopes = {author.key.id: author for author in roots.authors}
    keys: list[Json] = []
    for name, public in roots.all_keys():
        row: dict[str, Json] = {**key_row(public), "role": name, "revoked": roots.is_revoked(public)}
        if public.id in scopes:
            row["galaxies"], row["stars"] = [*scopes[public.id].galaxies], [*scopes[public.id].stars]
        keys.append(row)
    return {
        "description": roots.description,
        "keys": keys,
        "thresholds": {name: roots.threshold(name) for name in sorted({held for held, _ in roots.all_keys()})},
        "floor": {
            "galaxies": {str(name): seq for name, seq in roots.floors.galaxies.items()},
            "stars": {str(name): version for name, version in roots.floors.stars.items()},
            "releases": {str(name): counter for name, counter in roots.floors.releases.items()},
        },
        "revoked": [{"id": row.key, "reason": row.reason, "effective-seq": row.effective_seq} for row in roots.revoked],
    }
