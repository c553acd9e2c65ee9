"""Make the sources of one suite of Debian from the host's, so that every host finds the same packages.

A host names the archives that it can reach. They hold every suite, so a host of another suite needs no other address.
For `bookworm`, apt reads

    ARCHIVE    bookworm, bookworm-updates      of every archive that the host takes a suite of Debian from
    ARCHIVE    bookworm-security               of every archive that the host takes security updates from

each with the component `main`, verified by the host's copy of Debian's own keys alone. Both of apt's forms are read
(sources.list(5)): a line `deb [OPTIONS] URI SUITE COMPONENT…`, and a paragraph of a `.sources` file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from cosmos.debian.deb822 import paragraphs
from cosmos.errors import Malformed, WorldFailed
from cosmos.model.names import Suite
from cosmos.records import dataclass

_LINE: Final = re.compile(r"deb[ \t]+(?:\[([^\]]*)\][ \t]*)?(\S+)[ \t]+(\S+)((?:[ \t]+[^\s#]+)*)")
_MAIN: Final = re.compile(r"[a-z]+(?:-updates)?")
_SECURITY: Final = re.compile(r"[a-z]+(?:-security|/updates)")
_COMPONENT: Final = "main"
_PLACE: Final = re.compile(r"[a-z+]+:[^\s\"\\]+")
_KEPT_OPTIONS: Final = ("check-valid-until", "check-date")  # a host that asks an archive of the past says so with these
_KEYRING: Final = "debian-archive-keyring"
KEYRINGS: Final = tuple(Path(f"/usr/share/keyrings/{_KEYRING}.{form}") for form in ("pgp", "gpg"))


@dataclass(frozen=True, kw_only=True, slots=True)
class HostSource:
    """One entry of the host's sources: archives, suites, components, and options by their lower-case deb822 name."""

    archives: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: Mapping[str, str]

    @property
    def is_debian(self) -> bool:
        """Whether it is probably Debian's: it names no other key, and it has Debian's main component."""
        keys = self.options.get("signed-by", _KEYRING)
        return _COMPONENT in self.components and any(
            Path(key).name.startswith("debian-archive-") for key in keys.split()
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteSources:
    """A `.sources` file for one suite. `has_security` is False if the host has no source of security updates."""

    text: str
    has_security: bool


def host_sources(text: str, file_name: str) -> tuple[HostSource, ...]:
    """Return the entries of one file of apt's sources; skips disabled entries, source packages and other lines."""
    return tuple(_paragraphs(text, file_name) if file_name.endswith(".sources") else _lines(text))


def suite_sources(sources: Iterable[HostSource], suite: Suite, keyring: Path) -> SuiteSources:
    """Return the sources of `suite`; raises `WorldFailed` if the host uses no archive of Debian."""
    places: dict[str, dict[str, Mapping[str, str]]] = {"main": {}, "security": {}}
    for source in sources:
        kept = {name: source.options[name] for name in _KEPT_OPTIONS if name in source.options}
        for archive in source.archives if source.is_debian else ():
            for kind, form in (("main", _MAIN), ("security", _SECURITY)):
                if _PLACE.fullmatch(archive) and any(map(form.fullmatch, source.suites)):
                    places[kind].setdefault(archive, kept)
    if not places["main"]:
        raise no_suite(suite, "the host's sources name no archive of Debian")
    rows = [
        _entry(archive, f"{suite} {suite}-updates", options, keyring) for archive, options in places["main"].items()
    ]
    rows += [_entry(archive, f"{suite}-security", options, keyring) for archive, options in places["security"].items()]
    return SuiteSources(text="\n".join(rows), has_security=bool(places["security"]))


def debian_keyring(suite: Suite) -> Path:
    """Return the file of Debian's own keys; raises `WorldFailed` if the host has none."""
    found = next((file for file in KEYRINGS if file.is_file()), None)
    if found is None:
        raise no_suite(suite, f"the host has no keys of Debian's archives ({KEYRINGS[-1]})")
    return found


def no_suite(suite: Suite, problem: str) -> WorldFailed:
    """Return the error for a suite that the host's sources do not have, with its hint."""
    return WorldFailed(
        f"Debian {suite}",
        problem,
        hint="check the network, or name a file of sources: --apt-sources FILE (make image APT_SOURCES=FILE), with a "
        f"line\ndeb [signed-by=KEYRING] ARCHIVE {suite} main",
    )


def _entry(archive: str, suites: str, options: Mapping[str, str], keyring: Path) -> str:
    kept = "".join(f"{name.title()}: {value}\n" for name, value in options.items())
    return f"Types: deb\nURIs: {archive}\nSuites: {suites}\nComponents: {_COMPONENT}\nSigned-By: {keyring}\n{kept}"


def _lines(text: str) -> Iterator[HostSource]:
    for line in text.split("\n"):
        match = _LINE.match(line.strip())
        if match is not None:
            pairs = (option.partition("=") for option in (match[1] or "").split())
            yield HostSource(
                archives=(match[2],),
                suites=(match[3],),
                components=tuple(match[4].split()),
                options={name.lower(): value.replace(",", " ") for name, _, value in pairs},
            )


def _paragraphs(text: str, file_name: str) -> Iterator[HostSource]:
    try:
        tables = list(paragraphs(text, file_name))
    except Malformed:
        return  # apt refuses such a file too, and says so
    for fields in tables:
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in _NO:
            yield HostSource(
                archives=tuple(fields.get("uris", "").split()),
                suites=tuple(fields.get("suites", "").split()),
                components=tuple(fields.get("components", "").split()),
                options={name: value for name, value in fields.items() if "\n" not in value},
            )


_NO: Final = ("no", "false", "without", "off", "disable", "0")  # apt's words (sources.list(5))
