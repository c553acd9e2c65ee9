"""A licence is named by its SPDX id where that is sure, and never guessed."""

from __future__ import annotations

import pytest

from cosmos.debian.copyright import licence_of, spdx_id

DEP5 = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: x\n"


def stated(*licences: str) -> str:
    rows = "".join(
        f"\nFiles: part{place}/*\nCopyright: someone\nLicense: {one}\n" for place, one in enumerate(licences)
    )
    return licence_of((DEP5 + rows).encode(), "x")


@pytest.mark.parametrize(
    ("debian", "spdx"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-3.0+", "GPL-3.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("LGPL-2", "LGPL-2.0-only"),
        ("AGPL-3+", "AGPL-3.0-or-later"),
        ("GFDL-1.3+", "GFDL-1.3-or-later"),
        ("GFDL-NIV-1.3", "GFDL-1.3-no-invariants-only"),
        ("Expat", "MIT"),
        ("Apache-2", "Apache-2.0"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("ISC", "ISC"),
        ("NCSA", "NCSA"),
        ("GPL-2.1", "LicenseRef-GPL-2.1"),
        ("GPL", "LicenseRef-GPL"),
        ("public-domain", "LicenseRef-public-domain"),
        ("BSD-3-clause~Regents", "LicenseRef-BSD-3-clause-Regents"),
    ],
)
def test_short_names_become_spdx_ids_or_references(debian: str, spdx: str) -> None:
    assert spdx_id(debian) == spdx
    assert stated(debian) == spdx


@pytest.mark.parametrize(
    ("debian", "spdx"),
    [
        ("GPL-2+ or Artistic", "GPL-2.0-or-later OR Artistic-1.0-Perl"),
        ("GPL-2 and Expat", "GPL-2.0-only AND MIT"),
        ("GPL-2+ with Autoconf exception", "GPL-2.0-or-later WITH Autoconf-exception-2.0"),
        ("GPL-3+ with GCC exception", "GPL-3.0-or-later WITH GCC-exception-3.1"),
        ("GPL-2+ with OpenSSL exception", "LicenseRef-GPL-2-or-later-with-OpenSSL-exception"),
        ("MPL-1.1 or GPL-2, and Expat", "(MPL-1.1 OR GPL-2.0-only) AND MIT"),
    ],
)
def test_expressions_become_spdx_expressions(debian: str, spdx: str) -> None:
    assert stated(debian) == spdx


def test_all_parts_of_a_package_count_and_each_licence_once() -> None:
    assert stated("GPL-2+", "Expat", "GPL-2+", "Expat and zlib", "ISC or Expat") == (
        "(ISC OR MIT) AND GPL-2.0-or-later AND MIT AND Zlib"
    )


def test_the_packaging_s_licence_does_not_count_unless_it_is_the_only_one() -> None:
    packaging = "\nFiles: debian/*\nLicense: GPL-3+\n"
    assert licence_of((DEP5 + "\nFiles: *\nLicense: Expat\n" + packaging).encode(), "x") == "MIT"
    assert licence_of((DEP5 + packaging).encode(), "x") == "GPL-3.0-or-later"


PROSE = "This package was debianized by someone.\n\n{}\n\nOn Debian systems see `/usr/share/common-licenses/{}'.\n"
LATER = "either version 2 of the License, or (at your option) any\nlater version."


@pytest.mark.parametrize(
    ("prose", "name", "spdx"),
    [
        (LATER, "GPL-2", "GPL-2.0-or-later"),
        (LATER, "LGPL-2.1", "LGPL-2.1-or-later"),
        ("Licensed under the Apache License.", "Apache-2.0", "Apache-2.0"),
        ("under version 2 of the License", "GPL-2", "LicenseRef-debian-x"),
        (LATER, "GPL", "LicenseRef-debian-x"),
        (LATER + " See also /usr/share/common-licenses/LGPL-2.1.", "GPL-2", "LicenseRef-debian-x"),
        (LATER + " Permission is hereby granted, free of charge", "GPL-2", "LicenseRef-debian-x"),
        (LATER + " parts are in the public domain", "GPL-2", "LicenseRef-debian-x"),
    ],
)
def test_prose_is_believed_only_where_it_is_plain(prose: str, name: str, spdx: str) -> None:
    assert licence_of(PROSE.format(prose, name).encode(), "x") == spdx


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"Format: x\n\nnonsense", b"Format: x\n\nFiles: *\nLicense:\n", b"x" * 10_000]
)
def test_what_says_nothing_is_a_reference_to_the_package_s_own_file(data: bytes) -> None:
    assert licence_of(data, "libstdc++6") == "LicenseRef-debian-libstdc--6"


def test_a_hostile_copyright_file_is_read_in_time_in_proportion_to_its_size() -> None:
    """Each of these took time with the square of its size: minutes, or hours for the largest that is read."""
    head = b"Format: x\n\nFiles: *\nLicense: "
    for line in (b"a, and " * 400_000 + b"b", b"(a" * 400_000 + b" AND b", b"a or " * 400_000, b"a, " * 800_000):
        assert licence_of(head + line + b"\n", "x") == "LicenseRef-debian-x"
    many = b"\n".join(b"Files: *\nLicense: l%d\n" % number for number in range(100_000))
    assert licence_of(b"Format: x\n\n" + many, "x") == "LicenseRef-debian-x"
    for prose in (b"any" + b" " * 1_000_000, b"/usr/share/common-licenses/" * 40_000, b"permission is " * 100_000):
        assert licence_of(prose, "x") == "LicenseRef-debian-x"


def test_one_licence_of_very_many_files_is_one_licence() -> None:
    paragraphs = b"".join(b"Files: f%d\nLicense: Expat\n\n" % number for number in range(50_000))
    assert licence_of(b"Format: x\n\n" + paragraphs, "x") == "MIT"
