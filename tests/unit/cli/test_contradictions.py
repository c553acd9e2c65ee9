"""Options that contradict each other, or lack one another: exit 2 before anything is read, with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.programs import Cosmos

CONTRADICTIONS = {
    "apply d.delta -o new": "name the old release, one way: --from OLD, --from-any DIR or --from-root ROOT",
    "apply d.delta -o new --from there --from-any there": "name the old release, one way",
    "apply d.delta -o new --from there --from-root there": "name the old release, one way",
    "apply d.delta -o new --from there --home there --root there": "--home and --root exclude each other",
    "delta there": "name two releases: OLD and NEW",
    "delta there there --simulate -o file": "--simulate writes nothing: leave -o and --key out",
    "delta there there --simulate --key d.delta": "--simulate writes nothing: leave -o and --key out",
    "delta there there --simulate --whole base": "--simulate is of a plain delta: leave --whole and --installed out",
    "delta there there there -o file": "a delta has one OLD: make one for each, or compare them with --simulate",
    "delta there there": "name the file to write: -o FILE",
    "delta there there -o file": "a delta is signed like a release: --key RELEASE.key",
    "dev there there --watch --json": "--watch is not for --json",
    "diff there there --md --json": "--md and --json exclude each other",
    "freeze --check": "--check, --upgrade, --as-of, --trust-stat and --sign belong to an IMAGE",
    "freeze --upgrade base": "--check, --upgrade, --as-of, --trust-stat and --sign belong to an IMAGE",
    "freeze there --check --upgrade base": "--check changes nothing, and --upgrade would: give one of them",
    "freeze there --root there": "name an IMAGE, or a system with --root and --image, not both",
    "new": "missing argument 'NAME', the new folder; or --list",
    "repair --universe --root there base": "with --universe, leave out STAR, --configuration and --dry-run",
    "repair --universe --root there --dry-run": "with --universe, leave out STAR, --configuration and --dry-run",
    "show there --effective --receipt": "--effective shows an image, and --receipt, --script and --files a star",
    "show there --effective --files": "--effective shows an image, and --receipt, --script and --files a star",
    "sync No! --root there": "GALAXY: want",
    "verify --quorum 2": "--quorum belongs to a release: name its folder",
    "verify there --root there": "name a release or a --root, not both",
    "verify there --recorded": "--trust, --recorded and --from belong to a system: leave the release out",
    "verify there --trust": "--trust, --recorded and --from belong to a system: leave the release out",
    "verify --recorded --from there --root there": "--recorded reads nothing signed: leave --from or --recorded out",
    "build there --key there/file --unsigned-release": "--unsigned-release and --key exclude each other",
}


@pytest.mark.parametrize("words", CONTRADICTIONS)
def test_words_that_contradict_each_other_are_refused_with_the_way_out(
    words: str, cosmos: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").touch()
    (tmp_path / "d.delta").touch()
    monkeypatch.chdir(tmp_path)
    told = cosmos(*words.split()).fails(2)
    command = words.split()[0]
    assert CONTRADICTIONS[words] in told.err
    assert f"cosmos: hint: cosmos {command} --help" in told.err
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["d.delta", "file", "there"]


MISNAMED = {
    "galaxy-init new --name No!": "the galaxy's name: want letters, digits",
    "new-star No!": "the star's name: want letters, digits",
    "build-star there --key there/file": "--key: signs the star's statement, which belongs to a galaxy",
    "show there/file": "there/file: want an archive whose name ends in .tar.zst or .tar.gz",
    "import-deb hello --galaxy there --arch No!": "--arch: want",
    "lint there/file": "there/file: want a source folder, or an archive whose name ends in .tar.zst or .tar.gz",
}


@pytest.mark.parametrize("words", MISNAMED)
def test_what_stellar_cannot_take_is_named_and_nothing_is_made(
    words: str, stellar: Cosmos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").touch()
    monkeypatch.chdir(tmp_path)
    told = stellar(*words.split()).fails(2)
    assert MISNAMED[words] in told.err
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["file", "there"]
