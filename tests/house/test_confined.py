"""Below a system's root nothing is named by a plain path: a link in the root would lead it to the host.

The rooms that work below a root, and the code that they share with a builder, name a file by the descriptor of an open
folder and one component (`device.root`, `folders`). This rule reads their calls: methods of `Path`, functions of `os`
without a descriptor, and functions of Cosmos that take a path. Exceptions stand beside it with their reasons.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest

# Modules and rooms that work below a root.
CONFINED = (
    "device",
    "folders",
    "keyring.anchors",
    "keyring.catching_up",
    "keyring.state",
    "store",
    "transport.local",
    "transport.partial",
)

# Methods that only a Path has.
OF_PATHS = {
    "chmod",
    "expanduser",
    "glob",
    "hardlink_to",
    "is_block_device",
    "is_char_device",
    "is_dir",
    "is_fifo",
    "is_file",
    "is_socket",
    "is_symlink",
    "iterdir",
    "lchmod",
    "mkdir",
    "read_bytes",
    "read_text",
    "readlink",
    "rename",
    "resolve",
    "rglob",
    "rmdir",
    "samefile",
    "symlink_to",
    "touch",
    "unlink",
    "write_bytes",
    "write_text",
}
# Methods that a Path has without an argument, where others take one.
BARE_OF_PATHS = {"exists", "is_mount", "lstat", "stat", "walk"}
# Functions of os that take a path, and are safe with `dir_fd`.
OF_OS = {
    "access",
    "chmod",
    "chown",
    "getxattr",
    "lchown",
    "link",
    "listdir",
    "listxattr",
    "lstat",
    "mkdir",
    "makedirs",
    "mkfifo",
    "mknod",
    "open",
    "readlink",
    "remove",
    "removedirs",
    "removexattr",
    "rename",
    "renames",
    "replace",
    "rmdir",
    "scandir",
    "setxattr",
    "stat",
    "statvfs",
    "symlink",
    "truncate",
    "unlink",
    "utime",
    "walk",
}
FOLDERS = {"dir_fd", "src_dir_fd", "dst_dir_fd"}
DESCRIPTORS = {"again", "descriptor", "folder", "held", "made", "number", "opened"}  # names of open files in this house
PATHS = ("glob", "shutil", "tempfile", "os.path.exists", "os.path.isfile", "os.path.isdir", "os.path.realpath")
OURS = (
    "cosmos.durable.write_durably",
    "cosmos.durable.durable_file",
    "cosmos.durable.drafted",
    "cosmos.durable.make_folder",
    "cosmos.durable.opened_folder",
    "cosmos.durable.replace_folder_durably",
    "cosmos.durable.sync_folder",
    "cosmos.locking.alone",
    "cosmos.locking.alone_if_free",
    "cosmos.locking.locked_in_time",
    "cosmos.locking.shared",
    "cosmos.reading.read_bounded",
    "cosmos.reading.read_envelope",
    "cosmos.reading.read_if_there",
    "cosmos.reading.read_up_to",
    "cosmos.folders.PlainWay",
    "cosmos.folders.folder_at",
)

# (module, what it calls) -> why it may.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("device.root", "os.open"): "opens the root itself, which the command line names",
    ("device.root", ".stat"): "compares the root with the running system's own",
    ("device.kernel", "os.chmod"): "names an open file by its number in /proc, where the kernel has no call for it",
    ("folders", "os.open"): "is the way to a folder of this machine, which a person named",
    ("folders", "shutil.rmtree"): "gets a descriptor of the folder, and follows no link below it",
    ("folders", "cosmos.durable.make_folder"): "is the way to a folder of this machine, which a person named",
    ("keyring.anchors", ".exists"): "asks a FileIn, which knows its folder, and no Path",
    ("keyring.anchors", "cosmos.folders.folder_at"): "is about a builder's home, which a person named",
    ("keyring.anchors", "cosmos.reading.read_up_to"): "reads the new document, which the command line names",
    ("keyring.anchors", "cosmos.reading.read_envelope"): "reads the envelope beside the new document",
    ("keyring.state", "cosmos.folders.folder_at"): "is about a builder's home, which a person named",
    ("store.blobs", "cosmos.folders.folder_at"): "takes a builder's home, which a person named, or a Folder",
    ("transport.local", "cosmos.folders.folder_at"): "takes a galaxy's absolute address, which a person named",
    ("transport.partial", "cosmos.folders.folder_at"): "takes a folder of this machine, or a Folder",
    ("transport.partial", "os.utime"): "is given an open file, and no path",
}

Planter = Callable[..., object]


def is_confined(module: object) -> bool:
    """Return whether `module` works below a root."""
    return any(module.name == room or module.name.startswith(f"{room}.") for room in CONFINED)


def imported(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def called(node: ast.Call, names: dict[str, str]) -> str:
    """Return the called function as `os.open`, or a method as `.open`."""
    written = ast.unparse(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""
    first, dot, rest = written.partition(".")
    if first in names:
        return names[first] + dot + rest
    return written if isinstance(node.func, ast.Name) else f".{written.rpartition('.')[2]}"


def is_descriptor(node: ast.Call) -> bool:
    """Return whether the first argument is a name that this house gives to descriptors."""
    return bool(node.args) and isinstance(node.args[0], ast.Name) and node.args[0].id in DESCRIPTORS


def plain_paths(module: object) -> Iterator[tuple[int, str]]:
    """Yield each call of `module` that names something by a plain path, as (line, what it calls)."""
    names = imported(module.tree)
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        what = called(node, names)
        method = what.rpartition(".")[2]
        if what.startswith("os.") and method in OF_OS:
            is_plain = not (FOLDERS & {keyword.arg for keyword in node.keywords} or is_descriptor(node))
        elif what == "open":
            is_plain = not is_descriptor(node)
        elif what.startswith("."):
            is_plain = method in OF_PATHS or (method in BARE_OF_PATHS and not (node.args or node.keywords))
            is_plain |= method == "open" and bool(node.args) and isinstance(getattr(node.args[0], "value", 0), str)
        else:
            is_plain = what.startswith(PATHS) or what in OURS
        if is_plain:
            yield node.lineno, what


def offences(module: object) -> list[str]:
    """Return the lines of `module` that name something by a plain path without a reason."""
    if not is_confined(module):
        return []
    return [
        f"{module}:{line}: {what}: name it by an open folder (device.root, folders)"
        for line, what in plain_paths(module)
        if (module.name, what) not in EXCEPTIONS
    ]


def test_nothing_below_a_root_is_named_by_a_plain_path(modules: tuple) -> None:
    assert [line for module in modules for line in offences(module)] == []


def test_every_exception_is_still_needed_and_has_a_reason(modules: tuple) -> None:
    used = {(module.name, what) for module in modules if is_confined(module) for _, what in plain_paths(module)}
    assert set(EXCEPTIONS) - used == set()
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())


@pytest.mark.parametrize(
    "line",
    [
        "from pathlib import Path; Path('/etc').mkdir()",
        "def f(root): return (root.path / 'etc').read_bytes()",
        "def f(path): return path.exists()",
        "def f(path): return path.stat().st_size",
        "def f(path): return path.open('rb').read()",
        "def f(path): return open(path).read()",
        "import os; os.open('/etc/passwd', os.O_RDONLY)",
        "import os; os.rename('/a', '/b')",
        "from os import mkdir; mkdir('/a')",
        "import shutil; shutil.rmtree('/a')",
        "import tempfile; tempfile.mkstemp(dir='/a')",
        "from cosmos.durable import write_durably; write_durably(path, b'')",
        "from cosmos.reading import read_up_to; read_up_to(path, 9)",
        "from cosmos.folders import folder_at; folder_at(path)",
    ],
)
def test_a_plain_path_below_a_root_is_caught(line: str, plant: Planter) -> None:
    assert len(offences(plant(line, name="device.planted"))) == 1
    assert offences(plant(line, name="image.planted")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import os\ndef f(folder): os.mkdir('a', dir_fd=folder)",
        "import os\ndef f(folder): os.replace('a', 'b', src_dir_fd=folder, dst_dir_fd=folder)",
        "import os\ndef f(descriptor): return os.listdir(descriptor)",
        "def f(root, path): return root.stat(path)",
        "def f(text): return text.replace('a', 'b')",
        "def f(descriptor): return open(descriptor, 'rb', closefd=False)",
        "def f(way, below): return way.open(below, 0)",
    ],
)
def test_a_name_in_an_open_folder_is_left_alone(line: str, plant: Planter) -> None:
    assert offences(plant(line, name="device.planted")) == []
