"""Whether a signed release of which nothing changed stands as it is: everything that it asserts is verified again.

The record that nothing changed says only that the files are those of the last build. So, besides:

  1. RELEASE.json names each file with the digest that was just found
  2. RELEASE.json.dsse is the very signature that this key makes of RELEASE.json now
  3. every star of the lock is verified again, with all its signatures, under the keys of today

Where one does not hold, the whole build begins and says why. docs/decisions/0058 has the reasons.
"""

from __future__ import annotations

from pathlib import Path

from cosmos.cli.cosmos.build_wishes import Wishes
from cosmos.cli.cosmos.counting import Counting
from cosmos.cli.cosmos.kept_build import Unchanged
from cosmos.cli.cosmos.world import world_at
from cosmos.cli.terminal import surroundings
from cosmos.errors import CosmosError
from cosmos.image.vendored_definition import read_definition_from
from cosmos.image.verified_again import verify_again
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_ENVELOPE_BYTES, MAX_RELEASE_BYTES
from cosmos.model.release import RELEASE_ENVELOPE, RELEASE_FILE
from cosmos.reading import read_bounded
from cosmos.trust.roles import IN_TOTO_TYPE


def stands(wishes: Wishes, key: SecretKey, out: Path, found: Unchanged) -> bool:
    """Return whether the release at `out`, of which nothing changed, is what a whole build would sign again."""
    return _names_its_files(found) and _is_signed_by(key, out) and _are_verified(wishes)


def _names_its_files(found: Unchanged) -> bool:
    named = {subject.name: subject.digest.hex for subject in found.release.subjects}
    beside = {RELEASE_FILE, RELEASE_ENVELOPE}
    return named == {name: digest for name, digest in found.digests.items() if name not in beside}


def _is_signed_by(key: SecretKey, out: Path) -> bool:
    try:
        envelope = read_bounded(out / RELEASE_ENVELOPE, MAX_ENVELOPE_BYTES)
        return envelope == key.sign(IN_TOTO_TYPE, read_bounded(out / RELEASE_FILE, MAX_RELEASE_BYTES))
    except (OSError, CosmosError):
        return False


def _are_verified(wishes: Wishes) -> bool:
    reporter = Counting(surroundings().reporter(quiet=wishes.quiet))
    try:
        definition = read_definition_from(wishes.image, wishes.origin, reporter, wishes.given)
        world = world_at(wishes.home, wishes.image, offline=False, quiet=wishes.quiet, reporter=reporter)
        verify_again(definition, world, wishes.accept_revoked)
    except CosmosError:
        return False
    return not reporter.warnings
