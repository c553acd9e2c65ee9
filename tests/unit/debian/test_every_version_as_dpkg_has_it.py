"""Every version and relation of a whole suite means here what it means to dpkg.

dpkg is asked about each pair of neighbours in our order of all versions: as its order is transitive, no version of the
suite is then out of place. It is also asked about each version that a relation of the suite meets.

These are some fifty thousand questions, a process each: `make test-slow` asks them all, other runs take every fourth
package, and one question of each kind. Of one kind are questions with the same operator and answer, the same signs in
the first version, and the same sort of character where the two versions part.
"""

from __future__ import annotations

import os
import re
import string
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Final, TypeAlias

import pytest
import tomli_w

from cosmos.debian.apt import Apt, AptRecord
from cosmos.debian.deb822 import Relation, paragraphs, relations
from cosmos.debian.star import manifest_of
from cosmos.errors import Malformed
from cosmos.model.names import Arch
from cosmos.model.star import Star
from cosmos.model.version import DebianVersion
from fakes.reporters import Remembering

Question: TypeAlias = tuple[str, str, str, bool]  # version, operator of --compare-versions, version, our answer
NAMED: Final = ("pre-depends", "depends", "recommends", "suggests", "enhances", "conflicts", "breaks", "replaces")
OPERATORS: Final = {"<<": "lt", "<=": "le", "=": "eq", ">=": "ge", ">>": "gt"}
ASKING: Final = 'while read -r one how other; do dpkg --compare-versions "$one" "$how" "$other"; echo $?; done'
NO_DIGITS_OR_LETTERS: Final = str.maketrans("", "", string.digits + string.ascii_letters)
pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.xdist_group("suite")]  # which is read once
how_many = pytest.mark.parametrize(
    "chosen_by", [pytest.param("kind", id="one of each kind"), pytest.param("", id="all", marks=pytest.mark.exhaustive)]
)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the paragraph of every package of the host's suite."""
    folder = tmp_path_factory.mktemp("apt")
    apt = Apt.at(folder, Arch("x86_64"), environ=os.environ, now=1e9, offline=False, reporter=Remembering())
    apt.ensure_lists()
    told = subprocess.run(["apt-cache", "dumpavail"], env=dict(apt.state.environment), capture_output=True, check=True)
    return told.stdout.decode().split("\n\n")


def rows_of(suite: Sequence[str], chosen_by: str) -> list[Mapping[str, str]]:
    """Return the control fields of every package, or of every fourth one."""
    return list(paragraphs("\n\n".join(suite[::4] if chosen_by else suite), "apt-cache"))


def every_relation(rows: Iterable[Mapping[str, str]], fields: Sequence[str]) -> Iterator[Relation]:
    for row in rows:
        for field in fields:
            for group in relations(row.get(field, ""), row["package"]):
                yield from group


def kind_of(question: Question) -> tuple[object, ...]:
    """Return what the answer depends on: the operator, ours, the signs, and what stands where the versions part."""
    one, how, other, ours = question
    parted = next(((a, b) for a, b in zip_longest(one, other, fillvalue="") if a != b), ("", ""))
    sorts = [re.sub("[0-9]", "0", re.sub("[a-zA-Z]", "a", sign)) for sign in parted]
    return how, ours, one.translate(NO_DIGITS_OR_LETTERS), *sorts


def demand_dpkg_agrees(questions: Sequence[Question], chosen_by: str) -> None:
    """Ask dpkg; it takes one question at a time, so the loop runs in a shell."""
    assert len(questions) > 1_500
    asked = list({kind_of(question): question for question in questions}.values()) if chosen_by else questions
    assert len(asked) > 300
    text = "".join(f"{one} {how} {other}\n" for one, how, other, _ in asked)
    told = subprocess.run(["sh", "-c", ASKING], input=text.encode(), capture_output=True, check=True)
    codes = told.stdout.split()
    assert set(codes) <= {b"0", b"1"}, told.stderr[:400]  # 2: dpkg does not take it for a version
    assert [row for row, code in zip(asked, codes, strict=True) if row[3] != (code == b"0")] == []


@how_many
def test_all_versions_of_the_suite_are_in_dpkgs_order(suite: list[str], chosen_by: str) -> None:
    rows = rows_of(suite, chosen_by)
    texts = {row["version"] for row in rows}
    texts |= {one.version for one in every_relation(rows, (*NAMED, "provides")) if one.operator}
    ordered = sorted(map(DebianVersion.of, texts))
    neighbours = ((one, "lt" if one.rank < other.rank else "eq", other) for one, other in pairwise(ordered))
    demand_dpkg_agrees([(one.text, how, other.text, True) for one, how, other in neighbours], chosen_by)


@how_many
def test_all_relations_of_the_suite_allow_what_dpkg_allows(suite: list[str], chosen_by: str) -> None:
    rows = rows_of(suite, chosen_by)
    versions: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        versions[row["package"]].add(row["version"])
    for one in every_relation(rows, ["provides"]):
        versions[one.name] |= {one.version} if one.operator else set()
    asked = {one for one in every_relation(rows, NAMED) if one.operator}
    meetings = sorted(
        {
            (version, OPERATORS[str(one.operator)], one.version, one.allows(version))
            for one in asked
            for version in versions[one.name]
        }
    )
    demand_dpkg_agrees(meetings, chosen_by)


def fields_of(row: Mapping[str, str]) -> tuple[object, ...]:
    """Return the kind of a package: which fields it has, what signs its relations have, and its architecture."""
    related = {sign for field in NAMED for sign in row.get(field, "").translate(NO_DIGITS_OR_LETTERS)}
    return frozenset(row), frozenset(related), row.get("architecture")


@how_many
def test_every_package_of_the_suite_is_a_star_that_reads_back_as_it_is(suite: list[str], chosen_by: str) -> None:
    refused = []
    rows = rows_of(suite, chosen_by)
    rows = list({fields_of(row): row for row in rows}.values()) if chosen_by else rows
    assert len(rows) > 500
    for row in rows:
        record = AptRecord.of(row)
        try:
            star = manifest_of(record, "amd64", "")
        except Malformed as error:
            refused.append(str(error))
            continue
        assert (str(star.version), star.version.scheme) == (record.version, "debian")
        if len(star.needs) > 5:  # the larger ones; all of them take minutes
            assert Star.parse(tomli_w.dumps(star.to_toml()).encode(), record.name) == star
    assert [text for text in refused if "a package of another architecture" not in text] == []
