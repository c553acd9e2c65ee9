"""What a star needs the operator's word for, by what would be laid and by its receipt."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from cosmos.canon import Json
from cosmos.errors import ScriptFailed
from cosmos.model.names import StarName
from cosmos.model.powers import Power, Powers
from cosmos.staging.powers import Consent, Laid, OpenFolders, demand_none, overreaches
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import ROOT, TreePath

STAR = StarName("tool")
RAN: Json = {"events": [{"do": "log", "text": "x"}, {"do": "run", "words": ["sh"]}]}


def consent(*powers: Power, safe: bool = False) -> Consent:
    folders = OpenFolders.below(ROOT, lambda path: path)
    return Consent(powers=Powers(named=dict.fromkeys(powers, (STAR,))), file="FILE", folders=folders, safe=safe)


def demand_consent(given: Consent, star: StarName, laid: Iterable[Laid], receipt: Json) -> None:
    demand_none(given, overreaches(given, star, laid, receipt))


def line(path: str, kind: str = "file", mode: int = 0o644, **fields: object) -> ManifestLine:
    return ManifestLine.of(Entry(**{"path": TreePath.parse(path), "kind": kind, "mode": mode, **fields}))


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_a_file_that_runs_with_rights_of_others_needs_setuid(mode: int) -> None:
    demand_consent(consent("setuid"), STAR, [line("usr/x", mode=mode)], None)
    with pytest.raises(ScriptFailed, match=f"{mode:04o}") as caught:
        demand_consent(consent(), STAR, [line("usr/x", mode=mode)], None)
    assert caught.value.hint == 'if it may, write under [policy] in FILE:\nsetuid = ["tool"]'


@pytest.mark.parametrize("owner", [{"uid": 1}, {"gid": 1}])
def test_a_user_and_a_group_besides_root_need_chown(owner: dict[str, int]) -> None:
    demand_consent(consent("chown"), STAR, [line("usr/x", **owner)], None)
    with pytest.raises(ScriptFailed, match="belongs to"):
        demand_consent(consent(), STAR, [line("usr/x", **owner)], None)


@pytest.mark.parametrize(("kind", "mode"), [("file", 0o666), ("dir", 0o777), ("dir", 0o2777), ("fifo", 0o622)])
def test_what_everybody_may_write_to_needs_chown(kind: str, mode: int) -> None:
    demand_consent(consent("chown"), STAR, [line("usr/x", kind, mode)], None)
    with pytest.raises(ScriptFailed, match=rf"/usr/x may be written by everybody \({mode:04o}\)"):
        demand_consent(consent(), STAR, [line("usr/x", kind, mode)], None)
    demand_consent(consent(), STAR, [line("usr/l", "symlink", 0o777, target=b"x")], None)


@pytest.mark.parametrize("path", ["etc/profile.d", "usr/x", "bin/x"])
def test_a_folder_for_everybody_in_usr_and_etc_needs_chown_although_it_is_sticky(path: str) -> None:
    demand_consent(consent("chown"), STAR, [line(path, "dir", 0o1777)], None)
    with pytest.raises(ScriptFailed, match=rf"/{path} may be written by everybody \(1777\)"):
        demand_consent(consent("outside"), STAR, [line(path, "dir", 0o1777)], None)


def test_a_folder_like_tmp_needs_outside_alone() -> None:
    demand_consent(consent("outside"), STAR, [line("tmp", "dir", 0o1777)], None)
    with pytest.raises(ScriptFailed, match="/tmp lies outside /usr and /etc"):
        demand_consent(consent("chown"), STAR, [line("tmp", "dir", 0o1777)], None)


def test_a_layer_whose_receipt_says_that_it_ran_programs_needs_run() -> None:
    demand_consent(consent("run"), STAR, [], RAN)
    with pytest.raises(ScriptFailed, match="its script runs a program"):
        demand_consent(consent(), STAR, [], RAN)
    with pytest.raises(ScriptFailed, match="its script runs a program") as caught:
        demand_consent(consent("run", safe=True), STAR, [], RAN)
    assert caught.value.hint == "--safe refuses run(), whatever the policy says"


@pytest.mark.parametrize("name", [b"system.posix_acl_access", b"trusted.overlay.redirect", b"security.ima"])
def test_an_attribute_that_the_kernel_acts_on_needs_setcap(name: bytes) -> None:
    lines = [line("usr/x", xattrs=((name, b"x"), (b"user.note", b"x")))]
    demand_consent(consent("setcap"), STAR, lines, None)
    with pytest.raises(ScriptFailed, match=f"/usr/x has the attribute {name.decode()}"):
        demand_consent(consent(), STAR, lines, None)
    demand_consent(consent(), STAR, [line("usr/x", xattrs=((b"user.note", b"x"),))], None)


@pytest.mark.parametrize(("path", "kind", "mode"), [
    ("etc/cosmos/config.toml", "file", 0o644), ("etc/cosmos/trust.toml", "symlink", 0o777),
    ("etc/cosmos", "symlink", 0o777), ("etc/cosmos", "dir", 0o700),
])  # fmt: skip
def test_what_the_operator_sets_is_laid_by_no_star(path: str, kind: str, mode: int) -> None:
    lines = [
        line("etc/cosmos", "dir", 0o755),
        line("etc/cosmos-tool/x"),
        line(path, kind, mode, target=b"x" * (kind == "symlink")),
    ]
    demand_consent(consent("outside"), STAR, lines, None)
    with pytest.raises(ScriptFailed, match=f"/{path} may be written by the operator alone"):
        demand_consent(consent(), STAR, lines, None)
    demand_consent(consent(), STAR, lines[:2], None)


def test_plain_folders_are_nobodys_business() -> None:
    demand_consent(consent(), STAR, [line("opt", "dir", 0o755), line("opt/x", "dir", 0o755)], None)
    with pytest.raises(ScriptFailed, match="/opt/x lies outside /usr and /etc"):
        demand_consent(consent(), STAR, [line("opt", "dir", 0o755), line("opt/x", "dir", 0o1777)], None)


def test_an_ordinary_star_needs_nothing() -> None:
    lines = [line("usr", "dir", 0o755), line("usr/bin/x", mode=0o755), line("etc/x"), line("bin/x", "symlink", 0o777)]
    demand_consent(consent(), STAR, lines, {"events": [{"do": "write", "path": "etc/x"}]})


def test_what_all_stars_need_is_told_together_with_the_lines_that_allow_it() -> None:
    given = consent("setuid")
    found = [
        *overreaches(given, StarName("su"), [line("usr/su", mode=0o4755), line("usr/sg", mode=0o2755)], None),
        *overreaches(given, StarName("base"), [line("opt/a"), line("usr/b", uid=7)], None),
    ]
    with pytest.raises(ScriptFailed) as caught:
        demand_none(given, found)
    assert str(caught.value) == (
        "2 stars: su: /usr/su runs with its owner's or group's rights (4755) (and 1 more of the kind); "
        "base: /opt/a lies outside /usr and /etc; base: /usr/b belongs to 7:0, "
        "and the operator's policy does not allow that"
    )
    assert caught.value.hint == (
        'if they may, write under [policy] in FILE:\nsetuid = ["tool", "su"]\noutside = ["base"]\nchown = ["base"]'
    )
