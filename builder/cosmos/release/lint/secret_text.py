"""Find secrets, and paths of the builder, in a file's bytes.

Every byte of every file is searched, whatever its size, one window of `READ_CHUNK_BYTES` after the other, so that the
second sieve finds a window in the processor's cache. A match may reach into the next window, by at most
`_OVERLAP_BYTES`. A private key counts only with its body: libraries contain the headers alone. A token counts only with
a well-known prefix, its exact form, and no letter or digit beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Self

from cosmos.content import Content, mapped, passed
from cosmos.limits import READ_CHUNK_BYTES
from cosmos.records import dataclass
from cosmos.release.lint.rules import RuleId

_OVERLAP_BYTES: Final = 4096
_NEWLINE: Final = rb"(?:\r?\n|\\n)"  # also as JSON writes it
_PEM_HEADERS: Final = rb"(?:[A-Za-z-]{1,40}: [^\n\\]{0,200}" + _NEWLINE + rb"){0,8}(?:" + _NEWLINE + rb")?"
_RARE: Final = (b"_", b"-", b"I", b"k", b"/")  # every literal of this module contains one of the first four
_LOOKED_BACK: Final = 2  # bytes before a rare one: one in a hundred has two that a literal has
_LEAST_PARTS: Final = 2  # of a folder of the builder: /root and /home are in many files


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """What is searched for: `literal` is a part of each match, so that most windows are passed over fast."""

    rule: RuleId
    what: str
    literal: bytes
    form: re.Pattern[bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sieve:
    """Patterns that are looked for together: `form` is found in a window exactly if one of their literals is.

    All their literals contain one byte that is rare in files. The search seeks that byte. Where it stands, the search
    first asks whether the bytes before it can be those of any literal, and only then compares it with each of them. So
    one pass through a window answers for all of these patterns.
    """

    form: re.Pattern[bytes]
    patterns: tuple[Pattern, ...]

    @classmethod
    def of(cls, rare: bytes, patterns: tuple[Pattern, ...]) -> Self:
        """Return the sieve of patterns whose literals contain the byte `rare`."""
        sought, heads, rests = re.escape(rare), list[bytes](), list[bytes]()
        for literal in dict.fromkeys(pattern.literal for pattern in patterns):
            head, _, tail = literal.partition(rare)
            heads.append(head)
            rests.append((b"(?<=" + re.escape(head) + sought + b")" if head else b"") + re.escape(tail))
        back = min((_LOOKED_BACK, *map(len, heads)))
        before = (_one_of({head[place] for head in heads}) for place in range(-back, 0))
        guard = b"(?<=" + b"".join(before) + sought + b")" if back else b""
        return cls(form=re.compile(sought + guard + b"(?:" + b"|".join(rests) + b")"), patterns=patterns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """The first match of a pattern in a file: where it begins."""

    pattern: Pattern
    offset: int


def _one_of(codes: Iterable[int]) -> bytes:
    return b"[" + b"".join(re.escape(bytes((code,))) for code in sorted(codes)) + b"]"


def _key(what: str, literal: bytes, form: bytes) -> Pattern:
    return Pattern(rule="private-key", what=what, literal=literal, form=re.compile(form))


def _token(what: str, literal: bytes, rest: bytes) -> Pattern:
    """Return the pattern of a token; the check of what stands before comes second, so that `re` seeks the literal."""
    prefix = re.escape(literal)
    form = prefix + rb"(?<![A-Za-z0-9+/_-]" + prefix + rb")" + rest + rb"(?![A-Za-z0-9+/_-])"
    return Pattern(rule="token", what=what, literal=literal, form=re.compile(form))


_KEYS: Final = (
    _key(
        "a private key in PEM",
        b"PRIVATE KEY-----",
        rb"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY-----" + _NEWLINE + _PEM_HEADERS + rb"[A-Za-z0-9+/=]{32}",
    ),
    _key(
        "a secret PGP key",
        b"PGP PRIVATE KEY BLOCK-----",
        rb"-----BEGIN PGP PRIVATE KEY BLOCK-----" + _NEWLINE + _PEM_HEADERS + rb"[A-Za-z0-9+/=]{32}",
    ),
    _key("a private key of PuTTY", b"PuTTY-User-Key-File-", rb"PuTTY-User-Key-File-[123]: [a-z0-9-]{4,40}\r?\n"),
    _key("a secret key of age", b"AGE-SECRET-KEY-1", rb"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}"),
    _key(
        "a secret key of minisign",
        b"secret key",
        rb"untrusted comment: [^\n]{0,100}secret key[^\n]{0,100}\n[A-Za-z0-9+/=]{100}",
    ),
    _key(
        "a secret key of Cosmos",
        b"secret-key-version",
        rb"(?m:^)secret-key-version = [0-9]{1,4}\n(?:[^\n]{0,200}\n){1,16}?(?:seed|sealed) = \"[A-Za-z0-9+/=]{43}",
    ),
)
_TOKENS: Final = (
    *(
        _token("a token of GitHub", prefix, rb"[A-Za-z0-9]{36}")
        for prefix in (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")
    ),
    _token("a token of GitHub", b"github_pat_", rb"[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    _token("a token of GitLab", b"glpat-", rb"[A-Za-z0-9_-]{20}"),
    _token("an access key of AWS", b"AKIA", rb"(?![A-Z0-9]{9}EXAMPLE)[A-Z2-7]{16}"),
    _token("a token of Slack", b"xoxb-", rb"[0-9]{10,13}-[0-9]{10,13}-[A-Za-z0-9]{24}"),
    _token("a token of Slack", b"xoxp-", rb"(?:[0-9]{10,13}-){3}[a-f0-9]{32}"),
    _token("a live key of Stripe", b"sk_live_", rb"[A-Za-z0-9]{24,247}"),
    _token("a live key of Stripe", b"rk_live_", rb"[A-Za-z0-9]{24,247}"),
    _token("a key of Google", b"AIza", rb"[A-Za-z0-9_-]{35}"),
    _token("a token of npm", b"npm_", rb"[A-Za-z0-9]{36}"),
    _token("a token of PyPI", b"pypi-AgEIcHlwaS5vcmc", rb"[A-Za-z0-9_-]{50,400}"),
    _token("a token of Hugging Face", b"hf_", rb"[A-Za-z]{34}"),
    _token("a token of DigitalOcean", b"dop_v1_", rb"[a-f0-9]{64}"),
    _token("a token of Docker", b"dckr_pat_", rb"[A-Za-z0-9_-]{27}"),
)
KEYS_AND_TOKENS: Final = (*_KEYS, *_TOKENS)
_TEMPORARIES: Final = (
    Pattern(
        rule="build-path",
        what="the name of a temporary folder of Cosmos",
        literal=b"tmp/cosmos-",
        form=re.compile(rb"/tmp/cosmos-[a-z]{1,20}-[a-z0-9_]{8}(?![a-z0-9_])"),
    ),
    Pattern(
        rule="build-path",
        what="the name of a temporary file of Cosmos",
        literal=b"/.cosmos-",
        form=re.compile(rb"/\.cosmos-[0-9]{1,10}-[0-9]{1,10}\.tmp"),
    ),
)


def sieved(wanted: Iterable[Pattern]) -> tuple[Sieve, ...]:
    """Return sieves of all the `wanted` patterns: as few as possible."""
    left = list(wanted)
    found: list[Sieve] = []
    for rare in _RARE:
        together = tuple(pattern for pattern in left if rare in pattern.literal)
        left = [pattern for pattern in left if rare not in pattern.literal]
        found += [Sieve.of(rare, together)] if together else []
    found += [Sieve(form=re.compile(re.escape(one.literal)), patterns=(one,)) for one in left]
    return tuple(found)


def patterns(builder_folders: Iterable[bytes]) -> tuple[Pattern, ...]:
    """Return everything that is searched for. A folder with one component is left out: many files name /root."""
    folders = sorted({folder.rstrip(b"/") for folder in builder_folders})
    return (
        *KEYS_AND_TOKENS,
        *_TEMPORARIES,
        *(
            Pattern(
                rule="build-path",
                what="a folder of the builder",
                literal=folder,
                form=re.compile(re.escape(folder) + rb"(?![A-Za-z0-9_-])"),
            )
            for folder in folders
            if folder.startswith(b"/") and folder.count(b"/") >= _LEAST_PARTS
        ),
    )


def first_matches(content: Content, wanted: Iterable[Sieve]) -> Iterator[Match]:
    """Yield the first match of each pattern. A file on the disk is mapped, a window at a time in memory."""
    left = [(sieve, list(sieve.patterns)) for sieve in wanted]
    if not left:
        return
    with mapped(content) as view:
        for start in range(0, len(view), READ_CHUNK_BYTES):
            following = start + READ_CHUNK_BYTES
            for sieve, open_patterns in left:
                if not open_patterns or sieve.form.search(view, start, following + _OVERLAP_BYTES) is None:
                    continue
                for pattern in tuple(open_patterns):
                    found = pattern.form.search(view, start, following + _OVERLAP_BYTES)
                    if found is not None and found.start() < following:
                        open_patterns.remove(pattern)
                        yield Match(pattern=pattern, offset=found.start())
            passed(view, start, following)
