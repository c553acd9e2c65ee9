"""What a policy demands that others than a star's author say of it: its galaxy's log, and the badges of attesters.

An image's policy (image.policy) and a system's policy (device.vouching) are judged by this module alone. Proofs, badges
and the log are kept in the store once they were judged good. Offline, the kept ones are judged again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from cosmos.errors import Refused, together
from cosmos.model.reporter import Reporter
from cosmos.model.vouching import BadgeKind, Vouching
from cosmos.staging.ahead import fetching_ahead, files_beside
from cosmos.staging.beside import beside_path, keep_beside, read_beside
from cosmos.staging.logs import OpenLogs, Published, Remember
from cosmos.staging.source import Source
from cosmos.trust.badges import BADGES_SUFFIX, MAX_BADGES_BYTES, counted, judge_badges
from cosmos.trust.log import MAX_PROOF_BYTES, PROOF_SUFFIX
from cosmos.trust.roots import TrustRoots


class VouchingJudge:
    """Judges stars by a policy's demands, the pinned keys, and the machine's memory of logs (`OpenLogs`)."""

    def __init__(self, vouching: Vouching, roots: TrustRoots, remember: Remember, reporter: Reporter) -> None:
        self._vouching, self._roots, self._reporter = vouching, roots, reporter
        self._logs = OpenLogs(roots, remember, reporter)

    @property
    def demands_anything(self) -> bool:
        """Whether the policy demands a log or a badge."""
        return bool(self._vouching)

    def demand(self, stars: Iterable[Published]) -> None:
        """Raise `Refused` that names every star without the log entry or the badges that the policy demands."""
        published = tuple(stars)
        if self._vouching.log:
            self._reporter.step("find every star in its galaxy's log")
        self.demand_all_logged(published)
        for kind, least in self._vouching.badges.items():
            self._reporter.step(f"find {least} badges of the kind {kind} for every star")
            with self.expecting_badges(published):
                demand_each(published, partial(self._demand_badges, kind=kind, least=least))

    def demand_all_logged(self, stars: Sequence[Published]) -> None:
        """If the policy wants logs, raise as `demand_log`, or one error that names every star without a log entry."""
        if not self._vouching.log:
            return
        for source in {item.source.galaxy: item.source for item in stars}.values():
            self.demand_log(source)  # a log that was forked is named before its stars
        with _fetching_beside(stars, PROOF_SUFFIX, MAX_PROOF_BYTES):
            demand_each(stars, self.demand_logged)

    def expecting_badges(self, stars: Sequence[Published]) -> AbstractContextManager[None]:
        """Give a block in which the badges of these stars are going to be demanded once each, in this order."""
        wanted = stars if self._vouching.badges else ()
        return _fetching_beside(wanted, BADGES_SUFFIX, MAX_BADGES_BYTES)

    def demand_log(self, source: Source) -> None:
        """If the policy wants logs, raise `BadLog` for a galaxy whose log is missing, cut or forked."""
        if self._vouching.log:
            self._logs.open(source)

    def demand_logged(self, item: Published) -> None:
        """If the policy wants logs, raise `BadLog` or `BadProof` for a star that its galaxy's log does not have."""
        if self._vouching.log:
            self._logs.demand(item)

    def demand_badges(self, item: Published) -> None:
        """Raise `Refused` for a star without the badges that the policy wants."""
        for kind, least in self._vouching.badges.items():
            self._demand_badges(item, kind=kind, least=least)

    def _demand_badges(self, item: Published, *, kind: BadgeKind, least: int) -> None:
        path = beside_path(item.stem, BADGES_SUFFIX)
        data = read_beside(item.source, item.stem, BADGES_SUFFIX, MAX_BADGES_BYTES) or b""
        badges = judge_badges(data, digest=item.star.archive, roots=self._roots, source=path)
        got = len(counted(badges, kind))
        if got < least:
            raise Refused(
                item.star.id,
                f"policy.badges wants {least} pinned attesters to say that its {kind} passed, got {got or 'none'} "
                f"of {len(badges)} badges",
                hint="to see each badge: cosmos show STAR; to make one: stellar attest",
            )
        keep_beside(item.source, item.stem, BADGES_SUFFIX, data)


def _fetching_beside(stars: Sequence[Published], suffix: str, most: int) -> AbstractContextManager[None]:
    return fetching_ahead((item.source, files_beside(item.source, item.stem, suffix, most)) for item in stars)


def demand_each(items: Iterable[Published], demand: Callable[[Published], None]) -> None:
    """Call `demand` with every item, and raise all refusals together."""
    refused: list[Refused] = []
    for item in items:
        try:
            demand(item)
        except Refused as error:
            refused.append(error)
    if refused:
        raise together(refused)
