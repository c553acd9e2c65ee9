"""`extends` in image.toml: a variant is joined with its base, and all else reads the joined definition.

    extends = "../base"        # in images/kiosk/image.toml: the folder of another image, or its .toml file

The joined definition is one document without `extends`. The lock answers it, and a release carries it. So a base that
changes makes the lock stale, and a release can be built again by a Cosmos that does not know `extends`.

What the variant states counts. Besides:

    [stars] [vars] [policy]    joined by key; a list in [policy] has the base's items, then the variant's further ones
    constellations             the base's, then the variant's further ones
    [galaxies]                 the variant's, then the base's further ones: the order is the priority
    [[output]]                 joined by `format` and `as`: the base's, each replaced by the variant's of the same file
    name                       is never taken from a base: two images would have one name
    a path, such as finish     starts at the folder of the file that states it, and is changed to start at the variant

A base may extend another, at most MAX_IMAGE_BASES in a row. Each lies in the same workspace as the image: below the
nearest folder with a `.git` or `.cosmos` above the image, or else below the folder that holds the image's folder. What
lies elsewhere is not in the repository from which others build, and would be published with the release.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.image.template_folder import IMAGE_FILE
from cosmos.limits import MAX_IMAGE_BASES
from cosmos.links import real
from cosmos.plain_toml import plain_text
from cosmos.reading import is_there, read_bounded
from cosmos.records import dataclass
from cosmos.tables import BadKey, Table

Document: TypeAlias = Mapping[str, object]
_KEY: Final = "extends"
_WORKSPACE: Final = (".git", ".cosmos")
_FILES: Final = ("finish", "trust")  # keys whose value is a path


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """One file of a definition. `path` is its path from the image's folder, for people and for the record."""

    path: str
    data: bytes
    document: Document


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """A definition: `data` are the bytes of the one document, `files` what it was joined from, the image's own first.

    Without a base these are the bytes of the file.
    """

    data: bytes
    files: tuple[Stated, ...]

    @property
    def bases(self) -> tuple[str, ...]:
        """The paths of the bases from the image's folder."""
        return tuple(one.path for one in self.files[1:])

    def blaming(self, error: BadKey, file: Path) -> BadKey:
        """Return `error` about the joined document, and those that it carries, as of the files that state the keys."""
        blamed = self._blaming(error, file)
        blamed.also = tuple(self._blaming(one, file) if isinstance(one, BadKey) else one for one in error.also)
        return blamed

    def _blaming(self, error: BadKey, file: Path) -> BadKey:
        parts = error.path.split("[")[0].split(".")
        for one in self.files[1:]:
            if _states(one.document, parts) and not _states(self.files[0].document, parts):
                return BadKey(str(file.parent / one.path), error.path, error.said, hint=error.hint)
        return error


def read_joined(file: Path) -> Joined:
    """Return the definition in `file`, joined with its bases. Raises `Malformed`."""
    data = read_bounded(file)
    own = Stated(path=file.name, data=data, document={})
    if _KEY.encode() not in data and b"\\" not in data:  # a key may be written with escapes
        return Joined(data=data, files=(own,))
    chain = [Stated(path=file.name, data=data, document=_document(data, file))]
    seen = {real(file)}
    at = file
    while _KEY in chain[-1].document:
        at = _base_of(at, chain[-1].document, file)
        if real(at) in seen:
            raise Malformed(str(file), f"{_KEY}: {chain[-1].path} leads back to {_from(file, at)}: this is a circle")
        if len(chain) > MAX_IMAGE_BASES:
            raise Malformed(str(file), f"{_KEY}: has more than {MAX_IMAGE_BASES} bases in a row")
        seen.add(real(at))
        found = read_bounded(at)
        chain.append(Stated(path=_from(file, at), data=found, document=_document(found, at)))
    if len(chain) == 1:
        return Joined(data=data, files=tuple(chain))
    document = _own_alone(chain[-1])
    for one in reversed(chain[:-1]):
        document = _joined(document, _own_alone(one))
    if "name" not in chain[0].document:
        raise BadKey(str(file), "name", "missing: an image does not take its name from a base")
    head = ["Joined by cosmos, the image's own file last:", *(_row(one) for one in reversed(chain))]
    return Joined(data=written(document, head), files=tuple(chain))


def written(document: Document, head: Iterable[str]) -> bytes:
    """Return a definition as a file, with the lines of `head` as comments."""
    return ("".join(f"# {line}\n" for line in head) + "\n" + plain_text(document)).encode()


def document_of(data: bytes, source: str) -> dict[str, object]:
    """Return the TOML document; raises `Malformed`."""
    table = Table.parse(data, source)
    return {key: table.value(key) for key in table.keys()}


def _document(data: bytes, file: Path) -> dict[str, object]:
    return document_of(data, str(file))


def _base_of(file: Path, document: Document, image: Path) -> Path:
    """Return the file of the base that `document` in `file` names. Raises `Malformed`."""
    named = document[_KEY]
    if not isinstance(named, str) or not named or "\0" in named:
        raise BadKey(str(file), _KEY, "want the path of another image's folder, or of its .toml file")
    if named.startswith("/"):
        raise BadKey(str(file), _KEY, f"{named} is an absolute path: nobody else can build this image")
    place = file.parent / named
    base = place / IMAGE_FILE if place.is_dir() else place
    workspace = _workspace(image)
    if not real(base).is_relative_to(workspace):
        hint = "copy it into the repository of the image, so that others can build the same"
        raise BadKey(str(file), _KEY, f"{named} lies outside of {workspace}", hint=hint)
    if not is_there(base):
        raise BadKey(str(file), _KEY, f"{base} is not there", hint=f"name a folder that holds an {IMAGE_FILE}")
    return base


def _workspace(image: Path) -> Path:
    own = real(image).parent
    above = (folder for folder in (own, *own.parents) if any((folder / name).exists() for name in _WORKSPACE))
    return next(above, own.parent)


def _from(image: Path, file: Path) -> str:
    """Return the path of `file` from the image's folder."""
    return os.path.relpath(real(file), real(image).parent)


def _row(one: Stated) -> str:
    return f"  {Digest.of(one.data)} {json.dumps(one.path)}"  # quoted: a name may hold a line's end


def _own_alone(one: Stated) -> dict[str, object]:
    """Return a file's document without `extends`, its paths as they are from the image's folder."""
    document = {key: value for key, value in one.document.items() if key != _KEY}
    folder = os.path.dirname(one.path)  # noqa: PTH120 - text, which keeps its dots
    if not folder:
        return document
    for key in _FILES:
        if isinstance(value := document.get(key), str) and value:
            document[key] = _moved(folder, value)
    template = document.get("template")
    if isinstance(template, str) and template.startswith(("./", "../")):
        moved = _moved(folder, template)
        document["template"] = moved if moved.startswith("../") else f"./{moved}"
    if isinstance(names := document.get("constellations"), list):
        document["constellations"] = [_moved(folder, name) if isinstance(name, str) else name for name in names]
    if isinstance(galaxies := document.get("galaxies"), dict):
        document["galaxies"] = {name: _moved_galaxy(folder, value) for name, value in galaxies.items()}
    return document


def _moved_galaxy(folder: str, value: object) -> object:
    if isinstance(value, str):
        return value if "://" in value or not value else _moved(folder, value)
    if isinstance(value, dict) and "url" in value:
        return {**value, "url": _moved_galaxy(folder, value["url"])}
    return value


def _moved(folder: str, path: str) -> str:
    return path if path.startswith("/") else os.path.normpath(f"{folder}/{path}")


def _joined(base: Document, own: Document) -> dict[str, object]:
    """Return the two documents as one, in the order of the keys of `own`."""
    made = dict(own)
    for key, value in base.items():
        if key == "name":
            continue
        if key not in own:
            made[key] = value
        elif key in ("stars", "vars"):
            made[key] = _both(value, own[key])
        elif key == "galaxies":
            made[key] = _both(own[key], value, first_counts=True)
        elif key == "constellations":
            made[key] = _list(value, own[key])
        elif key == "output":
            made[key] = _outputs(value, own[key])
        elif key == "policy":
            made[key] = _policy(value, own[key])
    return made


def _both(first: object, second: object, *, first_counts: bool = False) -> object:
    """Return two tables as one in this order of keys; `second` counts, unless `first_counts`. No table: `second`."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return first if first_counts else second
    return {**first, **{key: value for key, value in second.items() if not first_counts or key not in first}}


def _list(base: object, own: object) -> object:
    if not isinstance(base, list) or not isinstance(own, list):
        return own
    there = {repr(item) for item in base}  # a set: two lists of 100,000 names each took minutes
    return [*base, *(item for item in own if repr(item) not in there)]


def _outputs(base: object, own: object) -> object:
    if not isinstance(base, list) or not isinstance(own, list):
        return own
    mine = {_output(row): row for row in own}
    taken = {_output(row) for row in base}
    return [*(mine.get(_output(row), row) for row in base), *(row for row in own if _output(row) not in taken)]


def _output(row: object) -> tuple[str, str]:
    return (str(row.get("format")), str(row.get("as"))) if isinstance(row, dict) else ("", str(row))


def _policy(base: object, own: object) -> object:
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    made = {**base, **own}
    for key in base.keys() & own.keys():
        made[key] = _list(base[key], own[key]) if isinstance(own[key], list) else _both(base[key], own[key])
    return made


def _states(document: object, parts: list[str]) -> bool:
    """Return whether a document has a value at these keys."""
    for part in parts:
        if not isinstance(document, dict) or part not in document:
            return False
        document = document[part]
    return True
