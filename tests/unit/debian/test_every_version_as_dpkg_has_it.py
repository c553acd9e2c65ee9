"""Every version and relation of a whole suite means here what it means to dpkg.

dpkg is asked about each pair of neighbours in our order of all versions: as its order is transitive, no version of the
suite is then out of place. It is also asked about each version that a relation of the suite meets.
"""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
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

Question: TypeAlias = tuple[str, str, str]  # version, operator of dpkg --compare-versions, version
NAMED: Final = ("pre-depends", "depends", "recommends", "suggests", "enhances", "conflicts", "breaks", "replaces")
OPERATORS: Final = {"<<": "lt", "<=": "le", "=": "eq", ">=": "ge", ">>": "gt"}
ASKING: Final = 'while read -r one how other; do dpkg --compare-versions "$one" "$how" "$other"; echo $?; done'
pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> list[Mapping[str, str]]:
    """Return the control fields of every package of the host's suite."""
    folder = tmp_path_factory.mktemp("apt")
    apt = Apt.at(folder, Arch("x86_64"), environ=os.environ, now=1e9, offline=False, reporter=Remembering())
    apt.ensure_lists()
    told = subprocess.run(["apt-cache", "dumpavail"], env=dict(apt.state.environment), capture_output=True, check=True)
    return list(paragraphs(told.stdout.decode(), "apt-cache"))


def every_relation(suite: Iterable[Mapping[str, str]], fields: Sequence[str]) -> Iterator[Relation]:
    for row in suite:
        for field in fields:
            for group in relations(row.get(field, ""), row["package"]):
                yield from group


def dpkg_agrees(questions: Sequence[Question]) -> list[bool]:
    """Return dpkg's answers; it takes one question at a time, so the loop runs in a shell."""
    text = "".join(f"{one} {how} {other}\n" for one, how, other in questions)
    told = subprocess.run(["sh", "-c", ASKING], input=text.encode(), capture_output=True, check=True)
    assert set(told.stdout.split()) <= {b"0", b"1"}, told.stderr[:400]  # 2: dpkg does not take it for a version
    return [code == b"0" for code in told.stdout.split()]


def test_all_versions_of_the_suite_are_in_dpkgs_order(suite: list[Mapping[str, str]]) -> None:
    texts = {row["version"] for row in suite}
    texts |= {one.version for one in every_relation(suite, (*NAMED, "provides")) if one.operator}
    ordered = sorted(map(DebianVersion.of, texts))
    questions = [(one.text, "lt" if one.rank < other.rank else "eq", other.text) for one, other in pairwise(ordered)]
    answers = dpkg_agrees(questions)
    assert len(answers) == len(ordered) - 1 > 10_000
    assert [question for question, answer in zip(questions, answers, strict=True) if not answer] == []


def test_all_relations_of_the_suite_allow_what_dpkg_allows(suite: list[Mapping[str, str]]) -> None:
    versions: dict[str, set[str]] = defaultdict(set)
    for row in suite:
        versions[row["package"]].add(row["version"])
    for one in every_relation(suite, ["provides"]):
        versions[one.name] |= {one.version} if one.operator else set()
    asked = {one for one in every_relation(suite, NAMED) if one.operator}
    meetings = sorted(
        {
            (version, OPERATORS[str(one.operator)], one.version, one.allows(version))
            for one in asked
            for version in versions[one.name]
        }
    )
    answers = dpkg_agrees([meeting[:3] for meeting in meetings])
    assert len(answers) == len(meetings) > 10_000
    wrong = [meeting for meeting, answer in zip(meetings, answers, strict=True) if meeting[3] != answer]
    assert wrong == []


def test_every_package_of_the_suite_is_a_star_that_reads_back_as_it_is(suite: list[Mapping[str, str]]) -> None:
    refused = []
    for row in suite:
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
