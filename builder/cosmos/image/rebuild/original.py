"""The release that is rebuilt: judged before anything of it is used.

"Replaced by somebody" and "not reproducible" are two answers. The first is said here (exit 4): the signature is bad, or
a file is not the one that was signed. Only a whole release is rebuilt, so that the second is about the build alone.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cosmos.digest import Digest
from cosmos.errors import Malformed, Refused, quoted
from cosmos.image.packed_definition import unpack_definition
from cosmos.image.template_folder import IMAGE_FILE
from cosmos.limits import (
    MAX_DEFINITION_BYTES,
    MAX_DOCUMENT_BYTES,
    MAX_LOCK_BYTES,
    MAX_RELEASE_BYTES,
    MAX_SIGNED_BYTES,
)
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.release import DEFINITION_FILE, RELEASE_FILE, Release
from cosmos.model.reporter import Reporter
from cosmos.reading import envelope_of, read_bounded, read_envelope
from cosmos.records import dataclass
from cosmos.release.verify import file_differences
from cosmos.trust.releases import ReleaseKeys, verify_release


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """A release in its folder. `signers` are the keys that signed it, none if it is unsigned."""

    folder: Path
    release: Release
    signers: tuple[str, ...]

    @property
    def level(self) -> int:
        """The zstd level of its layers. Raises `Malformed`."""
        level = self.release.internal.get("level")
        if type(level) is not int or not 1 <= level <= 22:
            raise Malformed(str(self.folder / RELEASE_FILE), "internalParameters.level: want 1 to 22")
        return level

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secret variables that it was built with. Raises `Malformed`."""
        names = self.release.external.get("secrets", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._malformed("secrets", "want an array of names")
        return tuple(sorted(map(str, names)))

    def demand_secrets(self, given: Collection[str]) -> None:
        """Raise `Malformed` if a secret that it was built with is not among `given`: nothing could be compared."""
        missing = [name for name in self.secrets if name not in given]
        if missing:
            raise Malformed(
                str(self.folder),
                f"was built with the secret {', '.join(missing)}, and without its value nobody can build the same",
                hint="give the same value: " + " ".join(f"--secret {quoted(name)}=FILE" for name in missing),
            )

    @property
    def accepted(self) -> tuple[str, ...]:
        """The names that its maker accepted although they were not trusted. Raises `Malformed`."""
        names = self.release.external.get("acceptedRevoked", {})
        if not isinstance(names, dict):
            raise self._malformed("acceptedRevoked", "want a table of names with reasons")
        return tuple(sorted(names))

    def _malformed(self, key: str, problem: str) -> Malformed:
        return Malformed(str(self.folder / RELEASE_FILE), f"externalParameters.{key}: {problem}")


def judged_original(folder: Path, signers: ReleaseKeys, reporter: Reporter) -> Original:
    """Return the release in `folder` (or in its `out/`), its signature and its files checked.

    An unsigned release is taken with a warning. Raises `Malformed` if there is no release, `Refused` if it is not as it
    was signed.
    """
    folder = folder if (folder / RELEASE_FILE).is_file() else folder / "out"
    document = folder / RELEASE_FILE
    if not document.is_file():
        raise Malformed(
            str(document), "is not there", hint="name the folder that `cosmos build` made, such as images/NAME/out"
        )
    data, envelope = read_bounded(document, MAX_RELEASE_BYTES), read_envelope(document, MAX_SIGNED_BYTES)
    signed_by: tuple[str, ...] = ()
    if envelope is None:
        reporter.warn(f"{folder}: is not signed, so nobody vouches for it; it is compared all the same")
    else:
        signed_by = verify_release(data, envelope, signers, source=str(document)).signers
    release = Release.parse(data, str(document))
    found = list(file_differences(folder, release, reporter))
    if found:
        raise Refused(
            str(folder),
            f"was changed after it was built: {'; '.join(found[:5])}",
            hint="this says nothing about the build: get the release again from its maker",
        )
    return Original(folder=folder, release=release, signers=signed_by)


def lay_out(original: Original, folder: Path) -> Path:
    """Write the release's definition and lock below `folder`, and return the image's folder.

    Raises `Malformed` if the release has no definition, `Refused` if the definition is not the one that it names.
    """
    packed = original.folder / DEFINITION_FILE
    if not packed.is_file():
        raise Malformed(
            str(packed),
            "is not there: an older cosmos built this release",
            hint="build it once more with this cosmos, from the same lock",
        )
    image = unpack_definition(read_bounded(packed, MAX_DEFINITION_BYTES), folder, str(packed))
    stated = original.release.external.get("definition")
    found = Digest.of(read_bounded(image / IMAGE_FILE, MAX_DOCUMENT_BYTES))
    if stated != found:
        raise Refused(str(packed), f"its {IMAGE_FILE} is {found}, but {RELEASE_FILE} names {stated}")
    lock = original.folder / LOCK_FILE
    for source, limit in ((lock, MAX_LOCK_BYTES), (envelope_of(lock), MAX_SIGNED_BYTES)):
        if source.is_file():
            try:
                with (image / source.name).open("xb") as stream:  # never through something that the archive brought
                    stream.write(read_bounded(source, limit))
            except FileExistsError as error:
                raise Refused(str(packed), f"holds {source.name}, which lies beside it in a release") from error
    if lock.is_file():
        Lock.parse(read_bounded(lock, MAX_LOCK_BYTES), str(lock))  # so that a fault is named in the release's file
    return image
