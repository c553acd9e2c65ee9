"""Write RELEASE.json into a draft, and its signature, or a request to the machine that has the key."""

from __future__ import annotations

from typing import Literal, TypeAlias

from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_RELEASE_BYTES, demand_within
from cosmos.model.release import RELEASE_ENVELOPE, RELEASE_FILE, Release
from cosmos.release.draft import Draft
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.signing_request import REQUEST_FILE, SigningRequest

Signing: TypeAlias = SecretKey | Literal["elsewhere"] | None  # the key that signs a release; None: nobody signs it


def sign(release: Release, key: Signing, draft: Draft) -> None:
    """Write `RELEASE.json`, and `RELEASE.json.dsse`, or `RELEASE.request` if the key is elsewhere.

    Without a key nothing is signed. Raises `Refused` if RELEASE.json is too large for its readers.
    """
    data = release.to_bytes()
    demand_within(len(data), MAX_RELEASE_BYTES, RELEASE_FILE, hint="make two images of it")
    draft.write(RELEASE_FILE, [data])
    if key == "elsewhere":
        draft.write(REQUEST_FILE, [SigningRequest(payload=data).to_bytes()])
    elif key is not None:
        draft.write(RELEASE_ENVELOPE, [key.sign(IN_TOTO_TYPE, data)])
