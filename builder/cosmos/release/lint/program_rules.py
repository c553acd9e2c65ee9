"""Programs and libraries find their loader, libraries, symbol versions and interpreters in the image.

Folders are searched as glibc's loader does (ld.so(8)): those of the file itself (DT_RUNPATH, else DT_RPATH, with
$ORIGIN), those of /etc/ld.so.conf, then the usual ones. A file of another machine or width is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import islice
from typing import Final

from cosmos.content import Content
from cosmos.globs import Glob
from cosmos.records import dataclass
from cosmos.release.lint.elf import MAGIC, ElfFacts, elf_facts, needed_names
from cosmos.release.lint.finding import Finding
from cosmos.release.lint.seen_tree import SeenTree
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, escaped

MACHINES: Final[Mapping[str, tuple[str, int]]] = {
    "x86_64": ("EM_X86_64", 64),
    "i686": ("EM_386", 32),
    "aarch64": ("EM_AARCH64", 64),
    "armv7l": ("EM_ARM", 32),
    "riscv64": ("EM_RISCV", 64),
    "ppc64le": ("EM_PPC64", 64),
    "s390x": ("EM_S390", 64),
}
_TRIPLETS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "EM_X86_64": (b"x86_64-linux-gnu",),
    "EM_386": (b"i386-linux-gnu",),
    "EM_AARCH64": (b"aarch64-linux-gnu",),
    "EM_ARM": (b"arm-linux-gnueabihf", b"arm-linux-gnueabi"),
    "EM_RISCV": (b"riscv64-linux-gnu",),
    "EM_PPC64": (b"powerpc64le-linux-gnu",),
    "EM_S390": (b"s390x-linux-gnu",),
}
_FOLDERS: Final = (b"lib", b"usr/lib", b"lib64", b"usr/lib64", b"lib32", b"usr/lib32", b"usr/local/lib")
_PROGRAM_FOLDERS: Final = (b"usr/local/sbin", b"usr/local/bin", b"usr/sbin", b"usr/bin", b"sbin", b"bin")
_OTHER_MACHINES: Final = (b"lib/firmware/", b"usr/lib/firmware/")  # what other processors of the machine run
_NO_MACHINE: Final = ("EM_BPF", "EM_NONE")  # run by the kernel, on every machine
_DOCUMENTATION: Final = b"usr/share/doc/"
_LD_CONF: Final = b"etc/ld.so.conf"
_CONF_BYTES: Final = 64 << 10  # of one file of /etc/ld.so.conf.d that is read; real ones have one line
_LINE_BYTES: Final = 256  # of a script's first line that the kernel reads (BINPRM_BUF_SIZE)
_MAX_FOLDERS: Final = 256  # that ld.so.conf names; each is searched for each library of each program


@dataclass(kw_only=True, slots=True)
class Programs:
    """What the programs, libraries and scripts of an image need, gathered file by file.

    `damaged` are the files with ELF's magic number that cannot be read.
    """

    elves: dict[TreePath, ElfFacts] = field(default_factory=dict)
    damaged: dict[TreePath, str] = field(default_factory=dict)
    scripts: dict[TreePath, tuple[bytes, ...]] = field(default_factory=dict)
    configured: dict[TreePath, bytes] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Look at a file."""
        head = bytes(entry.content[:_LINE_BYTES])
        if head.startswith(MAGIC):
            try:
                facts = elf_facts(entry.content)
            except ValueError as error:
                self.damaged[entry.path] = str(error)
            else:
                if facts is not None:
                    self.elves[entry.path] = facts
        elif head.startswith(b"#!") and entry.mode & 0o111 and not entry.path.startswith(_DOCUMENTATION):
            self.scripts[entry.path] = tuple(head[2:].partition(b"\n")[0].split())
        elif entry.path == _LD_CONF or entry.path.startswith(_LD_CONF):
            self.configured[entry.path] = _text(entry.content)


def elf_findings(programs: Programs, tree: SeenTree, arch: str) -> Iterator[Finding]:
    """Yield what is wrong with programs and libraries; `arch` is the image's, "" if it is not known."""
    configured = tuple(islice(_configured(programs.configured, _LD_CONF, set()), _MAX_FOLDERS))
    for path, facts in programs.elves.items():
        star = tree.owner(path)
        wrong = _wrong_machine(path, facts, arch)
        if wrong:
            yield Finding(path=path, rule="elf-machine", what=wrong, star=star)
        if wrong or path.startswith(_OTHER_MACHINES):
            continue
        if facts.interpreter and tree.file_at(facts.interpreter) is None:
            what = f"its loader {escaped(facts.interpreter)} is not in the image"
            yield Finding(path=path, rule="elf-interpreter", what=what, star=star)
        folders = tuple(_folders(path, facts, configured))
        found = {name: _library(name, facts, folders, programs.elves, tree) for name in needed_names(facts)}
        missing = [name for name in facts.needed if found[name] is None]
        if missing:
            what = f"needs {', '.join(map(escaped, missing))}"
            yield Finding(path=path, rule="elf-library", what=what, star=star)
        for what in _missing_versions(facts, found):
            yield Finding(path=path, rule="elf-symbol-version", what=what, star=star)


def script_findings(programs: Programs, tree: SeenTree) -> Iterator[Finding]:
    """Yield each script whose interpreter is not in the image."""
    for path, words in programs.scripts.items():
        missing = _missing_interpreter(words, tree)
        if missing:
            what = f"its interpreter {escaped(missing)} is not in the image"
            yield Finding(path=path, rule="script-interpreter", what=what, star=tree.owner(path))


def soname_findings(programs: Programs, tree: SeenTree, digests: Mapping[TreePath, object]) -> Iterator[Finding]:
    """Yield each library in a folder of the loader of which another star has other bytes under the same SONAME."""
    configured = tuple(islice(_configured(programs.configured, _LD_CONF, set()), _MAX_FOLDERS))
    known: dict[tuple[bytes, str, int], TreePath] = {}
    usual: dict[str, set[TreePath | None]] = {}
    for path, facts in sorted(programs.elves.items()):
        machine = facts.machine
        if machine not in usual:
            usual[machine] = {tree.followed(folder) for folder in _usual_folders(machine, configured)}
        if not facts.soname or path.parent not in usual[machine]:
            continue
        first = known.setdefault((facts.soname, facts.machine, facts.bits), path)
        if tree.owner(first) != tree.owner(path) and digests.get(first) != digests.get(path):
            what = f"is another {escaped(facts.soname)} than /{first.text} of {tree.owner(first) or 'nobody'}"
            yield Finding(path=path, rule="soname-twice", what=what, star=tree.owner(path))


def _wrong_machine(path: TreePath, facts: ElfFacts, arch: str) -> str:
    wanted = MACHINES.get(arch)
    if wanted is None or facts.machine in _NO_MACHINE or path.startswith(_OTHER_MACHINES):
        return ""
    if (facts.machine, facts.bits) == wanted:
        return ""
    return f"is for {facts.machine.removeprefix('EM_')} ({facts.bits} bits), the image is for {arch}"


def _folders(path: TreePath, facts: ElfFacts, configured: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the folders that the loader searches for the libraries of the file at `path`."""
    for folder in facts.folders:
        yield folder.replace(b"${ORIGIN}", b"$ORIGIN").replace(b"$ORIGIN", b"/" + path.parent)
    yield from _usual_folders(facts.machine, configured)


def _usual_folders(machine: str, configured: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the folders that the loader searches for every file of a machine."""
    yield from configured
    for triplet in _TRIPLETS.get(machine, ()):
        yield from (b"lib/" + triplet, b"usr/lib/" + triplet, b"usr/local/lib/" + triplet)
    yield from _FOLDERS


def _library(
    name: bytes, user: ElfFacts, folders: Iterable[bytes], elves: Mapping[TreePath, ElfFacts], tree: SeenTree
) -> ElfFacts | None:
    """Return the library that the loader finds, or None. A file that could not be read counts as an empty library."""
    for candidate in (name,) if b"/" in name else (folder + b"/" + name for folder in folders):
        file = tree.file_at(candidate)
        if file is None:
            continue
        facts = elves.get(file.path, ElfFacts(machine=user.machine, bits=user.bits))
        if (facts.machine, facts.bits) == (user.machine, user.bits):
            return facts
    return None


def _missing_versions(user: ElfFacts, found: Mapping[bytes, ElfFacts | None]) -> Iterator[str]:
    """Yield the versions that a found library does not define; the loader accepts a library without any version."""
    lacking: dict[bytes, list[bytes]] = {}
    for need in user.needs:
        library = found[need.soname]
        if library is not None and library.defines and need.version not in library.defines:
            lacking.setdefault(need.soname, []).append(need.version)
    for library_name, versions in lacking.items():
        yield f"needs {', '.join(map(escaped, versions))} of {escaped(library_name)}"


def _missing_interpreter(words: Sequence[bytes], tree: SeenTree) -> bytes:
    """Return the interpreter of a `#!` line that is not there, or nothing. `env` looks for a program by its name."""
    if not words or tree.file_at(words[0]) is None or not words[0].startswith(b"/"):
        return words[0] if words else b"(none)"
    if words[0].rpartition(b"/")[2] != b"env":
        return b""
    named = [word for word in words[1:] if not word.startswith(b"-") and b"=" not in word]
    if not named or b"/" in named[0]:
        return named[0] if named and tree.file_at(named[0]) is None else b""
    is_there = any(tree.file_at(folder + b"/" + named[0]) is not None for folder in _PROGRAM_FOLDERS)
    return b"" if is_there else named[0]


def _configured(files: Mapping[TreePath, bytes], path: bytes, read: set[bytes]) -> Iterator[bytes]:
    """Yield the folders that ld.so.conf names, with the files that it includes, each file once."""
    if path in read:
        return
    read.add(path)
    for line in files.get(TreePath(path), b"").splitlines():
        words = line.partition(b"#")[0].split()
        if words[:1] == [b"include"]:
            for pattern in words[1:]:
                for file in _matching(files, pattern):
                    yield from _configured(files, file, read)
        elif words[:1] != [b"hwcap"]:
            yield from (folder for word in words for folder in word.split(b",") if folder)


def _matching(files: Iterable[TreePath], pattern: bytes) -> list[TreePath]:
    """Return the files that an `include` line means; a relative one is meant from /etc."""
    whole = pattern.lstrip(b"/") if pattern.startswith(b"/") else b"etc/" + pattern
    try:
        glob = Glob.parse(whole)
    except ValueError:
        return []
    return sorted(file for file in files if glob.matches(file))


def _text(content: Content) -> bytes:
    return bytes(content[:_CONF_BYTES])
