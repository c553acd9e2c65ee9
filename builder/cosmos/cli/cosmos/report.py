"""`cosmos report`: write one page about a release, for people."""

from __future__ import annotations

from pathlib import Path

import click

from cosmos.cli.cosmos.page_file import beside
from cosmos.cli.cosmos.report_words import changes_of
from cosmos.cli.options import FILE, PUBLIC_KEY, RELEASE, json_option
from cosmos.cli.progress import reporting_options
from cosmos.cli.terminal import answer, surroundings
from cosmos.cli.trust_words import shown_public_key
from cosmos.durable import write_durably
from cosmos.errors import Malformed, quoted
from cosmos.model.reporter import Reporter
from cosmos.release.bill import release_folder
from cosmos.release.diff.comparison import compare
from cosmos.release.report.changes import Changes
from cosmos.release.report.facts import Facts
from cosmos.release.report.from_folder import demand_files, facts_of, read_release
from cosmos.release.report.page import page, page_name
from cosmos.release.verify import verify_release_folder
from cosmos.trust.releases import ReleaseKeys


@click.command()
@click.argument("release", type=RELEASE)
@click.option("-o", "--output", type=FILE, help="The page's file [default: ./NAME-VERSION-report.html].")
@click.option("--against", type=RELEASE, metavar="OLD", help="Also say what is new since the release OLD.")
@click.option("--key", "key_files", type=PUBLIC_KEY, multiple=True, help="Also check the signature with this key.")
@reporting_options
@json_option
def report(
    release: Path, output: Path | None, against: Path | None, key_files: tuple[Path, ...], as_json: bool
) -> None:
    """Write one HTML page about RELEASE: what is in it, why, how big, who signed it, and what changed.

    The page needs no network, no script and no other file. It names the files of the release, and links to them if it
    lies above the release's folder, such as images/NAME/report.html. It may not lie inside: that would be a file that
    nobody signed. Each file is compared with RELEASE.json first (exit 7). Without --key, no signature is checked, and
    the page says so.
    """
    reporter = surroundings().reporter(quiet=as_json)
    folder = _folder(release)
    keys = tuple(shown_public_key(file) for file in key_files)
    verdict = verify_release_folder(folder, ReleaseKeys(keys=keys), reporter=reporter) if keys else None
    facts = facts_of(folder, verdict, reporter)
    changes = None if against is None else _changes(_folder(against), folder, facts, reporter)
    file = output or Path(page_name(facts))
    links = beside(file, folder, f"cosmos report {quoted(release)} -o")
    data = page(facts, changes=changes, beside=links)
    write_durably(file, data)
    answer({"report": str(file), "size-bytes": len(data)}, as_json, f"{file}: {len(data):,} bytes")


def _folder(place: Path) -> Path:
    found = release_folder(place)
    if found is None:
        raise Malformed(str(place), "is no release", hint="to make one: cosmos build IMAGE")
    return found


def _changes(old: Path, folder: Path, facts: Facts, reporter: Reporter) -> Changes:
    before = read_release(old)
    demand_files(old, before, reporter)
    return changes_of(compare(old, folder, frozenset()), before, facts.release)
