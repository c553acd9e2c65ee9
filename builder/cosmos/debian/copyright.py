"""A package's licence, as an SPDX expression, from Debian's `usr/share/doc/PACKAGE/copyright`.

Two forms of that file:

- machine-readable (DEP-5, "Machine-readable debian/copyright file" 1.0): the first line of each `License:` field of
  a `Files:` paragraph is an expression of Debian's short names. All of a package's are joined by `AND`, except those
  for `debian/*` alone (the packaging, which is not shipped).
- prose: read only if it refers to exactly one text of /usr/share/common-licenses, and says plainly whether later
  versions are allowed.

The result is an SPDX id (SPDX 2.3, annex D) if it is certain, else `LicenseRef-…`: a guess would be worse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from cosmos.debian.deb822 import paragraphs
from cosmos.errors import Malformed
from cosmos.model.licence import joined_licences

_MAX_BYTES: Final = 8 << 20  # Firefox's has 300 KiB
_MAX_EXPRESSION: Final = 2000  # characters, of one line of a file and of the result
_FORMAT: Final = re.compile(r"\s*Format(?:-Specification)?\s*:", re.IGNORECASE)

# Debian's short names (DEP-5, "Short name") that differ from SPDX's id.
_SHORT_NAMES: Final = {
    "expat": "MIT",
    "mit": "MIT",
    "mit/x11": "MIT",
    "apache-2": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "artistic-1": "Artistic-1.0-Perl",
    "artistic-2": "Artistic-2.0",
    "artistic-2.0": "Artistic-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "bsd-4-clause-uc": "BSD-4-Clause-UC",
    "bsl-1": "BSL-1.0",
    "bsl-1.0": "BSL-1.0",
    "boost-1.0": "BSL-1.0",
    "cc0-1.0": "CC0-1.0",
    "cc-by-3.0": "CC-BY-3.0",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-3.0": "CC-BY-SA-3.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cddl-1.0": "CDDL-1.0",
    "curl": "curl",
    "ftl": "FTL",
    "isc": "ISC",
    "lppl-1.3c": "LPPL-1.3c",
    "mpl-1.1": "MPL-1.1",
    "ms-pl": "MS-PL",
    "mpl-2": "MPL-2.0",
    "mpl-2.0": "MPL-2.0",
    "ofl-1.1": "OFL-1.1",
    "openldap-2.8": "OLDAP-2.8",
    "openssl": "OpenSSL",
    "psf-2": "PSF-2.0",
    "python-2.0": "Python-2.0",
    "ruby": "Ruby",
    "unlicense": "Unlicense",
    "vim": "Vim",
    "wtfpl": "WTFPL",
    "wtfpl-2": "WTFPL",
    "x11": "X11",
    "zlib": "Zlib",
    "zlib/libpng": "Zlib",
    "0bsd": "0BSD",
    "bsd-0-clause": "0BSD",
    "epl-1": "EPL-1.0",
    "cpl-1": "CPL-1.0",
}
# SPDX ids that copyright files use as they are.
_AS_THEY_ARE: Final = re.compile(
    r"AFL-2\.1|BSD-1-Clause|BSD-Source-Code|Beerware|CC-BY-2\.0|CC-BY-SA-2\.0|CPL-1\.0|EPL-[12]\.0|EUPL-1\.[12]|FSFAP|FSFUL"
    r"|FSFULLR|HPND|IJG|Info-ZIP|IPL-1\.0|Libpng|MIT-0|NCSA|NTP|SMLNJ|Sendmail|SunPro|TCL|UPL-1\.0|W3C|libtiff"
)
_EXCEPTIONS: Final = {
    ("autoconf", "2"): "Autoconf-exception-2.0",
    ("autoconf", "3"): "Autoconf-exception-3.0",
    ("bison", "2"): "Bison-exception-2.2",
    ("bison", "3"): "Bison-exception-2.2",
    ("classpath", "2"): "Classpath-exception-2.0",
    ("font", "2"): "Font-exception-2.0",
    ("font", "3"): "Font-exception-2.0",
    ("gcc", "3"): "GCC-exception-3.1",
    ("libtool", "2"): "Libtool-exception",
}
_GNU: Final = re.compile(r"(l|a)?gpl(?:v|-v)?-?([123](?:\.[0-9])?)(?:\.0)?(\+|-or-later|-only)?", re.IGNORECASE)
_GFDL: Final = re.compile(r"gfdl(-niv)?(?:-no-invariants)?-(1\.[123])(\+|-or-later|-only)?", re.IGNORECASE)
_GNU_VERSIONS: Final = {"": {"1", "2", "3"}, "l": {"2", "2.1", "3"}, "a": {"3"}}
_LATER: Final = re.compile(r"\bany\s+later\s+version\b", re.IGNORECASE)
_COMMON: Final = re.compile(r"/usr/share/common-licenses/([A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9])")
_COMMON_NAMES: Final = {"Apache-2.0": "Apache-2.0", "MPL-2.0": "MPL-2.0", "MPL-1.1": "MPL-1.1", "CC0-1.0": "CC0-1.0"}


def licence_of(data: bytes, package: str) -> str:
    """Return the licence that the copyright file of `package` states, as an SPDX expression; never raises.

    >>> licence_of(b"Format: x\\n\\nFiles: *\\nLicense: GPL-2+ or Expat\\n\\nFiles: debian/*\\nLicense: GPL-3\\n", "x")
    'GPL-2.0-or-later OR MIT'
    """
    text = data[:_MAX_BYTES].decode("utf-8", "replace")
    stated: tuple[str, ...] = ()
    if _FORMAT.match(text):
        lines = _stated(text)
        if any(len(line) > _MAX_EXPRESSION for line in lines):
            return unknown_licence(package)
        stated = tuple(map(_expression, lines))
    expression = joined_licences(stated) if stated else _from_prose(text)
    return expression if 0 < len(expression) <= _MAX_EXPRESSION else unknown_licence(package)


def unknown_licence(package: str) -> str:
    """Return the reference for a licence that could not be named: it is the package's own copyright file.

    >>> unknown_licence("libstdc++6")
    'LicenseRef-debian-libstdc--6'
    """
    return "LicenseRef-debian-" + re.sub(r"[^A-Za-z0-9.-]", "-", package)


def spdx_id(name: str) -> str:
    """Return the SPDX id of one of Debian's short names, or a `LicenseRef-`.

    >>> spdx_id("GPL-2+"), spdx_id("Expat"), spdx_id("public-domain")
    ('GPL-2.0-or-later', 'MIT', 'LicenseRef-public-domain')
    """
    if name.lower() in _SHORT_NAMES or _AS_THEY_ARE.fullmatch(name):
        return _SHORT_NAMES.get(name.lower(), name)
    if (gnu := _GNU.fullmatch(name)) and (number := gnu[2].removesuffix(".0")) in _GNU_VERSIONS[(gnu[1] or "").lower()]:
        version = number if "." in number else f"{number}.0"
        return f"{(gnu[1] or '').upper()}GPL-{version}{_later(gnu[3])}"
    if gfdl := _GFDL.fullmatch(name):
        invariants = "-no-invariants" if gfdl[1] else ""
        return f"GFDL-{gfdl[2]}{invariants}{_later(gfdl[3])}"
    return _reference(name)


def _later(suffix: str | None) -> str:
    return "-or-later" if suffix in ("+", "-or-later") else "-only"


def _stated(text: str) -> Iterable[str]:
    """Return the licences of the `Files:` paragraphs, each once; those for packaging only if there are no others."""
    shipped, packaging = dict[str, None](), dict[str, None]()
    try:
        for row in paragraphs(text, "copyright"):
            if "files" in row and row.get("license"):
                is_packaging = all(name.startswith("debian/") for name in row["files"].split())
                (packaging if is_packaging else shipped)[row["license"].split("\n")[0]] = None
    except Malformed:
        return ()
    return shipped or packaging


def _expression(text: str) -> str:
    """Return Debian's `a, and b or c with X exception` in SPDX's words; binds as SPDX does: WITH, AND, OR.

    A comma before a word (`a or b, and c`) binds weakest in Debian: what stands on its sides is put in brackets.
    """
    sides = [_plain_expression(side) for side in re.split(r",\s*(?=and\b|or\b)", text, flags=re.IGNORECASE)]
    joints = re.findall(r",\s*(and|or)\b", text, flags=re.IGNORECASE)
    whole = sides[0]
    for joint, side in zip(joints, sides[1:], strict=True):
        whole = f"{_bracketed(whole)} {joint.upper()} {_bracketed(side)}"
    return whole


def _plain_expression(text: str) -> str:
    words = text.replace(",", " ").split()
    if words and words[0].lower() in ("and", "or"):
        words = words[1:]
    out: list[str] = []
    name: list[str] = []
    for word in [*words, "and"]:
        if word.lower() in ("and", "or"):
            out += [_named(name), word.upper()]
            name = []
        else:
            name.append(word)
    return " ".join(out[:-1])


def _named(words: list[str]) -> str:
    """Return one licence; with an exception that SPDX does not list, it is a reference to both together."""
    if len(words) == 1:
        return spdx_id(words[0])
    if len(words) == 4 and words[1].lower() == "with" and words[3].lower() == "exception":
        licence = spdx_id(words[0])
        exception = _EXCEPTIONS.get((words[2].lower(), licence.partition("GPL-")[2][:1]))
        if exception:
            return f"{licence} WITH {exception}"
    return _reference("-".join(words))


def _reference(name: str) -> str:
    spelt = re.sub(r"[^A-Za-z0-9.-]+", "-", name.replace("+", "-or-later")).strip("-")
    return f"LicenseRef-{spelt or 'unnamed'}"


def _bracketed(expression: str) -> str:
    return f"({expression})" if " AND " in expression or " OR " in expression else expression


def _from_prose(text: str) -> str:
    """Return the licence of a copyright file in prose, or nothing."""
    named: set[str] = set(_COMMON.findall(text))
    if len(named) != 1 or _other_grants(text):
        return ""
    (name,) = named
    if name in _COMMON_NAMES:
        return _COMMON_NAMES[name]
    gnu = _GNU.fullmatch(name)
    if gnu is None or gnu[2].removesuffix(".0") not in _GNU_VERSIONS[(gnu[1] or "").lower()]:
        return ""
    return spdx_id(f"{name}+") if _LATER.search(text) else ""


def _other_grants(text: str) -> bool:
    """Return whether the prose grants in the words of another family as well (MIT, BSD, ISC, public domain)."""
    return bool(
        re.search(
            r"permission\s+is\s+hereby\s+granted|redistribution\s+and\s+use|permission\s+to\s+use,\s+copy|public\s+domain",
            text,
            re.IGNORECASE,
        )
    )
