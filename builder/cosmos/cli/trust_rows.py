"""What the commands of both programs answer about keys and trust anchors."""

from __future__ import annotations

from cosmos.canon import Json
from cosmos.cli.terminal import say
from cosmos.keyring.anchors import Anchor
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import ROLES, role
from cosmos.trust.roots import TrustRoots


def key_row(public: PublicKey) -> dict[str, Json]:
    """Return a public key as `--json` answers it."""
    return {"name": str(public.name), "id": public.id, "public": public.line}


def anchor_row(anchor: Anchor) -> dict[str, Json]:
    """Return a trust.toml on this machine as `--json` answers it."""
    return {
        "file": str(anchor.path),
        "digest": str(anchor.digest),
        "version": anchor.roots.version,
        "signed": anchor.is_signed,
    }


def say_keys(roots: TrustRoots) -> None:
    """Say which keys may sign what, and the floors."""
    for name in ROLES:
        keys = [public for held, public in roots.all_keys() if held == name]
        if keys:
            say(f"  {name}: {roots.threshold(role(name))} of {len(keys)}")
        for public in keys:
            say(f"    {public.name:<20} {public.id}{_remarks(roots, public)}")
    for galaxy, seq in roots.floors.galaxies.items():
        say(f"  floor: galaxy {galaxy} from seq {seq}")
    for star, version in roots.floors.stars.items():
        say(f"  floor: star {star} from {version}")
    for image, counter in roots.floors.releases.items():
        say(f"  floor: release {image} from counter {counter}")


def _remarks(roots: TrustRoots, public: PublicKey) -> str:
    scopes = [
        f"   stars {', '.join(author.stars)} in {', '.join(author.galaxies)}"
        for author in roots.authors
        if author.key == public
    ]
    return "".join(scopes) + ("   REVOKED" if roots.is_revoked(public) else "")
