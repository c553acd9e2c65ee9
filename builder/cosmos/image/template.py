"""Render a rootfs template: the tree that the stars are laid on.

    rootfs-templates/NAME/template.toml     what it declares (cosmos.model.template)
    rootfs-templates/NAME/root/PATH         its files, at their paths in the tree
    rootfs-templates/NAME/root/PATH.j2      a Jinja2 template; the file is called the same without `.j2`

Only files that end in `.j2` are rendered. Scripts with braces (`${#list}`) and binary files pass unchanged. A template
sees each variable by its name, and also

    image      .name .version .arch .description .marker
    users      .name .uid .gid .about .home .shell .password      groups   .name .gid .members
    mounts     .device .at .type .options                         inittab  .terminal .action .run

The language and its limits are those of a star's `render()` (`nova.templating`). Undefined names are errors. A
template may `include` and `import` other files below root/. It sees nothing of the builder. A file has mode 0755 if its
owner may execute it, else 0644 (git keeps no more). Folders have mode 0755. The owner is root, and the time is the
image's epoch. `[paths]` can set other modes and owners.

A secret variable comes from outside (`cosmos build --secret`). A template can only write it whole
(`nova.templating.secret`), into a file that its owner alone may read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cosmos.errors import Malformed
from cosmos.image.template_folder import DECLARATIONS_FILE, ROOT_FOLDER
from cosmos.limits import MAX_STAR_UNPACKED_BYTES
from cosmos.model.image import Image
from cosmos.model.template import Declarations, DeclaredPath, Group, InitLine, Mount, User, Value
from cosmos.nearest import nearest
from cosmos.nova.templating.secret import Secret
from cosmos.nova.templating.values import Value as TemplateValue
from cosmos.plain_toml import basic_string
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import ROOT, TreePath

if TYPE_CHECKING:
    from cosmos.nova.templates import RenderedFile
    from cosmos.nova.templating.rendering import Sources

MERGED_FOLDERS = (TreePath(b"bin"), TreePath(b"lib"), TreePath(b"lib64"), TreePath(b"sbin"))
TEMPLATE_SUFFIX = b".j2"
_OTHERS = 0o077  # the rights of group and others
_STAND_IN = "a value that stands in for a secret"  # longer than what is called short
_Mapped = Mapping[TreePath, TreePath]


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateFiles:
    """A template as it is in its folder: the bytes of its template.toml, and the entries below root/ without times.

    `name` is the folder's own name. `root` is the folder root/ that was read.
    """

    name: str
    declarations: bytes
    files: Mapping[TreePath, Entry]
    root: Path | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedTemplate:
    """A template's entries, in byte order of path, and the folders that stars' paths are mapped to.

    With a merged /usr, `path_map` maps `bin` to `usr/bin`, and so on. A star's `bin/sh` then becomes `usr/bin/sh`.
    `secrets` are the names of the secret variables that the template wants, `secret_files` those that each file holds.
    """

    entries: tuple[Entry, ...]
    merged_usr: bool
    path_map: Mapping[TreePath, TreePath]
    secrets: tuple[str, ...] = ()
    secret_files: Mapping[TreePath, tuple[str, ...]] = field(default_factory=dict)


def read_template(folder: Path) -> TemplateFiles:
    """Return the template in `folder`. Raises `Malformed` for a folder that holds no template, or a device."""
    root = folder / ROOT_FOLDER
    return TemplateFiles(
        name=folder.name, declarations=_read(folder / DECLARATIONS_FILE), files=_files_below(root), root=root
    )


def stand_ins(template: TemplateFiles) -> dict[str, Secret]:
    """Return a value for each secret variable, for those who judge a template and keep nothing of what it makes.

    A template renders with one value as with another, because it can only write a secret whole. Raises `Malformed`.
    """
    declared = Declarations.parse(template.declarations, f"{template.name}/template.toml")
    return {name: Secret(_STAND_IN, [name]) for name in declared.secrets}


def render_template(
    template: TemplateFiles, image: Image, *, source: str, secrets: Mapping[str, Secret] | None = None
) -> RenderedTemplate:
    """Return the template with the image's variables, and with `secrets`. `source` is the image definition's name.

    Raises `Malformed` for a variable that is missing, unknown or of a wrong type; for a template that does not render,
    with its file and line; for a secret in a file that others may read; for a declared path that is missing, or there
    twice.
    """
    name, epoch = template.name, image.source_date_epoch
    declared = Declarations.parse(template.declarations, f"{name}/template.toml")
    values = chosen_values(declared, image.vars, source)
    hidden = _chosen_secrets(declared, secrets or {}, name)
    files = {path: replace(entry, mtime=epoch) for path, entry in template.files.items()}
    rendered, places = _rendered(files, {**_names(image, declared, values), **hidden}, f"{name}/root")
    entries = _declared_over(rendered, declared, epoch, name)
    for path, written in places.items():
        _demand_private(entries[path], written, f"{name}/root", f"{name}/template.toml")
    path_map = {path: TreePath(b"usr/" + path) for path in MERGED_FOLDERS} if declared.merged_usr else {}
    entries = _merged(entries, path_map, epoch, name)
    return RenderedTemplate(
        entries=tuple(entries[path] for path in sorted(entries)),
        merged_usr=declared.merged_usr,
        path_map=path_map,
        secrets=declared.secrets,
        secret_files={path: tuple(written) for path, written in places.items()},
    )


def is_private(entry: Entry) -> bool:
    """Return whether nobody but the owner of a file has any right on it."""
    return not entry.mode & _OTHERS


def chosen_values(declared: Declarations, given: Mapping[str, object], source: str) -> dict[str, Value]:
    """Return the value of each declared variable that is no secret: the image's, else the default.

    Raises `Malformed` at its dotted path. An error about a secret repeats nothing of what the image says there.
    """
    for name in given:
        if name not in declared.variables:
            near = nearest(name, declared.variables)
            known = f"it declares {', '.join(declared.variables) or 'none'}"
            hint = f"did you mean {near[0]}? {known}" if near else known
            raise Malformed(source, f"vars.{name}: the template declares no such variable", hint=hint)
    values: dict[str, Value] = {}
    for name, variable in declared.variables.items():
        if variable.is_secret:
            if name in given:
                hint = f"take it out of [vars], and give it as you build: --secret {name}=FILE"
                raise Malformed(source, f"vars.{name}: is a secret, and must not stand in this file", hint=hint)
            continue
        if name in given:
            try:
                values[name] = variable.checked(given[name])
            except ValueError as error:
                raise Malformed(source, f"vars.{name}: {error}", hint=f"it is {variable.meaning}") from error
        elif variable.default is not None:
            values[name] = variable.default
        else:
            hint = f"add to [vars]: {name}, {variable.meaning}"
            raise Malformed(source, f"vars.{name}: the template needs it, but the image does not set it", hint=hint)
    return values


def _chosen_secrets(declared: Declarations, given: Mapping[str, Secret], template: str) -> Mapping[str, Secret]:
    """Return `given`, if these are exactly the secrets that the template declares. Raises `Malformed`."""
    for name in given:
        if name not in declared.secrets:
            known = f"its secrets are {', '.join(declared.secrets)}" if declared.secrets else "it has no secrets"
            hint = f"set it in [vars] of image.toml: {name}" if name in declared.variables else known
            raise Malformed("--secret", f"{name}: the template {template} declares no such secret", hint=hint)
    for name in declared.secrets:
        if name not in given:
            hint = f"add to the command: --secret {name}=FILE, {declared.variables[name].meaning}"
            raise Malformed(
                f"{template}/template.toml", f"variables.{name}: is a secret, and its value is not given", hint=hint
            )
    return given


def _demand_private(entry: Entry, written: Mapping[str, str], where: str, declarations: str) -> None:
    """Raise `Malformed` if others than the owner have rights on a file with secrets, `written` at these places."""
    if is_private(entry):
        return
    name, place = next(iter(written.items()))
    raise Malformed(
        f"{where}/{place}",
        f"writes the secret {name} into /{entry.path.text}, on which others than its owner have rights "
        f"({entry.mode:04o})",
        hint=f'in {declarations}, below [paths]: {basic_string(entry.path.text)} = {{ mode = "0600" }}',
    )


def _names(image: Image, declared: Declarations, values: Mapping[str, Value]) -> dict[str, TemplateValue]:
    """Return what the templates see."""
    return {
        **{name: list(value) if isinstance(value, tuple) else value for name, value in values.items()},
        "image": {
            "name": str(image.name),
            "version": str(image.version),
            "arch": str(image.arch),
            "description": image.description,
            "marker": image.marker,
        },
        "users": [_mapping(row) for row in declared.users],
        "groups": [_mapping(row) for row in declared.groups],
        "mounts": [_mapping(row) for row in declared.mounts],
        "inittab": [_mapping(row) for row in declared.inittab],
    }


def _mapping(row: User | Group | Mount | InitLine) -> TemplateValue:
    fields: dict[str, TemplateValue] = {}
    for name, value in asdict(row).items():
        fields[name] = list(value) if isinstance(value, tuple) else value
    return fields


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path)
    except FileNotFoundError as error:
        hint = "the image's `template` names a folder of rootfs-templates/, or a path that begins with ./"
        raise Malformed(str(path), "is not there", hint=hint) from error


def _files_below(root: Path) -> dict[TreePath, Entry]:
    """Return all entries below `root`, folders and links included, with the modes that git keeps."""
    entries: dict[TreePath, Entry] = {}
    for path in sorted(root.rglob("*")):
        try:
            name = TreePath.parse(os.fsencode(path.relative_to(root)))
            name.decode()
        except UnicodeDecodeError as error:
            problem = "its name is not UTF-8, so no release can name it"
            raise Malformed(str(path), problem, hint="give it another name") from error
        except ValueError as error:
            raise Malformed(str(path), str(error), hint="give it a shorter or another name") from error
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            entry = Entry(path=name, kind="symlink", mode=0o777, target=os.fsencode(path.readlink()))
        elif stat.S_ISDIR(facts.st_mode):
            entry = Entry(path=name, kind="dir", mode=0o755)
        elif stat.S_ISREG(facts.st_mode):
            mode = 0o755 if facts.st_mode & stat.S_IXUSR else 0o644
            entry = Entry(path=name, kind="file", mode=mode, content=read_bounded(path, MAX_STAR_UNPACKED_BYTES))
        else:
            raise Malformed(str(path), "is neither a file, a folder nor a link", hint="declare devices in [paths]")
        entries[name] = entry
    return entries


def _rendered(
    files: Mapping[TreePath, Entry], names: dict[str, TemplateValue], where: str
) -> tuple[dict[TreePath, Entry], dict[TreePath, Mapping[str, str]]]:
    """Return `files` with every `.j2` rendered under its own name, and where each file with secrets has them from."""
    sources = _sources(files, where)
    rendered: dict[TreePath, Entry] = {}
    places: dict[TreePath, Mapping[str, str]] = {}
    for path, entry in files.items():
        is_template = entry.kind == "file" and path.endswith(TEMPLATE_SUFFIX)
        final = _without_suffix(path, where) if is_template else path
        if is_template and final in files:
            raise Malformed(
                f"{where}/{final.text}",
                "is there twice: as a file and as a template",
                hint=f"remove one of the two files: {final.text}, {path.text}",
            )
        if not is_template:
            rendered[final] = entry
            continue
        made = _render_one(entry, names, sources, where)
        rendered[final] = replace(entry, path=final, content=made.data)
        if made.secrets:
            places[final] = made.secrets
    return rendered, places


def _without_suffix(path: TreePath, where: str) -> TreePath:
    """Return the path of what a template makes; raises `Malformed` where nothing is left of its name."""
    try:
        return TreePath.parse(path.removesuffix(TEMPLATE_SUFFIX))
    except ValueError as error:
        raise Malformed(f"{where}/{path.text}", f"without .j2 is no path: {error}", hint="give it a name") from error


def _sources(files: Mapping[TreePath, Entry], where: str) -> Sources:
    """Return what finds the text of a file below root/ by its name."""
    by_name = {path.text: entry for path, entry in files.items() if entry.kind == "file"}

    def source_of(name: str) -> str | None:
        entry = by_name.get(name)
        return None if entry is None else _text(entry, where)

    return source_of


def _text(entry: Entry, where: str) -> str:
    try:
        return bytes(entry.content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{where}/{entry.path.text}", f"is not UTF-8 at byte {error.start}") from error


def _render_one(entry: Entry, names: dict[str, TemplateValue], sources: Sources, where: str) -> RenderedFile:
    """Return one template's text. Raises `Malformed` with the file and line for every mistake in the template."""
    from cosmos.nova.templates import rendered_of_many  # it imports Jinja, which many commands never need
    from cosmos.nova.templating.scan import TemplateProblem

    try:
        return rendered_of_many(entry.path.text, _text(entry, where), names, sources)
    except TemplateProblem as problem:
        place = f"{where}/{problem.name}:{problem.line}" if problem.line else f"{where}/{problem.name}"
        hint = "a template sees the variables of template.toml, image, users, groups, mounts and inittab"
        raise Malformed(place, problem.text, hint=hint if "undefined" in problem.text else None) from problem


def _declared_over(
    files: Mapping[TreePath, Entry], declared: Declarations, epoch: int, name: str
) -> dict[TreePath, Entry]:
    """Return `files` with the modes and owners of `[paths]`, and the entries that `[paths]` makes."""
    entries = dict(files)
    for path, row in declared.paths.items():
        uid, gid = declared.owner(row)
        there = entries.get(path)
        if there is not None and (row.kind == "file" or row.kind == there.kind == "dir"):
            entries[path] = replace(there, uid=uid, gid=gid, mode=there.mode if row.mode is None else row.mode)
        elif there is not None:
            raise Malformed(f"{name}/template.toml", f"paths.{path.text}: is already below root/, as a {there.kind}")
        elif row.kind == "file":
            raise Malformed(f"{name}/template.toml", f"paths.{path.text}: no such file below root/")
        else:
            entries[path] = _made(row, uid, gid, epoch)
    for folder in _folders_above(entries):
        entries.setdefault(folder, Entry(path=folder, kind="dir", mode=0o755, mtime=epoch))
    return entries


def _made(row: DeclaredPath, uid: int, gid: int, epoch: int) -> Entry:
    mode = row.mode if row.mode is not None else 0o777 if row.kind == "symlink" else 0o755
    return Entry(
        path=row.path, kind=row.kind, mode=mode, uid=uid, gid=gid, mtime=epoch, target=row.target, rdev=row.rdev
    )


def _folders_above(paths: Iterable[TreePath]) -> set[TreePath]:
    return {folder for path in paths for folder in path.parents if folder != ROOT}


def _merged(entries: Mapping[TreePath, Entry], path_map: _Mapped, epoch: int, name: str) -> dict[TreePath, Entry]:
    """Return `entries` with the links into /usr, and the folders that these links point to."""
    merged = dict(entries)
    for link, folder in path_map.items():
        strays = [path for path in entries if path == link or path.startswith(link + b"/")]
        if strays:
            raise Malformed(f"{name}/root/{strays[0].text}", f"belongs below {folder.text}, since merged-usr is true")
        merged[link] = Entry(path=link, kind="symlink", mode=0o777, mtime=epoch, target=bytes(folder))
        for above in (*folder.parents, folder):
            merged.setdefault(above, Entry(path=above, kind="dir", mode=0o755, mtime=epoch))
    return merged
