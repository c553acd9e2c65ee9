"""Read an image's folder: its definition, the files that the definition names, and its lock."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from cosmos.digest import Digest
from cosmos.errors import Faults, Malformed, NoSolution, quoted
from cosmos.image.given_values import NOTHING_GIVEN, GivenValues
from cosmos.image.joining import Joined, document_of, read_joined, written
from cosmos.image.outputs.formats import Output, read_outputs
from cosmos.image.template import TemplateFiles, read_template
from cosmos.image.template_folder import IMAGE_FILE, template_folder, way_to_an_image
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_LOCK_BYTES, MAX_SCRIPT_BYTES
from cosmos.model.constellation import Constellation
from cosmos.model.constraint import Constraint
from cosmos.model.image import Image
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.names import StarName
from cosmos.model.template import Declarations
from cosmos.reading import envelope_of, is_there, read_bounded
from cosmos.records import dataclass
from cosmos.tables import BadKey, Table
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """An image definition and the files that it names. Relative paths start at `folder`, where its file is `file_name`.

    `data` are the bytes of image.toml; with a base or with values that were `given`, those of the joined definition
    (image.joining). `bases` are the paths of the files that it extends. `constellation_files`, `finish` and `trust` are
    the bytes of the files that it names under these keys; `constellations` are the wishes in the first. `warnings` name
    the unknown keys in them.
    """

    folder: Path
    image: Image
    data: bytes
    outputs: tuple[Output, ...]
    constellation_files: Mapping[str, bytes]
    constellations: Mapping[str, Mapping[StarName, Constraint]]
    template: TemplateFiles
    finish: bytes | None
    trust: bytes | None
    warnings: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    given: GivenValues = NOTHING_GIVEN
    file_name: str = IMAGE_FILE

    @property
    def file(self) -> Path:
        """The definition's file."""
        return self.folder / self.file_name

    @property
    def lock_file(self) -> Path:
        """The file of the image's lock."""
        return self.folder / LOCK_FILE

    @property
    def lock_envelope(self) -> Path:
        """The file of the lock's signature."""
        return envelope_of(self.lock_file)


def read_definition(path: Path, given: GivenValues = NOTHING_GIVEN) -> Definition:
    """Return the image at `path`: its folder, or its image.toml. `given` are values besides those of its [vars].

    Raises `Malformed`, also if a file that image.toml names is missing. The error carries every other such fault.
    """
    file = path / IMAGE_FILE if path.is_dir() else path
    if not is_there(file):
        raise Malformed(str(file), "is not there", hint=way_to_an_image(path))
    joined = read_joined(file)
    data = joined.data
    image, faults = _image(joined, file), Faults()
    constellation_files: dict[str, bytes] = {}
    constellations: dict[str, Constellation] = {}
    for name in takewhile(lambda _: not faults.are_many, image.constellations):
        with faults.noting():
            constellation_files[name] = _constellation(file.parent / name)
            constellations[name] = Constellation.parse(constellation_files[name], str(file.parent / name))
    with faults.noting():
        outputs = read_outputs(image.outputs, str(file))
    with faults.noting():
        template = read_template(template_folder(file.parent, image.template))
    with faults.noting():
        finish = _named(file.parent, image.finish, "finish", MAX_SCRIPT_BYTES)
    with faults.noting():
        trust = _trust(file.parent, image.trust)
    faults.demand_none()
    if given:
        data = _with_values(data, image, template, given)
        image = Image.parse(data, str(file))
    return Definition(
        folder=file.parent,
        image=image,
        data=data,
        outputs=outputs,
        constellation_files=constellation_files,
        constellations={name: constellation.members for name, constellation in constellations.items()},
        template=template,
        finish=finish,
        trust=trust,
        warnings=tuple(f"{name}: unknown key {key}" for name, one in constellations.items() for key in one.warnings),
        bases=joined.bases,
        given=given,
        file_name=file.name,
    )


def _image(joined: Joined, file: Path) -> Image:
    """Return the image of the joined definition. An error names the file that states the key, and has every fault."""
    try:
        return Image.parse(joined.data, str(file))
    except BadKey as error:
        faults, blamed = Faults(), joined.blaming(error, file)
        faults.found += [blamed, *blamed.also]
        with faults.noting():
            read_outputs(Table.parse(joined.data, str(file)).dicts("output"), str(file))
        faults.demand_none()
        raise


def _with_values(data: bytes, image: Image, template: TemplateFiles, given: GivenValues) -> bytes:
    """Return the definition `data` with the given values in its [vars], and their names in `given`."""
    values = given.checked(Declarations.parse(template.declarations, f"{template.name}/template.toml"), template.name)
    document = document_of(data, IMAGE_FILE)
    document["vars"] = {
        **image.vars,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in values.items()},
    }
    document["given"] = sorted({*image.given, *values})
    return written(document, [f"{IMAGE_FILE} ({Digest.of(data)}), with the values that `given` names"])


def read_lock(definition: Definition) -> tuple[Lock, bytes]:
    """Return the image's lock and its exact bytes; raises `NoSolution` if there is no lock, or `Malformed`."""
    data = read_lock_bytes(definition)
    return parsed_lock(definition, data), data


def parsed_lock(definition: Definition, data: bytes) -> Lock:
    """Return the image's lock, whose bytes are `data`. Raises `Malformed`, with the command that makes another one."""
    try:
        return Lock.parse(data, str(definition.lock_file))
    except Malformed as error:
        error.hint = error.hint or f"to choose and pin every star again: cosmos freeze {quoted(definition.folder)}"
        raise


def read_lock_bytes(definition: Definition) -> bytes:
    """Return the exact bytes of the image's lock; raises `NoSolution` if there is no lock, or `Malformed`."""
    file = definition.lock_file
    if not is_there(file):
        raise NoSolution(str(file), "is not there", hint=f"cosmos freeze {quoted(definition.folder)}")
    return read_bounded(file, MAX_LOCK_BYTES)


def kept_folders(definition: Definition) -> tuple[Path, ...]:
    """Return the folders whose files are kept together with the image: its own, its bases' and its template's, and the
    repository.

    The repository is the nearest folder above the image with a `.git`.
    """
    own = definition.folder.resolve()
    repository = next((above for above in (own, *own.parents) if (above / ".git").exists()), own)
    bases = ((definition.folder / base).resolve().parent for base in definition.bases)
    template = template_folder(definition.folder, definition.image.template).resolve()
    return tuple(dict.fromkeys((own, *bases, template, repository)))


def _constellation(file: Path) -> bytes:
    if not is_there(file):
        raise Malformed(
            str(file),
            "is not there, but image.toml names it as a constellation",
            hint=f"write the file, or take it out of `constellations` in {IMAGE_FILE}",
        )
    return read_bounded(file)


def _trust(folder: Path, name: str) -> bytes | None:
    """Return the trust anchors that image.toml names. They are read: a system with damaged ones would refuse all."""
    data = _named(folder, name, "trust")
    if data is not None:
        TrustRoots.parse(data, str(folder / name))
    return data


def _named(folder: Path, name: str, key: str, limit: int = MAX_DOCUMENT_BYTES) -> bytes | None:
    """Return the bytes of the file that image.toml names under `key`, or None if it names no file there."""
    if not name:
        return None
    file = folder / name
    if not is_there(file):
        raise Malformed(
            str(file),
            f"is not there, but {IMAGE_FILE} names it as `{key}`",
            hint=f"write the file, or take `{key}` out of {IMAGE_FILE}",
        )
    return read_bounded(file, limit)
