"""Write RELEASE.json into a draft, and the signature over it: here, or as a request to a machine that has the key."""

from __future__ import annotations

from typing import Literal, TypeAlias

from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_RELEASE_BYTES, demand_within
from cosmos.model.release import RELEASE_ENVELOPE, RELEASE_FILE, Release
from cosmos.release.draft import Draft
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.signing_request import REQUEST_FILE, SigningRequest

Signing: TypeAlias = SecretKey | Literal["elsewhere"] | None  # the key that signs a release, if one does


def sign(release: Release, key: Signing, draft: Draft) -> None:
    """Write `RELEASE.json` and `RELEASE.json.dsse`; where the key is elsewhere, `RELEASE.request` instead of that.

    Without a key nothing is signed. Raises `Refused` for a release that no reader would take.
    """
    data = release.to_bytes()
    demand_within(len(data), MAX_RELEASE_BYTES, RELEASE_FILE, hint="make two images of it")
    draft.write(RELEASE_FILE, [data])
    if key == "elsewhere":
        draft.write(REQUEST_FILE, [SigningRequest(payload=data).to_bytes()])
    elif key is not None:
        draft.write(RELEASE_ENVELOPE, [key.sign(IN_TOTO_TYPE, data)])
