"""What `import-deb --closure --with-essential` chooses for 60 packages is what apt chooses for an empty system.

The two differ in one way, which is asserted: of alternatives apt takes one that it installs anyway for another package;
we look at each need by itself, so that what is imported for one package does not depend on the others.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosmos.debian.apt import Apt
from cosmos.debian.closure import Closure, debian_closure, wishes
from cosmos.debian.relations import answers, needed
from cosmos.model.names import Arch
from fakes.reporters import Remembering

PACKAGES = [
    "openssh-server",
    "openssh-client",
    "nginx",
    "cron",
    "git",
    "vim",
    "htop",
    "rsync",
    "sudo",
    "nftables",
    "python3",
    "perl",
    "curl",
    "wget",
    "tmux",
    "less",
    "nano",
    "man-db",
    "gnupg",
    "lvm2",
    "btrfs-progs",
    "xfsprogs",
    "dosfstools",
    "parted",
    "iproute2",
    "iputils-ping",
    "bind9-dnsutils",
    "tcpdump",
    "strace",
    "lsof",
    "file",
    "tree",
    "jq",
    "zip",
    "unzip",
    "bzip2",
    "xz-utils",
    "zstd",
    "make",
    "gcc",
    "gdb",
    "sqlite3",
    "postgresql-client",
    "redis-server",
    "haproxy",
    "chrony",
    "rsyslog",
    "logrotate",
    "dbus",
    "systemd",
    "udev",
    "kmod",
    "psmisc",
    "procps",
    "bash-completion",
    "ca-certificates",
    "dmsetup",
    "mdadm",
    "smartmontools",
    "ghostscript",
]
pytestmark = [pytest.mark.slow, pytest.mark.network]


def chosen_by_apt(apt: Apt, names: list[str]) -> dict[str, str]:
    """Return the version of each package that apt would install on a system that has none."""
    words = ["apt-get", "install", "--simulate", "--no-install-recommends", "--option", "Dir::State::status=/dev/null"]
    told = subprocess.run([*words, *names], env=dict(apt.state.environment), capture_output=True, text=True, check=True)
    return dict(re.findall(r"^Inst (\S+) \((\S+) ", told.stdout, re.MULTILINE))


def spared_by_apt(closure: Closure, apt_s: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (chosen, apt's): a package of the closure that apt does without, and what answers the same need there."""
    for record in closure.records.values():
        for group in needed(record, "amd64"):
            for name in closure.needs[record.name] - apt_s:
                if any(answers(closure.records[name], one, "amd64") for one in group):
                    others = [
                        other for other in apt_s for one in group if answers(closure.records[other], one, "amd64")
                    ]
                    yield from ((name, other) for other in others)


def test_sixty_packages_and_the_essential_ones_need_what_apt_says(tmp_path: Path) -> None:
    assert len(set(PACKAGES)) == 60
    reporter = Remembering()
    apt = Apt.at(tmp_path, Arch("x86_64"), environ=os.environ, now=1e9, offline=False, reporter=reporter)
    essential = apt.essential()
    assert {"bash", "base-files", "dpkg", "libc-bin", "perl-base"} <= set(essential)
    names = sorted({*PACKAGES, *essential})
    mine = debian_closure(apt, wishes(names), "amd64", reporter)
    theirs = chosen_by_apt(apt, names)
    assert (mine.unmet, len(theirs) > 300) == ({}, True)
    assert theirs.items() <= {name: record.version for name, record in mine.records.items()}.items()
    more = mine.records.keys() - theirs.keys()
    spared = dict(spared_by_apt(mine, set(theirs)))
    assert more <= mine.reached_from(spared), f"apt does without {sorted(more)}, and {spared} explains not all of them"
