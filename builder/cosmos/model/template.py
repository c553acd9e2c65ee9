"""`template.toml`: the declarations of a rootfs template, beside its files.

    description = "a system that runs from memory"
    merged-usr = true                  # /bin /sbin /lib /lib64 are links into /usr, for the stars' files as well

    [variables.hostname]               # a variable that images may set in [vars], with a name that Jinja2 can read
    type = "string"                    # string (one line) | integer | boolean | strings (an array of lines) | secret
    default = "cosmos"                 # without a default, every image must set it
    choices = ["cosmos", "rescue"]     # optional, for a string: the only values allowed
    meaning = "the system's name"      # required: shown to a person when the variable is missing

    [variables.wifi_psk]
    type = "secret"                    # text that no [vars] may hold: `cosmos build --secret wifi_psk=FILE`; no default
    meaning = "the passphrase of the wireless network"

    [[group]]
    name = "shadow"
    gid = 42
    members = ["root"]                 # optional

    [[user]]
    name = "root"
    uid = 0
    group = "root"                     # one of the groups above
    about = "the administrator"        # optional: what passwd calls gecos
    home = "/root"
    shell = "/bin/sh"
    password = "locked"                # locked | empty | a crypt(5) hash

    [[mount]]                          # a line of fstab
    device = "proc"
    at = "/proc"
    type = "proc"
    options = "nosuid,nodev,noexec"    # default "defaults"

    [[inittab]]                        # a line of busybox's inittab
    terminal = "ttyS0"                 # default "": init's own
    action = "respawn"
    run = "/sbin/getty 115200 ttyS0"

    [paths]                            # modes, owners, and what git cannot hold; paths without a leading slash
    "etc/shadow" = { mode = "0640", group = "shadow" }            # of a file below root/
    "tmp" = { kind = "dir", mode = "1777" }
    "init" = { kind = "symlink", target = "usr/bin/busybox" }
    "dev/console" = { kind = "char", mode = "0600", major = 5, minor = 1 }   # or block

Unknown keys are errors. Users, groups, mounts and inittab lines are values for the files below root/. Cosmos writes no
file for them by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, Self, TypeAlias, TypeVar, cast

from cosmos.errors import of_document
from cosmos.records import dataclass
from cosmos.tables import Table, read_whole
from cosmos.treepath import TreePath

VarType: TypeAlias = Literal["string", "integer", "boolean", "strings", "secret"]
Value: TypeAlias = str | int | bool | tuple[str, ...]
MadeKind: TypeAlias = Literal["file", "dir", "symlink", "char", "block"]
T = TypeVar("T")

_VAR = re.compile(r"[a-z][a-z0-9_]*")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # what Debian's adduser takes
_CRYPTED = re.compile(r"[$][!-9;-~]+|_[./0-9A-Za-z]{19}|[./0-9A-Za-z]{13}|[!*][!-9;-~]*")  # crypt(5); or nothing fits
_UNHASHED = {"locked": "!", "empty": ""}
_MODE = re.compile(r"[0-7]{3,4}")
_MAX_ID = (1 << 31) - 1
# What the files below root/ see besides the variables; no variable may hide one.
RESERVED = frozenset({"image", "users", "groups", "mounts", "inittab"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A variable that an image may set. `default` is None if the image must set it. A secret comes from elsewhere."""

    name: str
    type: VarType
    default: Value | None
    choices: tuple[str, ...]
    meaning: str

    @classmethod
    def read(cls, name: str, table: Table) -> Self:
        """Return the `[variables.NAME]` table."""
        if not _VAR.fullmatch(name) or name in RESERVED:
            table.fail("", "want a name of a-z, 0-9 and _ that is not " + ", ".join(sorted(RESERVED)))
        variable = cls(
            name=name,
            type=cast(VarType, table.choice("type", ("string", "integer", "boolean", "strings", "secret"))),
            default=None,
            choices=table.strings("choices"),
            meaning=table.need("meaning", str),
        )
        if variable.choices and variable.type != "string":
            table.fail("choices", "only a string has choices")
        if variable.is_secret and "default" in table:
            table.fail("default", "a secret has no default, which would stand in this file")
        if "default" in table:
            try:
                default = variable.checked(table.value("default"))
            except ValueError as error:
                table.fail("default", str(error))
            variable = cls(
                name=name,
                type=variable.type,
                default=default,
                choices=variable.choices,
                meaning=variable.meaning,
            )
        table.end()
        return variable

    @property
    def is_secret(self) -> bool:
        """Whether its value is given by `--secret`, and stands in no file of the image."""
        return self.type == "secret"

    def checked(self, value: object) -> Value:
        """Return `value` if it is of the variable's type, or raise `ValueError`."""
        match self.type:
            case "boolean" if isinstance(value, bool):
                return value
            case "integer" if isinstance(value, int) and not isinstance(value, bool):
                return value
            case "strings" if isinstance(value, list) and all(isinstance(line, str) for line in value):
                return tuple(_line(line) for line in value)
            case "string" if isinstance(value, str):
                if self.choices and value not in self.choices:
                    raise ValueError(f"want one of {', '.join(self.choices)}, got {value[:80]!r}")
                return _line(value)
        wanted = {"boolean": "true or false", "integer": "an integer", "strings": "an array of strings"}
        raise ValueError(f"want {wanted.get(self.type, 'a string')}, got {str(value)[:80]!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A line of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `[[group]]` table."""
        group = cls(
            name=table.read("name", _account),
            gid=table.count("gid", most=_MAX_ID),
            members=table.parsed_strings("members", _account),
        )
        table.end()
        return group


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """A line of /etc/passwd and of /etc/shadow. `password` is the field in /etc/shadow."""

    name: str
    uid: int
    gid: int
    about: str
    home: str
    shell: str
    password: str

    @classmethod
    def read(cls, table: Table, groups: Mapping[str, Group]) -> Self:
        """Return a `[[user]]` table; its group has to be one of `groups`."""
        group = table.read("group", _account)
        if group not in groups:
            table.fail("group", f"no [[group]] is called {group}")
        user = cls(
            name=table.read("name", _account),
            uid=table.count("uid", most=_MAX_ID),
            gid=groups[group].gid,
            about=table.take_read("about", _field, ""),
            home=table.read("home", _field),
            shell=table.read("shell", _field),
            password=table.read("password", _password),
        )
        table.end()
        return user


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """A line of /etc/fstab."""

    device: str
    at: str
    type: str
    options: str

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `[[mount]]` table."""
        mount = cls(
            device=table.read("device", _word),
            at=table.read("at", _word),
            type=table.read("type", _word),
            options=table.take_read("options", _word, "defaults"),
        )
        table.end()
        return mount


@dataclass(frozen=True, kw_only=True, slots=True)
class InitLine:
    """A line of busybox's /etc/inittab."""

    terminal: str
    action: str
    run: str

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an `[[inittab]]` table."""
        line = cls(
            terminal=table.take_read("terminal", _field, ""),
            action=table.read("action", _field),
            run=table.read("run", _line),
        )
        table.end()
        return line


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredPath:
    """A row of `[paths]`. `kind` is "file" for a file below root/. A field that is None keeps git's value."""

    path: TreePath
    kind: MadeKind
    mode: int | None
    user: str
    group: str
    target: bytes
    rdev: tuple[int, int] | None

    @classmethod
    def read(cls, path: TreePath, table: Table) -> Self:
        """Return one row of `[paths]`."""
        kinds = ("file", "dir", "symlink", "char", "block")
        kind = cast(MadeKind, table.choice("kind", kinds)) if "kind" in table else "file"
        is_device = kind in ("char", "block")
        row = cls(
            path=path,
            kind=kind,
            mode=table.take_read("mode", _mode),
            user=table.take("user", str, "root"),
            group=table.take("group", str, "root"),
            target=table.need("target", str).encode() if kind == "symlink" else b"",
            rdev=(table.count("major", most=4095), table.count("minor", most=(1 << 20) - 1)) if is_device else None,
        )
        if row.mode is None and is_device:
            table.fail("mode", "missing")
        if row.mode is not None and kind == "symlink":
            table.fail("mode", "a link has no mode of its own")
        table.end()
        return row


@dataclass(frozen=True, kw_only=True, slots=True)
class Declarations:
    """A whole `template.toml`."""

    description: str
    merged_usr: bool
    variables: Mapping[str, Variable]
    groups: tuple[Group, ...]
    users: tuple[User, ...]
    mounts: tuple[Mount, ...]
    inittab: tuple[InitLine, ...]
    paths: Mapping[TreePath, DeclaredPath]

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the `template.toml` in `data`; raises `Malformed`."""
        with of_document(data):
            return read_whole(data, source, cls.read, {})

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `template.toml` in `table`; raises `Malformed` for the first fault."""
        groups = _distinct(table, "group", tuple(map(Group.read, table.tables("group"))), lambda group: group.gid)
        by_name = {group.name: group for group in groups}
        users = tuple(User.read(row, by_name) for row in table.tables("user"))
        declarations = cls(
            description=table.take("description", str, ""),
            merged_usr=table.need("merged-usr", bool),
            variables=_variables(table.take_table("variables")),
            groups=groups,
            users=_distinct(table, "user", users, lambda user: user.uid),
            mounts=tuple(map(Mount.read, table.tables("mount"))),
            inittab=tuple(map(InitLine.read, table.tables("inittab"))),
            paths=_paths(table.take_table("paths")),
        )
        table.end()
        declarations._check_owners(table)
        return declarations

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secret variables, in order."""
        return tuple(sorted(name for name, variable in self.variables.items() if variable.is_secret))

    def owner(self, row: DeclaredPath) -> tuple[int, int]:
        """Return the uid and gid that own `row`."""
        users = {user.name: user.uid for user in self.users}
        groups = {group.name: group.gid for group in self.groups}
        return users.get(row.user, 0), groups.get(row.group, 0)

    def _check_owners(self, table: Table) -> None:
        users = {"root", *(user.name for user in self.users)}
        groups = {"root", *(group.name for group in self.groups)}
        for path, row in self.paths.items():
            if row.user not in users or row.group not in groups:
                table.fail(
                    "paths", f"{path.text}: no [[user]] or no [[group]] declares the owner {row.user}:{row.group}"
                )
        for group in self.groups:
            for member in group.members:
                if member not in users:
                    table.fail("group", f"{group.name}: no [[user]] declares the member {member}")


def _variables(table: Table | None) -> dict[str, Variable]:
    variables: dict[str, Variable] = {}
    if table is not None:
        for name in tuple(table.keys()):
            variables[name] = Variable.read(name, table.table(name))
    return variables


def _paths(table: Table | None) -> dict[TreePath, DeclaredPath]:
    rows: dict[TreePath, DeclaredPath] = {}
    if table is not None:
        for key in tuple(table.keys()):
            try:
                path = TreePath.from_text(key)
            except ValueError as error:
                table.fail(key, str(error))
            rows[path] = DeclaredPath.read(path, table.table(key))
    return rows


Account = TypeVar("Account", Group, User)


def _distinct(
    table: Table, key: str, rows: tuple[Account, ...], number: Callable[[Account], int]
) -> tuple[Account, ...]:
    """Return `rows` if no two share a name or a number."""
    for what, values in (("name", [row.name for row in rows]), ("number", [number(row) for row in rows])):
        if len(set(values)) != len(values):
            table.fail(key, f"two share one {what}")
    return rows


def _line(text: str) -> str:
    if any(char < " " or char == "\x7f" for char in text):
        raise ValueError(f"want one line without control characters, got {text[:80]!r}")
    return text


def _field(text: str) -> str:
    if ":" in text:
        raise ValueError(f"want no colon, which parts fields, got {text[:80]!r}")
    return _line(text)


def _password(text: str) -> str:
    """Return the field of /etc/shadow. A password in plain text would let nobody in, and anybody read it."""
    if text not in _UNHASHED and not _CRYPTED.fullmatch(text):  # what it is, is not said: it may be a password
        raise ValueError("want locked, empty or a crypt(5) hash, which `openssl passwd -6` makes")
    return _UNHASHED.get(text, text)


def _word(text: str) -> str:
    if not text or len(text.split()) != 1 or text != text.strip():
        raise ValueError(f"want one word, got {text[:80]!r}")
    return _line(text)


def _account(text: str) -> str:
    if not _ACCOUNT.fullmatch(text):
        raise ValueError(f"want a name of a-z, 0-9, _ and -, at most 32 long, got {text[:80]!r}")
    return text


def _mode(text: str) -> int:
    if not _MODE.fullmatch(text):
        raise ValueError(f'want an octal mode such as "0755", got {text[:80]!r}')
    return int(text, 8)
