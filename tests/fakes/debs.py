"""Debian packages and archives made by hand: small, with any fault that a test needs. They are written with tarfile, so
that the program's own reader reads the output of another writer.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from cosmos.debian.apt import AptRecord
from cosmos.debian.deb822 import paragraph, relations
from cosmos.debian.ecosystem import Debian
from cosmos.digest import Digest
from cosmos.errors import NoSolution
from cosmos.model.reporter import Reporter
from cosmos.stellar.ecosystems import opened
from cosmos.tree.ecosystem import Ecosystem, Outside

MTIME = 1_700_000_000


def lzma_alone(data: bytes) -> bytes:
    """Return data compressed in the format before .xz."""
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


_COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".lzma": lzma_alone,
}


def ar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Return an ar archive."""
    out = [b"!<arch>\n"]
    for name, body in members:
        out.append(f"{name:<16}{MTIME:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode())
        out.append(body + b"\n" * (len(body) % 2))
    return b"".join(out)


def tar(files: Mapping[str, bytes | str | tarfile.TarInfo | None]) -> bytes:
    """Return a tar archive: bytes are a file, text a symlink's target, None a folder, a TarInfo stands for itself."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as out:
        for name, what in files.items():
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(f"./{name}")
            info.mtime = MTIME
            if isinstance(what, bytes):
                info.size, info.mode = len(what), 0o755 if "bin/" in name else 0o644
            elif isinstance(what, str):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, what, 0o777
            elif what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            out.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return raw.getvalue()


def make_deb(
    control: str,
    files: Mapping[str, bytes | str | tarfile.TarInfo | None],
    *,
    scripts: tuple[str, ...] = (),
    suffix: str = ".xz",
) -> bytes:
    """Return a package; `control` is its control file's text."""
    about = {"control": control.encode(), **dict.fromkeys(scripts, b"#!/bin/sh\nexit 1\n")}
    press, control_suffix = _COMPRESS[suffix], "" if suffix in (".bz2", ".lzma") else suffix
    return ar(
        [
            ("debian-binary", b"2.0\n"),
            (f"control.tar{control_suffix}", _COMPRESS[control_suffix](tar(about))),
            (f"data.tar{suffix}", press(tar(files))),
        ]
    )


def control_text(name: str, version: str = "1.0-1", architecture: str = "amd64", **more: str) -> str:
    """Return a control file; `more` fields have underscores for hyphens."""
    rows = {"Package": name, "Version": version, "Architecture": architecture, "Maintainer": "A <a@example.org>"}
    rows |= {key.replace("_", "-").title(): text for key, text in more.items()}
    rows.setdefault("Description", f"the package {name}")
    return "".join(f"{key}: {text}\n" for key, text in rows.items())


@dataclass(kw_only=True)
class FakeArchive:
    """An archive of packages in memory, with the interface of `cosmos.debian.apt.Apt`."""

    debs: dict[str, bytes] = field(default_factory=dict)
    records: dict[str, AptRecord] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        files: Mapping[str, bytes | str | tarfile.TarInfo | None] | None = None,
        *,
        version: str = "1.0-1",
        architecture: str = "amd64",
        scripts: tuple[str, ...] = (),
        **more: str,
    ) -> AptRecord:
        """Add a package and return its record."""
        default = {"usr": None, "usr/bin": None, f"usr/bin/{name}": f"I am {name}\n".encode()}
        text = control_text(name, version, architecture, **more)
        data = make_deb(text, default if files is None else files, scripts=scripts)
        fields = {**paragraph(text, name), "size": str(len(data)), "sha256": Digest.of(data).hex}
        self.debs[name] = data
        self.records[name] = AptRecord.of(fields)
        return self.records[name]

    def candidates(self, names: Iterable[str]) -> dict[str, AptRecord]:
        return {name: self.records[name] for name in names if name in self.records}

    def record(self, name: str, version: str | None = None) -> AptRecord:
        found = self.records.get(name)
        if found is None or version not in (None, found.version):
            raise NoSolution(name, "no package of that name")
        return found

    def names_beginning(self, prefix: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in self.records if name.startswith(prefix)))

    def essential(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, record in self.records.items() if record.is_essential))

    def providers(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, set[str]] = {}
        for record in self.records.values():
            for group in relations(record.fields.get("provides", ""), "x"):
                for one in group:
                    found.setdefault(one.name, set()).add(record.name)
        return {name: tuple(sorted(found[name])) for name in names if name in found}

    def fetch(self, records: Iterable[AptRecord]) -> None:
        self.fetched += [record.name for record in records]

    def read(self, record: AptRecord) -> bytes:
        return self.debs[record.name]


def ecosystems_on(
    archive: FakeArchive, home: Path, reporter: Reporter, *, offline: bool = False
) -> dict[str, Ecosystem]:
    """Return every ecosystem of `stellar`, but with the Debian packages of `archive`."""
    outside = Outside(home=home, environ={}, now=0.0, offline=offline, reporter=reporter)
    return {**opened(outside), "deb": Debian(lambda _arch, _suite: archive)}  # type: ignore[dict-item]  # a fake apt


@dataclass(frozen=True, kw_only=True)
class LocalArchive:
    """A real archive of packages on disk, signed or not, and the settings of a host that uses it."""

    root: Path
    apt_config: Path

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a caller of apt."""
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "APT_CONFIG": str(self.apt_config)}

    def sources(self, text: str, name: str = "test.list") -> None:
        """Add a file of sources."""
        (self.root / "etc/sources.list.d" / name).write_text(text)


def make_local_archive(root: Path, debs: Mapping[str, bytes], *, signed: bool) -> LocalArchive:
    """Write an archive below `root` with these packages (by file name), and a host's settings that name it."""
    for folder in ("etc/sources.list.d", "etc/trusted.gpg.d", "archive/pool", "gnupg"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    archive = root / "archive"
    release = archive / "dists/test"
    (release / "main/binary-amd64").mkdir(parents=True, exist_ok=True)
    rows = []
    for name, data in debs.items():
        (archive / "pool" / name).write_bytes(data)
        text = _control_of(data)
        rows.append(f"{text}Filename: pool/{name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n")
    index = "\n".join(rows).encode()
    (release / "main/binary-amd64/Packages").write_bytes(index)
    text = (
        "Origin: Test\nSuite: test\nCodename: test\nArchitectures: amd64\nComponents: main\n"
        "Date: Tue, 01 Jul 2025 00:00:00 UTC\nSHA256:\n"
        f" {hashlib.sha256(index).hexdigest()} {len(index)} main/binary-amd64/Packages\n"
    )
    (release / "Release").write_text(text)
    key = _signed(root, release) if signed else None
    options = f"[signed-by={key}] " if key else ""
    config = root / "etc/apt.conf"
    config.write_text(
        f'Dir::Etc::sourcelist "{root}/etc/sources.list";\nDir::Etc::sourceparts "{root}/etc/sources.list.d";\n'
        f'Dir::Etc::trusted "{root}/etc/trusted.gpg";\nDir::Etc::trustedparts "{root}/etc/trusted.gpg.d";\n'
    )
    # apt reads APT_CONFIG before the host's own settings, which name no places: so these hold
    made = LocalArchive(root=root, apt_config=config)
    made.sources(f"deb {options}file://{archive} test main\n")
    return made


def _control_of(deb: bytes) -> str:
    start = deb.index(b"Package: ") if b"Package: " in deb else -1
    if start >= 0:
        return deb[start : deb.index(b"\0", start)].decode()
    raise ValueError("make the package with suffix='' so that its control file can be read")


def _signed(root: Path, release: Path) -> Path:
    """Sign the Release file with a key made for it, and return the public key's file."""
    home = ["gpg", "--homedir", str(root / "gnupg"), "--batch", "--yes", "--quiet"]
    (root / "gnupg").chmod(0o700)
    subprocess.run([*home, "--passphrase", "", "--quick-gen-key", "t@example.org", "ed25519", "sign"], check=True)
    key = root / "etc/key.asc"
    subprocess.run([*home, "--armor", "--output", str(key), "--export"], check=True)
    subprocess.run([*home, "--clearsign", "--output", str(release / "InRelease"), str(release / "Release")], check=True)
    subprocess.run(["gpgconf", "--homedir", str(root / "gnupg"), "--kill", "all"], check=False)
    return key
