"""The rules of the ship guard. Each id is stable: waivers and people's scripts name it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from cosmos.records import dataclass

RuleId: TypeAlias = Literal[
    "private-key",
    "ssh-host-key",
    "token",
    "build-path",
    "machine-id",
    "root-without-password",
    "stray-time",
    "setuid",
    "world-writable",
    "dangling-symlink",
    "elf-machine",
    "elf-interpreter",
    "elf-library",
    "elf-symbol-version",
    "script-interpreter",
    "soname-twice",
    "kernel-modules",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A rule: its id, what it finds, and what a person does about it."""

    id: RuleId
    finds: str
    hint: str


RULES: Final = (
    Rule(
        id="private-key",
        finds="a private key: PEM, OpenSSH, PuTTY, PGP, age, minisign, or a secret key of Cosmos",
        hint="take the file out, and replace the key: everybody with the image has it",
    ),
    Rule(
        id="ssh-host-key",
        finds="a host key of OpenSSH or Dropbear in /etc: every device would have the same one",
        hint="take the file out, and make the key at the first start: ssh-keygen -A, or dropbear -R",
    ),
    Rule(
        id="token",
        finds="a token with a well-known prefix: GitHub, GitLab, AWS, Slack, Stripe, npm, PyPI, Hugging Face, …",
        hint="take it out, and revoke it: everybody with the image has it",
    ),
    Rule(
        id="build-path",
        finds="a folder of the builder, or the name of a temporary file of Cosmos, in a file or a symlink",
        hint="build with paths that are the same on every machine, such as -ffile-prefix-map",
    ),
    Rule(
        id="machine-id",
        finds="an /etc/machine-id, or the one of D-Bus, that is neither empty nor `uninitialized`",
        hint="ship it empty: each device makes its own at the first start",
    ),
    Rule(
        id="root-without-password",
        finds="an account with user number 0 and an empty password in /etc/passwd or /etc/shadow",
        hint='lock it with "*" in /etc/shadow, or set a password',
    ),
    Rule(
        id="stray-time",
        finds="an entry that is newer than the image's source-date-epoch",
        hint="build the image with cosmos build, which limits every time",
    ),
    Rule(
        id="setuid",
        finds="a set-user-ID or set-group-ID file of a star that policy.setuid does not name",
        hint="take the bits away in the finish script, or name the star in policy.setuid",
    ),
    Rule(
        id="world-writable",
        finds="a file, or a folder without sticky bit, that everybody may write to; stars in policy.chown may ship it",
        hint="chmod it to 0644 or 0755 in the finish script; a shared folder is 1777",
    ),
    Rule(
        id="dangling-symlink",
        finds="a symlink that leads to nothing; below /dev, /proc, /run, /sys and /tmp nothing is expected",
        hint="remove the symlink in the finish script, or add the star that brings its target",
    ),
    Rule(
        id="elf-machine",
        finds="a program, library or kernel module for another machine than the image's; firmware is not judged",
        hint="take the star for the image's architecture, or leave the file out",
    ),
    Rule(
        id="elf-interpreter",
        finds="a program whose loader (PT_INTERP) is not in the image",
        hint="add the star with the loader, such as glibc-runtime",
    ),
    Rule(
        id="elf-library",
        finds="a program or library that needs (DT_NEEDED) a library that the loader would not find",
        hint="add the star that brings the library, or its folder to /etc/ld.so.conf.d",
    ),
    Rule(
        id="elf-symbol-version",
        finds="a program or library that needs a symbol version (DT_VERNEED) that the found library does not define",
        hint="take a newer version of the star with the library, or an older one of its user",
    ),
    Rule(
        id="script-interpreter",
        finds="a program with a `#!` line whose interpreter is not in the image; /usr/share/doc is not judged",
        hint="add the star that brings the interpreter, or leave the script out",
    ),
    Rule(
        id="soname-twice",
        finds="two stars with different libraries of one SONAME in folders of the loader",
        hint="leave one of the two stars out: which one is loaded depends on the order of folders",
    ),
    Rule(
        id="kernel-modules",
        finds="a kernel in /boot or /usr/lib/modules without the folder of its modules",
        hint="add the star with the modules of the same version, or waive the rule for a kernel without modules",
    ),
)

HINTS: Final = {rule.id: rule.hint for rule in RULES}


def is_rule(text: str) -> bool:
    """Return whether there is a rule of this id."""
    return any(rule.id == text for rule in RULES)
