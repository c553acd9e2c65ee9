"""The archive in memory, which other tests use, answers as the real apt does: one conformance test for both."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.debian.apt import Apt, AptRecord
from cosmos.errors import NoSolution
from cosmos.model.names import Arch
from cosmos.stellar.import_deb import PackageArchive
from fakes.debs import FakeArchive, control_text, make_deb, make_local_archive
from fakes.reporters import Remembering

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "base-files": {"version": "12.4+deb12u12", "essential": "yes", "pre_depends": "awk"},
    "bash": {"version": "5.2.15-2+b8", "essential": "yes"},
    "gawk": {"version": "1:5.2.1-2", "provides": "awk"},
    "mawk": {"version": "1.3.4.20200120-3.1", "provides": "awk (= 1.3), other", "priority": "required"},
    "not-essential": {"version": "1.0-1", "essential": "no", "description": "Essential: yes"},
}
KINDS = ("fake", "apt")


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[str], PackageArchive]:
    def call(kind: str) -> PackageArchive:
        if kind == "fake":
            fake = FakeArchive()
            for name, about in PACKAGES.items():
                fake.add(name, {}, **about)
            return fake
        for program in ("apt-get", "gpg"):
            if shutil.which(program) is None:
                pytest.fail(f"{program} is needed: apt-get install apt gpg")
        debs = {f"{name}.deb": make_deb(control_text(name, **about), {}, suffix="") for name, about in PACKAGES.items()}
        host = make_local_archive(tmp_path / "host", debs, signed=True)
        state = tmp_path / "state"
        return Apt.at(
            state, Arch("x86_64"), environ=host.environ, now=1_800_000_000, offline=False, reporter=Remembering()
        )

    return call


def told(record: AptRecord) -> tuple[object, ...]:
    asked_for = ("pre-depends", "provides", "priority", "essential", "description")
    return (record.name, record.version, record.architecture, *(record.fields.get(name) for name in asked_for))


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_are_the_packages_of_those_names_and_no_others(
    opened: Callable[[str], PackageArchive], kind: str
) -> None:
    found = opened(kind).candidates(["gawk", "awk", "nothing", "base-files"])
    assert sorted(found) == ["base-files", "gawk"]
    assert told(found["base-files"]) == (
        "base-files",
        "12.4+deb12u12",
        "amd64",
        "awk",
        None,
        None,
        "yes",
        "the package base-files",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_providers_are_named_in_order_and_names_without_any_are_left_out(
    opened: Callable[[str], PackageArchive], kind: str
) -> None:
    archive = opened(kind)
    archive.candidates(["gawk"])
    assert archive.providers(["awk", "other", "gawk", "nothing"]) == {"awk": ("gawk", "mawk"), "other": ("mawk",)}


@pytest.mark.parametrize("kind", KINDS)
def test_essential_packages_are_those_that_say_so(opened: Callable[[str], PackageArchive], kind: str) -> None:
    assert opened(kind).essential() == ("base-files", "bash")


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_is_the_one_that_is_asked_for(opened: Callable[[str], PackageArchive], kind: str) -> None:
    archive = opened(kind)
    assert archive.record("gawk").version == "1:5.2.1-2"
    assert archive.record("gawk", "1:5.2.1-2").version == "1:5.2.1-2"
    for name, version in (("gawk", "5.2.1-2"), ("nothing", None)):
        with pytest.raises(NoSolution):
            archive.record(name, version)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_read_as_it_was_put_in(opened: Callable[[str], PackageArchive], kind: str) -> None:
    archive = opened(kind)
    record = archive.record("bash")
    archive.fetch([record])
    assert len(archive.read(record)) == record.size_bytes


@pytest.mark.slow  # starts the real apt
def test_a_closure_asks_apt_for_all_records_once_and_gets_those_that_it_would_get_one_by_one(
    opened: Callable[[str], PackageArchive], monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = opened("apt")
    names = [*PACKAGES, "awk", "nothing", "-n", "Package"]
    one_by_one = apt.candidates(names)
    assert sorted(one_by_one) == sorted(PACKAGES)
    apt.essential()
    monkeypatch.setattr(Apt, "_asked", None)  # no further question
    at_once = apt.candidates(names)
    assert at_once.keys() == one_by_one.keys()
    for name, record in one_by_one.items():
        fields = {key: value for key, value in record.fields.items() if key != "description-md5"}  # apt-cache adds it
        assert at_once[name] == replace(record, fields=fields)
