"""One star's layer, and the rule that says when a kept layer is used again.

Two things decide what a star's layer contains. One is its *shape*: its archive, its script, the epoch, the merged
folders, whether it may run programs (and whether these must give the same result twice), and this program's own code.
The other is what its script read in the layers of its dependencies: the reads of its receipt. The store keeps

    by shape                    the keys of the layers with this shape, the newest first
    by shape and reads          a layer: its manifest and its receipt
    … and level, zstd version   the record of its packed frame (`PackedLayer.record`); the frame is a blob

A layer is used again exactly when every recorded read still gives the same result, and the store has its frame. Other
changes in its dependencies do not matter.

Workers put frames alone into the store. They hand records to the builder, who keeps them (`keep`): one batch of many
records costs less than a file for each.

The store is sealed (`store.sealed`). A record that this home did not write is not believed, and a damaged frame is
not used: each is named in a warning, and the layer is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Final, TypeAlias

from cosmos.canon import Json, canonical_json, digest_of
from cosmos.digest import Digest
from cosmos.errors import Malformed, ScriptFailed
from cosmos.image.workshop.frames import Frames, made_again
from cosmos.image.workshop.unread import entry_without_bytes
from cosmos.limits import MAX_LAYER_RECORD_BYTES, MAX_LAYERS_OF_A_SHAPE, MAX_RUN_SECONDS, demand_within
from cosmos.model.names import StarName
from cosmos.nova.indexed_tree import IndexedTree
from cosmos.nova.job import ProgramRunner, Stopped
from cosmos.nova.receipt import Receipt
from cosmos.pack.image_file import LAYER_FORMAT, PackedLayer, members_in_order, pack_layer
from cosmos.records import dataclass
from cosmos.resolve.all_dependencies import all_dependencies
from cosmos.sandbox.bubble import Bubble, star_tools, tools_digest
from cosmos.sandbox.circumstances import SECOND
from cosmos.staging.acquire import Acquired
from cosmos.staging.powers import Consent
from cosmos.staging.stage import StagedStar, StagingInputs, stage_star
from cosmos.staging.twice import Unsteady, staged_twice
from cosmos.store.interface import Store
from cosmos.store.sealed import NotSealed
from cosmos.tables import Table
from cosmos.tree.entry import Entry, Tree
from cosmos.tree.manifest import ManifestLine, manifest, parse_manifest
from cosmos.tree.overlay import PathMap
from cosmos.treepath import TreePath

_TWICE: Final = 2
_NEVER_MADE: Final = "this program has not made one of this archive, script and image definition yet"
_NOT_THE_SAME: Final = "a program of run() that gives something else each time belongs into build()"


@dataclass(frozen=True, kw_only=True)
class StarLayer:
    """One star's layer: its manifest and its receipt. `Workshop.packed` returns its frame from the store.

    `times` are the entries' times of change, one for each of `lines`.
    """

    key: Digest
    lines: tuple[ManifestLine, ...]
    times: tuple[int, ...]
    receipt: Json

    @cached_property
    def entries(self) -> Mapping[TreePath, Entry]:
        """The layer's entries without the files' bytes (`UNREAD`)."""
        return {line.path: entry_without_bytes(line) for line in self.lines}

    @property
    def ran_programs(self) -> bool:
        """Whether its script ran a program."""
        return self.receipt is not None and _receipt(self.receipt, f"layer {self.key.short}").ran_programs


Layers: TypeAlias = Mapping[StarName, StarLayer]
Look: TypeAlias = Callable[[str, Digest, Iterable[Entry]], tuple[Digest, bytes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A layer that a worker made: its key and its record, and the key and the record of its packed frame.

    `look` are the key and the record of what the lint saw in it, if the workshop looks.
    """

    key: Digest
    record: bytes
    frame_key: Digest
    frame_record: bytes
    look: tuple[Digest, bytes] | None = None


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Everything that staging the stars of one image needs; the same in every worker.

    `identity` identifies this program's code. `consent` says what the operator allows each star, and so which scripts
    may run programs. A layer that programs made was made twice (`staging.twice`), but for the stars in `unsteady`. The
    argument `layers` of the methods has at least the layers that the star's script may see. `warn` gets a sentence
    about each record that this home did not write. `look` gets each layer that was made: its star's id, its frame's
    digest and its entries. `at_failure` is called where a script stopped, with its sandbox.
    """

    store: Store
    warn: Callable[[str], None]
    acquired: Mapping[StarName, Acquired]
    epoch: int
    paths: PathMap
    level: int
    identity: str
    consent: Consent
    unsteady: frozenset[StarName] = frozenset()
    look: Look | None = None
    at_failure: Callable[[Stopped, Bubble], None] | None = None

    def seen_by(self, name: StarName) -> tuple[StarName, ...]:
        """Return the stars whose layers the script of `name` may see, in lock order.

        These are its dependencies, direct or not, that come before it in the lock. In a circle, some come after it.
        """
        if not self.acquired[name].star.script:
            return ()
        if name not in self._seen:
            places, below = self._places, all_dependencies(self._needs[name], self._needs)
            before = (star for star in below if places.get(star, len(places)) < places[name])
            self._seen[name] = tuple(sorted(before, key=places.__getitem__))
        return self._seen[name]

    def find(self, name: StarName, layers: Layers) -> StarLayer | str:
        """Return a layer from the store whose reads all still hold, or a sentence: why a new layer is needed."""
        shape = self._shape(name)
        if not self.acquired[name].star.script:
            layer = self._trusted(name, _layer_key(shape, None))
            return _NEVER_MADE if layer is None else self._with_frame(name, layer)
        self._found[name] = keys = self._made_of(name, shape)
        if not keys:
            return _NEVER_MADE
        lower, why = IndexedTree(self._below(name, layers), self.epoch), _NEVER_MADE
        tools = self._tools_digest(name, layers) if self.consent.gives(name, "run") else None
        for key in keys:
            layer = self._trusted(name, key)
            if layer is None:
                continue
            changed = _receipt(layer.receipt, f"the store's record of layer {key.short}").changed(lower, tools)
            if changed is None:
                return self._with_frame(name, layer)
            why = changed if why == _NEVER_MADE else why  # the newest layer's: what has changed since
        return why

    def _with_frame(self, name: StarName, layer: StarLayer) -> StarLayer | str:
        """Return the layer if its frame is there. Else the workers make both; `packed` makes one after the other.

        What programs made is left to `packed`, which refuses it if it cannot be made again as it was.
        """
        if self._frames.has(name, self._frames.key(layer.key)) or layer.ran_programs:
            return layer
        return f"the store does not have it packed at level {self.level}"

    def load(self, key: Digest) -> StarLayer | None:
        """Return the layer that the store remembers for `key`. Raises `NotSealed`."""
        record = self.store.get_result(key)
        return None if record is None else self._read(key, record)

    def _read(self, key: Digest, record: bytes) -> StarLayer:
        table = Table.from_json(record, f"the store's record of layer {key.short}", max_bytes=MAX_LAYER_RECORD_BYTES)
        lines = parse_manifest(table.need("manifest", str).encode(), table.source)
        times = table.parsed_strings("times", int)
        if len(times) != len(lines):
            table.fail("times", f"want {len(lines)}, one for each line of the manifest, got {len(times)}")
        return StarLayer(key=key, lines=lines, times=times, receipt=_json(table.value("receipt")))

    def packed(self, name: StarName, layers: Layers, dropped: frozenset[TreePath]) -> PackedLayer:
        """Return the packed frame of a layer without the paths in `dropped`. Makes the frame if the store has none.

        Raises `ScriptFailed` if the star's script makes something else than the first time.
        """
        layer = layers[name]
        key = self._frames.key(layer.key, dropped)
        kept = self._frames.get(name, key)
        if kept is not None:
            return kept
        entries = self._staged(name, layers).entries
        if tuple(map(ManifestLine.of, entries.values())) != layer.lines:
            raise ScriptFailed(str(name), "its script made something else than the first time", hint=_NOT_THE_SAME)
        packed = self._pack(name, entries, dropped)
        self._frames.put(key, packed)
        return packed

    def make(self, name: StarName, layers: Layers) -> Made:
        """Stage one star, put its frame into the store, and return the records for `keep`.

        Others find the frame once the store is settled.
        """
        staged, shape = self._steady(name, layers), self._shape(name)
        key = _layer_key(shape, staged.receipt)
        packed = self._pack(name, staged.entries, frozenset())
        self.store.put_hashed_soon(packed.digest, packed.frame)
        times = [str(staged.entries[path].mtime) for path in sorted(staged.entries)]  # in the order of the manifest
        text = manifest(map(ManifestLine.of, staged.entries.values())).decode()
        record: Json = {"manifest": text, "times": [*times], "receipt": staged.receipt_in_json}
        data = canonical_json(record)
        demand_within(len(data), MAX_LAYER_RECORD_BYTES, str(name), hint="split the star")
        frame_key, look = self._frames.key(key), None
        if self.look is not None:
            kept = (entry for entry in staged.entries.values() if entry.kind != "dir")
            look = self.look(self.acquired[name].star.id, packed.digest, members_in_order(kept))
        return Made(key=key, record=data, frame_key=frame_key, frame_record=packed.record(), look=look)

    def keep(self, name: StarName, made: Made) -> StarLayer:
        """Keep the records of a layer that a worker made, durably once the store is settled, and return the layer."""
        self.store.put_result_soon(made.frame_key, made.frame_record)
        self.store.put_result_soon(made.key, made.record)
        if made.look is not None:
            self.store.put_result_soon(*made.look)
        if self.acquired[name].star.script:
            shape = self._shape(name)
            found = self._found.pop(name, None)  # by `find`, a moment ago
            others = [other for other in (self._made_of(name, shape) if found is None else found) if other != made.key]
            known = [str(one) for one in (made.key, *others)][:MAX_LAYERS_OF_A_SHAPE]
            self.store.put_result_soon(shape, canonical_json({"layers": [*known]}))
        return self._read(made.key, made.record)

    @cached_property
    def _frames(self) -> Frames:
        return Frames(store=self.store, level=self.level, warn=self.warn)

    @cached_property
    def _needs(self) -> Mapping[StarName, tuple[StarName, ...]]:
        return {star: item.star.dependencies for star, item in self.acquired.items()}

    @cached_property
    def _links(self) -> dict[str, Json]:
        return {top.decode(): folder.text for top, folder in self.paths.links.items()}

    @cached_property
    def _places(self) -> Mapping[StarName, int]:
        return {star: place for place, star in enumerate(self.acquired)}

    @cached_property
    def _seen(self) -> dict[StarName, tuple[StarName, ...]]:
        return {}

    @cached_property
    def _found(self) -> dict[StarName, tuple[Digest, ...]]:
        """The keys of the layers of a star's shape that `find` saw, until `keep` adds one."""
        return {}

    @cached_property
    def _shapes(self) -> dict[StarName, Digest]:
        return {}

    def remade(self, name: StarName, layers: Layers) -> tuple[StarLayer, PackedLayer]:
        """Stage and pack one star as `make` does, and write nothing into the store."""
        staged = self._steady(name, layers)
        kept = [entry for entry in staged.entries.values() if entry.kind != "dir"]
        packed = pack_layer(self.acquired[name].star.id, kept, self.level, self.store.spool())
        return self._layer(name, staged), packed

    def _layer(self, name: StarName, staged: StagedStar) -> StarLayer:
        entries = sorted(staged.entries.values(), key=lambda entry: entry.path)  # as a manifest has them
        return StarLayer(
            key=_layer_key(self._shape(name), staged.receipt),
            lines=tuple(map(ManifestLine.of, entries)),
            times=tuple(entry.mtime for entry in entries),
            receipt=staged.receipt_in_json,
        )

    def _shape(self, name: StarName) -> Digest:
        """Return the digest of everything that shapes a layer, except the layers that the star's script reads."""
        if name in self._shapes:
            return self._shapes[name]
        acquired = self.acquired[name]
        star = acquired.star
        self._shapes[name] = shape = digest_of(
            {
                "what": "shape",
                "format": LAYER_FORMAT,
                "program": self.identity,
                "star": star.id,
                "archive": str(star.archive),
                "script": [acquired.statement.statement.star.install_script, str(star.script or "")],
                "epoch": self.epoch,
                "links": self._links,
                "run": self._times(name),
            }
        )
        return shape

    def _trusted(self, name: StarName, key: Digest) -> StarLayer | None:
        """Return the layer that the store remembers for `key`, or None. Only this home's own layers count."""
        try:
            return self.load(key)
        except NotSealed as forged:
            self.warn(made_again(name, forged))
            return None

    def _made_of(self, name: StarName, shape: Digest) -> tuple[Digest, ...]:
        """Return the keys of the layers with this shape, the newest first."""
        try:
            record = self.store.get_result(shape)
        except NotSealed as forged:
            self.warn(made_again(name, forged))
            return ()
        if record is None:
            return ()
        return Table.from_json(record, f"the store's record {shape.short}").parsed_strings("layers", Digest.parse)

    def _below(self, name: StarName, layers: Layers) -> Mapping[TreePath, Entry]:
        below = (layers[star].entries for star in self.seen_by(name))
        return dict(chain.from_iterable(entries.items() for entries in below))

    def _times(self, name: StarName) -> int:
        """Return how often a layer that its programs made is made before it counts; 0 if it may run no program."""
        return 0 if not self.consent.gives(name, "run") else 1 if name in self.unsteady else _TWICE

    def _steady(self, name: StarName, layers: Layers) -> StagedStar:
        """Stage one star, twice if it runs programs; raises `ScriptFailed` if one gives another result then."""
        if self._times(name) < _TWICE:
            staged = self._staged(name, layers)
            return staged if self._times(name) == 0 else _marked(staged)
        first = self._programs(name, layers)
        waiver = "unsteady = [{}]".format(", ".join(f'"{one}"' for one in sorted({*self.unsteady, name})))
        return staged_twice(
            lambda programs: self._staged(name, layers, programs),
            first,
            replace(first, circumstances=SECOND),
            first.tools.entries,
            Unsteady(star=name, waiver=f"write under [policy] in {self.consent.file}:\n{waiver}", epoch=self.epoch),
        )

    def _staged(self, name: StarName, layers: Layers, programs: ProgramRunner | None = None) -> StagedStar:
        acquired, at_failure = self.acquired[name], self.at_failure
        if programs is None and self.consent.gives(name, "run"):
            programs = self._programs(name, layers)
        inputs = StagingInputs(
            epoch=self.epoch,
            paths=self.paths,
            dependencies=self._below(name, layers),
            programs=programs,
            run_hint=self.consent.hint(name, "run"),
            on_failure=None
            if at_failure is None
            else lambda stopped: at_failure(stopped, self._programs(name, layers)),
        )
        return stage_star(acquired.archive(), acquired.statement, inputs, acquired.spool().for_one())

    def _programs(self, name: StarName, layers: Layers) -> Bubble:
        """Return the runner of programs for `name`. Its only tools are the files of its verified dependencies."""

        def files() -> Iterator[Entry]:
            yield from self.paths.entries()
            for star in self.seen_by(name):
                yield from self.packed(star, layers, frozenset()).entries()

        tools = star_tools(files, self._tools_digest(name, layers))
        return Bubble(tools=tools, epoch=self.epoch, timeout_seconds=MAX_RUN_SECONDS, where=str(name))

    def _tools_digest(self, name: StarName, layers: Layers) -> Digest:
        """Return the content root of the tools that a program of `name` has."""
        links = map(ManifestLine.of, self.paths.entries())
        return tools_digest(chain(links, *(layers[star].lines for star in self.seen_by(name))))

    def _pack(self, name: StarName, entries: Tree, dropped: frozenset[TreePath]) -> PackedLayer:
        kept = [entry for entry in entries.values() if entry.kind != "dir" and entry.path not in dropped]
        spool = self.store.spool().for_one()
        return pack_layer(self.acquired[name].star.id, kept, self.level, spool, frame_in="memory")


def _json(value: object) -> Json:
    if value is None or isinstance(value, (bool, int, str, list, dict)):
        return value
    raise Malformed("the store's record", "contains a value that JSON does not have")


def _receipt(receipt: Json, source: str) -> Receipt:
    if not isinstance(receipt, dict):
        raise Malformed(source, "contains no receipt")
    return Receipt.read(Table(receipt, source, "receipt"))


def _marked(staged: StagedStar) -> StagedStar:
    """Return the layer with the operator's waiver in its receipt, if its script ran a program."""
    if staged.receipt is None or not staged.receipt.ran_programs:
        return staged
    return replace(staged, receipt=replace(staged.receipt, unsteady=True))


def _layer_key(shape: Digest, receipt: Receipt | None) -> Digest:
    reads = () if receipt is None else receipt.reads
    return digest_of({"what": "layer", "shape": str(shape), "reads": [read.to_json() for read in reads]})
