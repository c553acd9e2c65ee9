"""Bounds on everything that comes from outside: each has a unit and a reason.

A writer must not make and sign a document that its readers refuse. So a document's bound is a `Limit` that both use,
and an error names it. A document that lists files may list 5 million: ten times the 500,000 of a full desktop.
"""

from __future__ import annotations

from cosmos.hints import Final, Self


class Limit(int):
    """A bound with its name: `{limit}` in an error is "16777216 (MAX_DOCUMENT_BYTES)".

    >>> f"the limit is {Limit('MAX_DOCUMENT_BYTES', 16 << 20)}"
    'the limit is 16777216 (MAX_DOCUMENT_BYTES)'
    """

    name: str

    def __new__(cls, name: str, value: int) -> Self:
        """Return the bound `value` with its name in this module."""
        limit = super().__new__(cls, value)
        limit.name = name
        return limit

    def __str__(self) -> str:
        return f"{int(self)} ({self.name})"


def demand_within(size: int, limit: Limit, where: str, *, hint: str | None = None) -> None:
    """Raise `Refused` if a document would be longer than its readers accept, so that it is not written or signed."""
    if size > limit:
        from cosmos.errors import Refused

        raise Refused(where, f"would have {size}, the limit is {limit}", hint=hint)


KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

MAX_DOCUMENT_BYTES: Final = Limit(
    "MAX_DOCUMENT_BYTES", 16 * MIB
)  # TOML readers keep all of it in memory; people write kilobytes
MAX_LOCK_BYTES: Final = Limit("MAX_LOCK_BYTES", 64 * MIB)  # 90,000 stars; a full desktop has 3,000
MAX_RELEASE_BYTES: Final = Limit("MAX_RELEASE_BYTES", 64 * MIB)  # RELEASE.json, which names as many
MAX_SIGNED_BYTES: Final = Limit("MAX_SIGNED_BYTES", 96 * MIB)  # either of them in base64, with signatures
MAX_ENVELOPE_BYTES: Final = Limit(
    "MAX_ENVELOPE_BYTES", 1 * MIB
)  # DSSE with its payload; TRUST.md section 2 refuses more
MAX_ENVELOPE_SIGNATURES: Final = Limit(
    "MAX_ENVELOPE_SIGNATURES", 16
)  # more than any threshold that people can run; each costs a verification
MAX_SECRET_BYTES: Final = 64 * KIB  # the value of a secret variable; a key with its certificates has 10
MAX_KEY_FILE_BYTES: Final = 64 * KIB  # a key is one line; the rest is the owner's comments
MAX_INDEX_BYTES: Final = Limit("MAX_INDEX_BYTES", 64 * MIB)  # a galaxy of 100,000 stars
MAX_INDEX_ENVELOPE_BYTES: Final = Limit("MAX_INDEX_ENVELOPE_BYTES", 96 * MIB)  # that index in base64, with signatures
MAX_CATALOGUE_BYTES: Final = Limit("MAX_CATALOGUE_BYTES", 64 * MIB)  # of that galaxy's stars, in a few words each
MAX_SUMMARY_CHARACTERS: Final = 400  # of a description or a licence in it: Debian's descriptions have 80
MAX_STAR_ARCHIVE_BYTES: Final = Limit(
    "MAX_STAR_ARCHIVE_BYTES", 2 * GIB
)  # the largest star so far is 61 MiB; a bomb must not fill a small device
MAX_STAR_UNPACKED_BYTES: Final = Limit("MAX_STAR_UNPACKED_BYTES", 8 * GIB)  # lies on the disk while a star is staged
MAX_UNPACK_RATIO: Final = 256  # unpacked bytes for each packed one; openjdk's documentation has 28, gzip can do 1,032
FREE_UNPACKED_BYTES: Final = 64 * MIB  # besides, for any input: a small file of zeros is no attack
USUAL_UNPACK_RATIO: Final = 15  # up to here a frame with a large window is unpacked at once
USUAL_UNPACKED_BYTES: Final = 16 * MIB  # besides: what a device with little memory can hold
MAX_STAR_ENTRIES: Final = Limit(
    "MAX_STAR_ENTRIES", 500_000
)  # files, folders and links of one star; linux-firmware has 4,000
MAX_PATH_BYTES: Final = 1024  # of one path in an archive; Linux allows 4,096 in a call, people need 200
MAX_PATH_COMPONENTS: Final = 64  # deeper trees are attacks on recursion
MAX_NAME_BYTES: Final = 255  # one component; the limit of Linux's file systems
MAX_LINK_TARGET_BYTES: Final = 4095  # PATH_MAX without its NUL
MAX_XATTR_BYTES: Final = 64 * KIB  # one value; the kernel's own limit
MAX_PAX_BYTES: Final = 1 * MIB  # extended headers of one entry
MAX_SCRIPT_BYTES: Final = 256 * KIB  # install scripts are pages long at most
MAX_DOCUMENT_DEPTH: Final = 32  # nesting of JSON and TOML; ours have 4
MAX_DOCUMENT_RATIO: Final = 13  # memory of a document's values, in sizes of its text; with the reader's copies it is 16
MAX_UNIVERSE_RATIO: Final = 40  # of a universe of format 1: a star of one file has few bytes, and three tables
MAX_DOCUMENT_BASE_BYTES: Final = 20 * MIB  # and this much besides: what is left of 64 MiB by the program itself
MAX_NUMBER_CHARACTERS: Final = 64  # of a number or a date in TOML; a time with its zone has 32
MAX_DOWNLOAD_REDIRECTS: Final = 5  # more is a loop
HTTP_TIMEOUT_SECONDS: Final = 60  # for a connection, its answer's head and every redirect; and for the least bytes:
HTTP_LEAST_BYTES: Final = 1 * KIB  # of a body in that time: a server that drips bytes would hold a build for ever
MAX_HTTP_HEAD_BYTES: Final = 64 * KIB  # status line and headers of one answer; real ones have 1 KiB
MAX_HTTP_INTERIM_ANSWERS: Final = 8  # of status 1xx, before the real one; RFC 9110 has no limit
MAX_HTTP_CHUNK_LINE_BYTES: Final = 1 * KIB  # a chunk's size and its extensions; real ones have 6
MAX_HTTP_EXTENSION_BYTES: Final = 16 * KIB  # of all chunks of one answer: nobody uses them
MAX_HTTP_TRAILER_BYTES: Final = 16 * KIB  # after a chunked body; they are read and forgotten
HTTP_IDLE_SECONDS: Final = 20  # that a connection waits for its next request; servers close theirs after 5 to 75
HTTP_DRAIN_SECONDS: Final = 1  # to read the rest of a short answer that is no file, so that its connection can stay
HTTP_STOP_SECONDS: Final = 0.2  # that a download goes on after nobody wants it any more
MAX_HTTP_DRAIN_BYTES: Final = 16 * KIB  # of that rest: more costs more than a new connection
MAX_IDLE_CONNECTIONS: Final = 8  # of all servers: four for each of two galaxies
MAX_NETRC_BYTES: Final = 64 * KIB  # people have ten lines in it
MAX_AUTHORITIES_BYTES: Final = 4 * MIB  # Debian's ca-certificates.crt has 220 KiB
MAX_PARTIAL_FILES: Final = 256  # downloads that wait to be resumed; older ones are removed
MAX_PARTIAL_BYTES: Final = 4 * GIB  # of all that wait, besides the one that is being written: two of the largest stars
PARTIAL_SECONDS: Final = 14 * 24 * 3600  # that one waits: a galaxy has newer versions by then
MAX_DOWNLOADS_AT_ONCE: Final = 4  # of one galaxy: they hide a slow line, and no server minds; browsers take six
MAX_DOWNLOADS_AHEAD: Final = 8  # of one galaxy, begun or waiting to be taken: small machines hold few of them
MAX_GIT_BYTES: Final = 4 * GIB  # of a commit's files, and of its packed objects: as all downloads that wait
MAX_GIT_FILES: Final = 100_000  # of a commit: a galaxy of 20,000 stars has 60,000
MAX_GIT_LIST_BYTES: Final = 32 * MIB  # of their list; a tree may name itself again and again
MAX_GIT_COMMITS: Final = 4  # that a cache keeps
GIT_SECONDS: Final = 3600  # for one call of git: 4 GiB over a slow line
IPFS_SECONDS: Final = 600  # for one call of ipfs, which looks for others that have the file
MAX_DOWNLOAD_MISSES: Final = 3  # tries in a row that bring nothing new: more is an outage
MAX_DOWNLOAD_TRIES: Final = 100  # of one file, each bringing something: a bad line, not a mirror that plays
PUBLISHING_SECONDS: Final = 600  # that one command waits for another on the same galaxy: to sign 10,000 statements
SETTINGS_SECONDS: Final = 30  # that a command which changes one line waits for another on the same system
COLLECT_AFTER_OBJECTS: Final = (
    20_000  # new ones of Python's: with its own 700, reading large documents takes a sixth more
)
COLLECT_AFTER_OBJECTS_OF_AN_IMAGE: Final = (
    200_000  # a build of 260 stars makes 150,000 that stay; each takes some 100 bytes
)
COLLECT_OLDER_AFTER: Final = (20, 50)  # collections of newer ones
READ_CHUNK_BYTES: Final = 1 * MIB  # of streamed reads: large enough for speed, small enough for a device
HASH_BUFFER_BYTES: Final = 256 * KIB  # filled again and again: it stays in a processor's cache, which saves a fifth
MAX_CONTENT_IN_MEMORY_BYTES: Final = (
    8 * MIB
)  # of one star's or layer's files; the others lie on the disk: a device may have 128 MiB of memory
MAX_FILE_IN_MEMORY_BYTES: Final = 2 * MIB  # of these files, one alone; a larger one is on its way to the disk by then
MAX_NOVA_INSTRUCTIONS: Final = 100_000_000  # of Lua in one script, a second or two; real scripts run some thousands
MAX_NOVA_CPU_SECONDS: Final = 10  # of one script: for what few instructions can make slow, as joining huge strings
MAX_NOVA_MEMORY_BYTES: Final = 32 * MIB  # of one Lua state; also what bounds a single instruction's time
MAX_NOVA_WORK: Final = 60_000_000  # of one script's verbs, in units of about 0.1 microseconds
MAX_NOVA_WRITTEN_BYTES: Final = 64 * MIB  # that write() and render() make up; large content comes from the archive
MAX_NOVA_TEMPLATE_BYTES: Final = 1 * MIB  # of one template: a configuration file has kilobytes
MAX_NOVA_RENDERED_BYTES: Final = 4 * MIB  # that one template makes
MAX_WATCHED_PATHS: Final = 50_000  # of one folder that --watch looks at, a fifth of a second; templates have some tens
MAX_TEMPLATE_WORDS: Final = 100_000  # words and signs in one template; each takes a kilobyte once it is read
MAX_TEMPLATE_NESTING: Final = 20  # of blocks, brackets, values and includes; real ones have five
MAX_TEMPLATE_DEPTH: Final = 100  # of an expression in blocks in macros, far from where Python's own stack ends
MAX_TEMPLATE_WORK: Final = 1_000_000  # steps of one template, two seconds; a file of a real system takes hundreds
MAX_NOVA_LOG_BYTES: Final = 1 * MIB  # of one script's log, which lands in its receipt
MAX_NOVA_EVENTS: Final = 200_000  # of one script's receipt; real ones have some hundreds
MAX_NOVA_VERB_SECONDS: Final = 20  # of the builder's processor, for one script's verbs: above its work on a slow one
MAX_NOVA_RECEIPT_BYTES: Final = Limit(
    "MAX_NOVA_RECEIPT_BYTES", 16 * MIB
)  # of the text of one script's receipt: 200,000 paths
MAX_RECEIPTS_BYTES: Final = Limit("MAX_RECEIPTS_BYTES", 2 * GIB)  # of all scripts of a release: 10 million events
MAX_NOVA_REPLY_BYTES: Final = 1 * MIB  # of one answer to a script: 20,000 paths
MAX_WORKER_MESSAGE_BYTES: Final = 33 * MIB  # from a worker: one write() of all the memory that Lua has
MAX_WORKER_MESSAGE_VALUES: Final = 1004  # in one: a command's 1,000 words, and what goes before them
MAX_NOVA_WAIT_SECONDS: Final = (
    30  # of one script, for its worker altogether: above its processor time on a busy machine
)
MAX_RUN_SECONDS: Final = 600  # of one program at installation; what takes longer belongs into build()
MAX_NOVA_PROGRAMS_SECONDS: Final = 2 * 3600  # of one script's run() calls together: thousands of short ones add up
MAX_STAGE_BYTES: Final = (
    4 * GIB
)  # of the tree that a program of run() works on; it is memory, half of a builder with 8 GiB
MAX_TOOLS_BYTES: Final = 4 * GIB  # of the tools that stars give such a program, in memory as well: a whole toolchain
MAX_WORKER_BYTES: Final = 384 * MIB  # of a worker's address space: Python, Lua, two messages
MAX_SYMLINKS: Final = 40  # followed in one path; the kernel's own limit
MAX_WAITING_RESULT_BYTES: Final = 8 * MIB  # of a store's small results before they are written: 4,000 statements
MAX_WAITING_RESULT_SECONDS: Final = 5  # that one waits: so much work of a slow download a kill may cost
MAX_WAITING_BLOBS: Final = 64  # of a store before they get their names; each is an open file
MAX_WAITING_BLOB_BYTES: Final = 16 * MIB  # of them together: the disk takes longer for these than for two syncs
MAX_STORED_BYTES: Final = Limit(
    "MAX_STORED_BYTES", (1 << 32) - 1
)  # of one file of a store, as MAX_FRAME_BYTES: a larger one is damaged, and is not read
MAX_RESULT_BYTES: Final = Limit(
    "MAX_RESULT_BYTES", 513 * MIB
)  # of a store's small results, the largest one: MAX_LAYER_RECORD_BYTES, and the lines that vouch for it
MAX_REMEMBERED_SIGNATURES: Final = 100_000  # 3 MB in a builder's store; more are verified again
MAX_LAYERS_OF_A_SHAPE: Final = 8  # kept in mind of one star and script: as many systems built in turn from one store
MAX_LAYER_RECORD_BYTES: Final = Limit(
    "MAX_LAYER_RECORD_BYTES", 512 * MIB
)  # the store's record of one layer: half a million long paths
MAX_UNIVERSE_BYTES: Final = Limit("MAX_UNIVERSE_BYTES", 2 * GIB)  # a universe: 5 million files
MAX_JOURNAL_BYTES: Final = Limit(
    "MAX_JOURNAL_BYTES", 4 * GIB
)  # of a transaction: each of its paths, and what it holds before and after
HISTORY_BYTES: Final = 1 * MIB  # of a system's history, before its oldest lines fall away: some 3,000 installations
MAX_HISTORY_LINE_BYTES: Final = Limit("MAX_HISTORY_LINE_BYTES", 32 * MIB)  # of one transaction: 400,000 stars
MAX_HISTORY_BYTES: Final = Limit("MAX_HISTORY_BYTES", 64 * MIB)  # of the file with such a line
MAX_IMAGE_INDEX_BYTES: Final = Limit("MAX_IMAGE_INDEX_BYTES", 2 * GIB)  # of one image, decompressed: 5 million files
FREE_INDEX_BYTES: Final = 2 * MIB  # of an image's index, however small the image is: 17,000 files
MAX_INDEX_RATIO: Final = 2  # bytes of the index, decompressed, for each one of the image; a system of packages has 0.02
MAX_MANIFEST_BYTES: Final = Limit("MAX_MANIFEST_BYTES", 2 * GIB)  # manifest.txt of a release: 5 million lines
MAX_FRAME_BYTES: Final = Limit(
    "MAX_FRAME_BYTES", (1 << 32) - 1
)  # of a layer, packed or unpacked: a seek table has four bytes for it
MAX_IMAGE_LAYERS: Final = Limit("MAX_IMAGE_LAYERS", 100_000)  # frames of one image, one a star
MAX_PATCHED_BYTES: Final = Limit(
    "MAX_PATCHED_BYTES", 512 * MIB
)  # of a layer that a patch makes or refers to; the largest so far is 105 MiB. A larger one travels whole
MAX_DELTA_HEAD_BYTES: Final = Limit("MAX_DELTA_HEAD_BYTES", 24 * MIB)  # 100,000 layers, each of which changed
MAX_DELTA_ENVELOPE_BYTES: Final = Limit("MAX_DELTA_ENVELOPE_BYTES", 33 * MIB)  # that in base64, with signatures
MAX_DELTA_DOCUMENTS_BYTES: Final = Limit(
    "MAX_DELTA_DOCUMENTS_BYTES", 256 * MIB
)  # the small files of a release together, which are held in memory; a desktop's have 30 MiB
MAX_FETCHED_INDEX_BYTES: Final = 64 * MIB  # of an image on a server, packed: a million files
MAX_VENDORED_BYTES: Final = Limit("MAX_VENDORED_BYTES", 64 * MIB)  # 100,000 stars of four files each
MAX_IMAGE_BASES: Final = 8  # in a row, by `extends`: people lose track of three
MAX_DEFINITION_BYTES: Final = Limit(
    "MAX_DEFINITION_BYTES", 64 * MIB
)  # definition.tar of a release: a template with its files; the largest so far has 40 KiB


def unpack_limit(packed_bytes: int) -> int:
    """Return how many bytes an input of this size on disk may unpack to, at any depth.

    >>> unpack_limit(2_300) // MIB, unpack_limit(10 * MIB) // MIB
    (64, 2624)
    """
    return min(FREE_UNPACKED_BYTES + MAX_UNPACK_RATIO * packed_bytes, MAX_STAR_UNPACKED_BYTES)


def usual_unpacked(packed_bytes: int) -> int:
    """Return the unpacked size up to which an input of this size is held in memory before it was judged."""
    return USUAL_UNPACKED_BYTES + USUAL_UNPACK_RATIO * packed_bytes


class Budget:
    """How many bytes the readers of one input may still unpack. Readers inside readers draw from the same budget.

    A package's archive, the archives in it and the modules in these share one budget, which follows from the size of
    the package on disk. So nothing inside the input can claim more than the input itself is worth.
    """

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    @classmethod
    def of(cls, packed_bytes: int) -> Self:
        """Return the budget of an input that has `packed_bytes` on disk."""
        return cls(unpack_limit(packed_bytes))

    def take(self, size_bytes: int, source: str) -> None:
        """Draw `size_bytes` for `source`; raises `Refused` if that is more than is left."""
        if size_bytes > self.left:
            from cosmos.errors import Refused

            raise Refused(
                source,
                f"unpacks to too much for its size: {MAX_UNPACK_RATIO} bytes for each packed one, "
                f"and {FREE_UNPACKED_BYTES // MIB} MiB",
            )
        self.left -= size_bytes
