"""`[policy]` of image.toml, judged in one place: everything that the operator demands or waives.

    before any work
      signed-lock = true                a threshold of release keys must have signed the lock
      unsigned-release = true           a signed release may contain unsigned stars
    for every verified star
      log = true                        it is in its galaxy's log, and the log continues the remembered one
      badges = { test = 2 }             two pinned attesters say that the test of its archive passed
    for the layers that the stars' scripts made
      setuid, run, setcap, mknod, chown, outside      which star may do what (staging.powers)
      unsteady = ["fontconfig"]         whose programs may give another result each time (staging.twice)
    for the finished tree
      size-budget-bytes = 100000000     the largest total size of its files
    waive                             which rules of the ship guard do not count for it (release.lint)

`owners` says which star wins a path. It is a rule of the tree itself (tree.overlay).

A name or a path that matches nothing is a warning: the lock may lose a star today that it has again tomorrow.

Without `signed-lock`, a lock needs no signature. If it has one, the signature must be over the exact bytes of the lock.
Proofs and badges are kept in the store once they were judged good. Offline, the kept ones are judged again.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from cosmos.errors import Malformed, NoSolution, Refused, quoted
from cosmos.globs import unused
from cosmos.image.definition import Definition
from cosmos.image.outputs.initramfs import Initramfs
from cosmos.image.template_folder import IMAGE_FILE
from cosmos.image.workshop.layers import Layers, StarLayer
from cosmos.image.world import World
from cosmos.limits import MAX_SIGNED_BYTES
from cosmos.model.image import Policy
from cosmos.model.lock import Lock
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter
from cosmos.nearest import nearest
from cosmos.release.lint.rules import RULES, is_rule
from cosmos.staging.acquire import Acquired
from cosmos.staging.powers import Consent, OpenFolders, demand_none, overreaches
from cosmos.staging.vouching import VouchingJudge
from cosmos.tree.overlay import Overlaid, PathMap
from cosmos.treepath import ROOT, TreePath
from cosmos.trust.keys import PublicKey
from cosmos.trust.payloads import Demand, verify_beside
from cosmos.trust.roles import LOCK_TYPE
from cosmos.trust.roots import TrustRoots


def demand_signed_lock(definition: Definition, world: World, data: bytes, envelope: bytes | None) -> None:
    """Judge the signature beside the lock with the bytes `data`. Raises `BadEnvelope` or `NotSigned`."""
    demanded = definition.image.policy.signed_lock
    if envelope is None and not demanded:
        return
    roots = world.roots(signed=demanded)
    demand = Demand(
        payload_type=LOCK_TYPE,
        keys=roots.keys("release"),
        threshold=roots.threshold("release"),
        hint=f"image.toml demands a signed lock: cosmos freeze {quoted(definition.folder)} --sign RELEASE.key",
        allow_unsigned=not demanded,
        max_bytes=MAX_SIGNED_BYTES,
        revoked=roots.revoked_keys("release"),
    )
    verify_beside(data, envelope, demand, str(definition.lock_file))


def demand_known_rules(definition: Definition) -> None:
    """Raise `Malformed` if a waiver names a rule that the ship guard does not have."""
    for rule in definition.image.policy.waivers:
        if not is_rule(rule):
            near = nearest(rule, [one.id for one in RULES])
            meant = f"; did you mean {near[0]}?" if near else ""
            problem = f"policy.waive.{rule}: there is no such rule{meant}"
            raise Malformed(str(definition.file), problem, hint="docs/lint.md lists them")


def demand_signable(definition: Definition, signers: Mapping[StarName, tuple[str, ...]]) -> None:
    """Raise `Refused` if a release may not be signed, because it contains unsigned stars; `signers` are those of each.

    It is asked twice: before any work with the signers that the lock names, and then with the verified ones.
    """
    unsigned = [name for name, keys in signers.items() if not keys]
    if unsigned and not definition.image.policy.unsigned_release:
        raise Refused(
            str(definition.file),
            f"nobody signed {', '.join(unsigned)}, so the release cannot be signed",
            hint=f"sign these stars, or write under [policy] in {IMAGE_FILE}: unsigned-release = true",
        )


def demand_good_key(key: PublicKey, roots: TrustRoots) -> None:
    """Raise `Refused` if the release key `key` was revoked: who knows that accepts no release that it signs."""
    for revoked, row in roots.revoked_keys("release"):
        if revoked.raw == key.raw and roots.is_revoked(key):
            said = f"was {row}, so who has this trust.toml accepts no release that it signs"
            raise Refused(f"release key {key.name}", said, hint="sign with another release key of: cosmos trust show")


def report_strangers(definition: Definition, lock: Lock, reporter: Reporter) -> None:
    """Warn of every star in `[policy]` that the lock does not have: most often its name is misspelt."""
    there, policy = sorted(str(star.name) for star in lock.stars), definition.image.policy
    named: list[tuple[str, StarName]] = []
    for power, names in policy.powers.named.items():
        named += [(power, name) for name in names]
    named += [("unsteady", name) for name in policy.unsteady]
    named += [(f'owners."{path.text}"', name) for path, name in policy.owners.items()]
    for key, name in named:
        if name not in there:
            near = nearest(name, there)
            meant = f"; did you mean {near[0]}?" if near else ""
            reporter.warn(f"{definition.file}: policy.{key} names {name}, but the lock has no such star{meant}")


def report_unmatched(definition: Definition, tree: Overlaid, reporter: Reporter) -> None:
    """Warn of every path in `[policy] owners`, and every glob of an output's `exclude`, that the tree does not have."""
    for path in definition.image.policy.owners:
        if path not in tree.lines:
            reporter.warn(f"{definition.file}: policy.owners names {path.text}, but no star brings it")
    for place, output in enumerate(definition.outputs):
        for glob in unused(output.exclude, tree.lines) if isinstance(output, Initramfs) else ():
            reporter.warn(f"{definition.file}: output[{place}].exclude: {glob} matches no path of the image")


def consent_of(policy: Policy, paths: PathMap, *, safe: bool) -> Consent:
    """Return what the operator allows each star. With `safe`, no script runs programs, even if the policy allows it."""
    return Consent(powers=policy.powers, file=IMAGE_FILE, folders=OpenFolders.below(ROOT, paths.mapped), safe=safe)


def demand_powers(consent: Consent, layers: Layers) -> None:
    """Raise `ScriptFailed` that names, all at once, everything that stars do and the policy does not allow."""
    demand_none(
        consent, [row for star, one in layers.items() for row in overreaches(consent, star, one.lines, one.receipt)]
    )


def report_unsteady(layers: Layers, unsteady: Container[StarName], reporter: Reporter) -> None:
    """Warn of every star whose programs may give another result each time: two builds may differ in it."""
    for name, layer in layers.items():
        if name in unsteady and layer.ran_programs:
            reporter.warn(f"{name}: its programs may give another result each time, and policy.unsteady allows that")


def demand_budget(definition: Definition, tree: Overlaid, layers: Layers) -> None:
    """Raise `NoSolution` if the files of the finished tree exceed the size budget together."""
    budget, size = definition.image.policy.size_budget_bytes, sum(line.size for line in tree.lines.values())
    if budget is not None and size > budget:
        raise _over_budget(definition, f"have {size} bytes", budget, layers)


def _over_budget(definition: Definition, size: str, budget: int, layers: Layers) -> NoSolution:
    biggest = sorted(layers, key=lambda name: -sum(line.size for line in layers[name].lines))[:3]
    return NoSolution(
        str(definition.file),
        f"the image's files {size}, but policy.size-budget-bytes is {budget}",
        hint=f"leave out a star, or raise the budget; the biggest stars are {', '.join(biggest)}",
    )


class StagingBudget:
    """The size budget, judged while stars are staged: a build that must fail stops before it has unpacked them all.

    It counts each path once, at the smallest size that a star gives it, and no path that `owners` decides. A finish
    script may replace any file by a smaller one, so an image with a finish script is only judged when it is complete.
    """

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._layers: dict[StarName, StarLayer] = {}
        self._sizes: dict[TreePath, int] = {}
        self._total = 0

    def judge(self, more: Layers) -> None:
        """Raise `NoSolution` if the files of all layers so far exceed the budget, whatever the others hold."""
        policy = self._definition.image.policy
        budget = policy.size_budget_bytes
        if budget is None or self._definition.image.finish:
            return
        self._layers |= more
        for layer in more.values():
            for line in layer.lines:
                before = self._sizes.get(line.path)
                size = line.size if before is None else min(before, line.size)
                if line.path not in policy.owners:
                    self._total += size - (before or 0)
                    self._sizes[line.path] = size
        if self._total > budget:
            raise _over_budget(self._definition, f"have at least {self._total} bytes", budget, self._layers)


def demand_vouched(policy: Policy, acquired: Mapping[StarName, Acquired], world: World) -> None:
    """Raise `Refused` that names every star without the log entry or the badges that the policy demands."""
    if policy.vouching:
        judge = VouchingJudge(policy.vouching, world.pinned, world.remember, world.reporter)
        judge.demand(item.published for item in acquired.values())
