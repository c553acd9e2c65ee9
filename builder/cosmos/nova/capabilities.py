"""File capabilities as the kernel stores them: `security.capability`, `struct vfs_cap_data` revision 2
(linux/capability.h).

    le32 magic_etc          0x02000000 | 1 if the effective bit is set
    le32 permitted[0..31]   le32 inheritable[0..31]   le32 permitted[32..63]   le32 inheritable[32..63]

The text form is libcap's (cap_text_formats(7)): clauses parted by spaces, each `names` `operator` `flags`, with names
joined by commas or `all`, operators `=`, `+`, `-`, and flags of `e`, `i`, `p`. A file has one effective bit for all of
its capabilities.
"""

from __future__ import annotations

import re
import struct
from typing import Final

# fmt: off
_NAMES: Final = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control",
    "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
    "perfmon", "bpf", "checkpoint_restore",
)
# fmt: on
_NUMBERS: Final = {f"cap_{name}": number for number, name in enumerate(_NAMES)}
_ALL: Final = frozenset(range(len(_NAMES)))
_REVISION_2: Final = 0x02000000
_CLAUSE: Final = re.compile(r"([a-z_,]*)((?:[=+-][eip]*)+)")
_ACTION: Final = re.compile(r"([=+-])([eip]*)")


def capability_value(text: str) -> bytes:
    """Return the attribute's value for `text`, or raise `ValueError`.

    >>> capability_value("cap_net_raw+ep").hex()
    '0100000200200000000000000000000000000000'
    """
    sets: dict[str, set[int]] = {"e": set(), "i": set(), "p": set()}
    clauses = text.split()
    if not clauses:
        raise ValueError("holds no capability")
    for clause in clauses:
        _apply(clause, sets)
    effective, given = sets["e"], sets["p"] | sets["i"]
    if effective and effective != given:
        raise ValueError(f"{text!r}: a file has one effective bit: give `e` to all of its capabilities or to none")
    permitted, inheritable = _bits(sets["p"]), _bits(sets["i"])
    low = 0xFFFFFFFF
    return struct.pack(
        "<5I", _REVISION_2 | bool(effective), permitted & low, inheritable & low, permitted >> 32, inheritable >> 32
    )


def _apply(clause: str, sets: dict[str, set[int]]) -> None:
    match = _CLAUSE.fullmatch(clause.lower())
    if match is None:
        raise ValueError(f"{clause!r}: want names, then +, - or =, then flags of e, i, p, as in 'cap_net_raw+ep'")
    chosen = _chosen(match[1], match[2])
    for action in _ACTION.finditer(match[2]):
        for flag, members in sets.items():
            if action[1] == "=" or (action[1] == "-" and flag in action[2]):
                members -= chosen
            if action[1] != "-" and flag in action[2]:
                members |= chosen


def _chosen(names: str, actions: str) -> frozenset[int]:
    if names in ("", "all"):
        if not names and not actions.startswith("="):
            raise ValueError(f"{actions!r}: name the capabilities, or write `all`")
        return _ALL
    for name in names.split(","):
        if name not in _NUMBERS:
            raise ValueError(f"{name!r}: no such capability")
    return frozenset(_NUMBERS[name] for name in names.split(","))


def _bits(members: set[int]) -> int:
    return sum(1 << number for number in members)
