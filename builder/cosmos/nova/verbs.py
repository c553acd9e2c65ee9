"""The verbs of Nova, each on the virtual root. Upstream's verbs keep their meaning; docs/nova.md describes ours.

Each path of a script is checked, mapped (merged /usr) and resolved inside the root. A verb that makes an entry does not
follow a link in the last component: it replaces the entry there, unless that is a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from cosmos.digest import Digest
from cosmos.errors import ScriptFailed
from cosmos.globs import Glob
from cosmos.limits import MAX_LINK_TARGET_BYTES, MAX_NOVA_REPLY_BYTES, MAX_NOVA_TEMPLATE_BYTES
from cosmos.nova.arguments import MAX_ID, path_of
from cosmos.nova.capabilities import capability_value
from cosmos.nova.filemap import Filemap
from cosmos.nova.indexed_tree import IndexedTree, implied_folder
from cosmos.nova.job import NovaJob, Stopped
from cosmos.nova.meter import ENTRY_COST, Meter, VerbError
from cosmos.nova.receipt import Event, Fact, found_digest, seen
from cosmos.nova.sources import FILES, FolderCopy, Source, copied, find_source
from cosmos.nova.virtual_root import VirtualRoot, named
from cosmos.sandbox.values import Scalar
from cosmos.tree.entry import CAPABILITY, Entry, Kind, Tree
from cosmos.tree.manifest import ManifestLine, content_root
from cosmos.treepath import ROOT, TreePath, climbs_out, escaped, has_bidi

Function: TypeAlias = Literal["install", "build"]
Render: TypeAlias = Callable[[str, bytes, bytes], bytes]  # a template's name, its text, its variables: its result

_NODES: dict[bytes, Kind] = {b"c": "char", b"b": "block", b"p": "fifo"}
_MAX_MAJOR, _MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1  # of a device number on Linux
_SHELL = frozenset(b"\"'`$&|;<>(){}[]*?~#\\\n")
_UNSAFE_NAME = frozenset(b"=\0")


class Verbs:
    """The verbs. Methods raise `VerbError` (the script's error) or `BudgetError`; most of them record an event."""

    def __init__(self, job: NovaJob, function: Function, meter: Meter, render: Render) -> None:
        self._job = job
        self._render = render
        self._meter = meter
        self._function = function
        self._seen: set[TreePath] = set()
        self._absent: set[TreePath] = set()
        self._env: dict[bytes, bytes] = {}
        self._filemap = Filemap()
        self._sources = _sources(job.files, job.beside, job.epoch)
        self.events: list[Event] = []
        self.line = 0  # of the script, from which the verb is called; 0 if nobody knows
        self.root = VirtualRoot(
            own=job.own,
            lower=job.root,
            epoch=job.epoch,
            meter=meter,
            on_read=self._read_below,
            path_map=job.path_map,
        )

    def copy(self, source: bytes, to: bytes) -> None:
        """Copy a file, or a folder and everything below it, from the star's archive to a path of the root."""
        found = self._source(source)
        path = self._path(self._into(source, found, to))
        if found.entry.kind == "dir":
            work = FolderCopy(source=found, to=path, root=self.root, path_map=self._job.path_map, epoch=self._job.epoch)
            self._did("copy", path, {"from": found.shown, "entries": work.copy()})
            return
        place = self.root.place(path)
        self.root.put(copied(found.entry, place, self._job.epoch))
        self._did("copy", place, {"from": found.shown, "entries": 1})

    def symlink(self, target: bytes, link: bytes) -> None:
        """Make `link` a symlink to `target`; replaces a file or link that is there.

        Raises `VerbError` if `target` is malformed, or climbs above the root.
        """
        if not target or b"\0" in target or len(target) > MAX_LINK_TARGET_BYTES:
            raise VerbError(f"a symlink's target has 1 to {MAX_LINK_TARGET_BYTES} bytes and no NUL")
        place = self.root.place(self._path(link))
        if has_bidi(target) or climbs_out(place, target):
            raise VerbError(
                f"the target {escaped(target[:200])} climbs above the root, or has a bidirectional control character",
                hint=f"seen from /{place.parent.text}, the root is {'../' * len(place.parents) or './'}",
            )
        self.root.put(self._made(place, "symlink", 0o777, target=target))
        self._did("symlink", place, {"target": escaped(target)})

    def mkdir(self, raw: bytes, mode: int | None = None) -> None:
        """Make a folder, and those above it. A folder that exists stays, and becomes this star's as well."""
        place = self.root.resolve(self._path(raw), "follow")
        if place == ROOT:
            return
        for above in place.parents:
            if self.root.entry_at(above) is None:
                self.root.put_folder(implied_folder(above, self._job.epoch))
        there = self.root.entry_at(place)
        entry = there if there is not None else implied_folder(place, self._job.epoch)
        self.root.put_folder(entry if mode is None else replace(entry, mode=mode))
        self._did("mkdir", place, {"mode": _octal(entry.mode if mode is None else mode)})

    def chmod(self, raw: bytes, mode: int) -> None:
        """Set the permission bits of what the script made; a symlink is followed."""
        place = self.root.resolve(self._path(raw), "follow")
        for entry in self.root.changeable(place):
            self.root.change(replace(entry, mode=mode))
        self._did("chmod", place, {"mode": _octal(mode)})

    def chown(self, raw: bytes, uid: int, gid: int) -> None:
        """Set the owner and group, as numbers, of what the script made; a symlink itself, not what it leads to.

        Raises `VerbError` if a number is out of bounds.
        """
        if not (0 <= uid <= MAX_ID and 0 <= gid <= MAX_ID):
            raise VerbError(f"owner and group must lie between 0 and {MAX_ID}")
        place = self.root.place(self._path(raw))
        for entry in self.root.changeable(place):
            self.root.change(replace(entry, uid=uid, gid=gid))
        self._did("chown", place, {"uid": uid, "gid": gid})

    def exists(self, raw: bytes) -> bool:
        """Whether a path exists, in the script's own layer or in those of the star's dependencies."""
        path = self._path(raw)
        try:
            return self.root.entry_at(self.root.resolve(path, "follow")) is not None
        except VerbError:
            return False

    def write(self, raw: bytes, text: bytes, mode: int | None = None) -> None:
        """Make a file that holds `text`. One that the script made before keeps its mode."""
        place = self._put_text(raw, text, mode)
        self._did("write", place, self._text_facts(place, text))

    def render(self, template: bytes, raw: bytes, variables: bytes) -> None:
        """Make a file of a template in the star's archive, filled in with `variables` (a JSON object).

        Raises `VerbError` if the template is not a file, or if it or the variables are too long.
        """
        if len(variables) > MAX_NOVA_REPLY_BYTES:
            raise VerbError(f"vars have {len(variables)} bytes, the limit is {MAX_NOVA_REPLY_BYTES}")
        found = self._source(template)
        if found.entry.kind != "file":
            raise VerbError(f"{found.shown} is {named(found.entry)}, not a file")
        if found.entry.size > MAX_NOVA_TEMPLATE_BYTES:
            raise VerbError(f"{found.shown} has {found.entry.size} bytes, the limit is {MAX_NOVA_TEMPLATE_BYTES}")
        self._meter.charge(found.entry.size // 512)
        text = self._render(found.shown, bytes(found.entry.content), variables)
        place = self._put_text(raw, text, found.entry.mode)
        self._did("render", place, {"template": found.shown, **self._text_facts(place, text)})

    def setcap(self, raw: bytes, caps: bytes) -> None:
        """Give a file that the script made capabilities, in libcap's text form; an empty text takes them away.

        Raises `VerbError` if the text names no capabilities, or if `path` is not a file.
        """
        place = self.root.resolve(self._path(raw), "follow")
        text = caps.decode("utf-8", "backslashreplace")
        try:
            value = capability_value(text) if text else None
        except ValueError as error:
            raise VerbError(str(error)[:300]) from None
        for entry in self.root.changeable(place):
            if entry.kind not in ("file", "hardlink"):
                raise VerbError(f"/{place.text} is {named(entry)}; only a file has capabilities")
            others = tuple(pair for pair in entry.xattrs if pair[0] != CAPABILITY)
            added = ((CAPABILITY, value),) if value is not None else ()
            self.root.change(replace(entry, xattrs=tuple(sorted((*others, *added)))))
        self._did("setcap", place, {"caps": text})

    def mknod(self, raw: bytes, kind: bytes, major: int | None, minor: int | None, mode: int | None) -> None:
        """Make a device node (`c` or `b`, with its numbers) or a named pipe (`p`).

        Raises `VerbError` for another kind, or if the numbers do not fit the kind.
        """
        if kind not in _NODES:
            raise VerbError('the kind of a node is "c", "b" or "p"')
        number = (major or 0, minor or 0)
        if (kind == b"p") != (major is None and minor is None):
            raise VerbError("a device has a major and a minor number; a pipe has neither")
        if not (0 <= number[0] <= _MAX_MAJOR and 0 <= number[1] <= _MAX_MINOR):
            raise VerbError(f"the numbers must lie between 0 and {_MAX_MAJOR}, 0 and {_MAX_MINOR}")
        place, bits = self.root.place(self._path(raw)), 0o600 if mode is None else mode
        self.root.put(self._made(place, _NODES[kind], bits, rdev=None if kind == b"p" else number))
        self._did("mknod", place, {"kind": _NODES[kind], "major": number[0], "minor": number[1], "mode": _octal(bits)})

    def glob(self, pattern: bytes) -> bytes:
        """Return the paths that match, in byte order, each with a slash before it and a NUL after it.

        Raises `VerbError` if the pattern is not a glob.
        """
        try:
            glob = Glob.parse(pattern)
            if glob.fixed:
                glob = glob.below(self.root.resolve(self._job.path_map(TreePath(b"/".join(glob.fixed))), "follow"))
        except ValueError as error:
            raise VerbError(str(error)[:300]) from None
        folder = TreePath(b"/".join(glob.fixed))
        below = [path for path in self.root.lower_paths(folder) if glob.matches(path, self._meter.charge)]
        own = [path for path in self.root.own_paths(folder) if glob.matches(path, self._meter.charge)]
        facts: dict[str, Fact] = {"pattern": escaped(b"/".join(glob.parts))}
        if self._job.free == "own":
            facts["saw"] = found_digest(below)
        self._note("glob", facts)
        return b"".join(b"/" + path + b"\0" for path in sorted({*below, *own}))

    def env(self, name: bytes, value: bytes | None = None) -> bytes | None:
        """Set a variable for later `run` calls; without a value, return its value. The host's variables are hidden.

        Raises `VerbError` if an environment cannot hold the name or the value.
        """
        if not name or _UNSAFE_NAME.intersection(name) or (value is not None and b"\0" in value):
            raise VerbError("a variable has a name without = and NUL, and a value without NUL")
        if value is None:
            return self._env.get(name)
        self._meter.count_log(len(name) + len(value))
        self._env[name] = value
        return None

    def log(self, text: bytes) -> None:
        """Say something in the receipt."""
        self._meter.count_log(len(text))
        self._note("log", {"text": "\t".join(map(escaped, text.split(b"\t")))})

    def filemap(self, path: bytes | None = None, mode: int | None = None) -> None:
        """Declare an output. After the first one, an undeclared path and a missing output are errors."""
        self._filemap.is_declared = True
        if path is not None:
            self._meter.count_log(len(path))
            self._filemap.declare(path, mode, self._job.path_map)
            self._note("filemap", {"path": escaped(path)})

    def run(self, form: bytes, *words: bytes) -> int:
        """Run a program, and return its exit status, which is 0.

        Raises `VerbError` if the program fails, or if this script may not run one.
        """
        command = _split(words[0]) if form == b"line" and len(words) == 1 else words
        if not command or not command[0]:
            raise VerbError("wants the program and its arguments", hint='write run{"make", "-j2"}')
        if any(b"\0" in word for word in command):
            raise VerbError("a word of a command holds no NUL")
        if self._job.programs is None:
            raise VerbError(
                f"run() is not allowed in {self._function}() of this star",
                hint=f"ship what the program would make in the archive, or make it in build(); {self._job.run_hint}",
            )
        with self._meter.program():
            before, folders = _digest(self.root.own), self.root.folders_of_others()
            outcome = self._job.programs.run(command, dict(self._env), {**self.root.own, **folders})
        self.root.replace_own({path: entry for path, entry in outcome.tree.items() if folders.get(path) != entry})
        after = _digest(self.root.own)
        shown = [escaped(word) for word in command]
        env = {escaped(name): escaped(value) for name, value in sorted(self._env.items())}
        self._meter.count_log(sum(map(len, shown)))
        facts: dict[str, Fact] = {
            "words": shown,
            "env": env,
            "status": outcome.status,
            "tools": outcome.tools or "host",
        }
        self._note("run", {**facts, **self._place_in_script(), "before": before, "after": after})
        if outcome.status != 0:
            hint = f"it said: {outcome.last}" if outcome.last else None
            raise VerbError(f"{shown[0]} ended with status {outcome.status}", hint=hint)
        return 0

    def stopped(self, problem: ScriptFailed) -> Stopped:
        """Return where the script has stopped. Its limits count no more."""
        self._meter.lift()
        last = self.events[-1].facts if self.events and self.events[-1].verb == "run" else {}
        words = last.get("words") if last.get("status") else None
        return Stopped(
            problem=problem,
            command=tuple(words) if isinstance(words, (list, tuple)) else (),
            env=dict(self._env),
            tree={**self.root.own, **self.root.folders_of_others()},
        )

    def undeclared(self) -> str | None:
        """Return how the layer differs from the outputs declared with `filemap`, or None if it does not."""
        made = {path: entry for path, entry in self.root.own.items() if self._job.own.get(path) != entry}
        return self._filemap.difference(made, self._meter)

    def _read_below(self, path: TreePath, entry: Entry | None) -> None:
        if path in self._seen or self._job.free == "any":
            return
        self._seen.add(path)
        if entry is None:
            self._absent.add(path)
            if path.parent in self._absent:
                return  # a missing folder has no entries: not a new fact
        self._note("read", {"path": path.text, "saw": seen(entry)})

    def _did(self, verb: str, place: TreePath, facts: Mapping[str, Fact]) -> None:
        self._note(verb, {"path": place.text, **facts, **self._place_in_script()})

    def _place_in_script(self) -> dict[str, Fact]:
        return {"line": self.line} if self.line else {}

    def _note(self, verb: str, facts: Mapping[str, Fact]) -> None:
        self._meter.count_event(sum(_size(fact) for fact in facts.values()))
        self.events.append(Event(verb=verb, facts=facts))

    def _path(self, raw: bytes) -> TreePath:
        path = path_of(raw)
        return self._job.path_map(path) if path else path

    def _source(self, raw: bytes) -> Source:
        if self._job.free == "any":
            raise VerbError(
                f"{escaped(raw)} does not exist: a finish script has no archive",
                hint="write() makes a file; templates of an image lie in its rootfs template",
            )
        if self._function == "build":  # a build copies from what it has made so far
            self._sources = _sources(
                {TreePath(path[6:]): entry for path, entry in self.root.own.items() if path.startswith(FILES + b"/")},
                self.root.own,
                self._job.epoch,
            )
            self._meter.charge(ENTRY_COST * len(self.root.own))
        return find_source(raw, self._sources, self._meter)

    def _into(self, raw: bytes, found: Source, to: bytes) -> bytes:
        """Return the path of a copy: a `to` that ends with a slash is a folder, and the copy keeps its name in it.

        A source folder with a slash at its end, or the whole archive, means its contents, as with rsync.
        """
        stands_for_contents = found.entry.kind == "dir" and (raw.endswith(b"/") or not found.path)
        return to if not to.endswith(b"/") or stands_for_contents else to + found.path.name

    def _made(
        self, path: TreePath, kind: Kind, mode: int, *, target: bytes = b"", rdev: tuple[int, int] | None = None
    ) -> Entry:
        return Entry(path=path, kind=kind, mode=mode, mtime=self._job.epoch, target=target, rdev=rdev)

    def _put_text(self, raw: bytes, text: bytes, mode: int | None) -> TreePath:
        self._meter.count_written(len(text))
        place = self.root.place(self._path(raw))
        there = self.root.own.get(place)
        kept = there.mode if there is not None and there.kind == "file" else 0o644
        entry = self._made(place, "file", kept if mode is None else mode)
        self.root.put(replace(entry, content=text))
        return place

    def _text_facts(self, place: TreePath, text: bytes) -> dict[str, Fact]:
        return {"mode": _octal(self.root.own[place].mode), "size": len(text), "digest": Digest.of(text)}


def _sources(files: Tree, beside: Tree, epoch: int) -> dict[bytes, IndexedTree]:
    """Return the trees in which a source is searched, in order, by their names in the archive."""
    return {FILES: IndexedTree(files, epoch), b"": IndexedTree(beside, epoch)}


def _digest(tree: Tree) -> Digest:
    """Return the content root of a tree, before or after a program ran on it."""
    return content_root(ManifestLine.of(entry) for entry in tree.values())


def _size(fact: Fact) -> int:
    if isinstance(fact, dict):
        return sum(len(name) + len(value) for name, value in fact.items())
    return sum(map(len, fact)) if isinstance(fact, list) else len(str(fact))


def _octal(mode: int) -> str:
    return f"{mode:04o}"


def _split(line: bytes) -> tuple[bytes, ...]:
    if _SHELL.intersection(line):
        raise VerbError(
            "there is no shell: a command in one string may hold plain words only", hint='write run{"make", "-j2"}'
        )
    return tuple(line.split())


__all__ = ["Function", "Scalar", "Verbs"]
