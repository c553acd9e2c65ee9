"""Say whether an image is the one that everybody else gets from this commit.

    expected.py check images/NAME    one line: as published, or what moved; `make image` calls it
    expected.py write images/NAME    write images/NAME/expected.toml, if it differs; `make expected` calls it

expected.toml is committed. It names the content root and everything that went in: the packages by version and SHA-256,
the recipes, the definition, the program, and what the binary is made of. Signatures and keys are no part of a content
root, so the keys of a clone do not matter. Where all inputs are the same, the root must be: if not, exit 7. A suite's
packages move with its security updates, and the program with each commit. Then the line names them, and nothing failed.

It uses only the standard library. No file of keys is read.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

FORMAT = 1
NAME = "expected.toml"
EXIT_MALFORMED, EXIT_WORLD_FAILED, EXIT_DIFFERS = 2, 5, 7  # as in cosmos.errors
MOST_SHOWN = 5  # of what moved: the answer is one line

Inputs = dict[str, dict[str, str]]


class BadInput(Exception):
    """A file is missing or is not what it should be. Its text is the whole error."""


class Expected:
    """A content root, its inputs by kind and name, and each star's contents, which show where a difference is."""

    def __init__(self, root: str, inputs: Inputs, stars: dict[str, str]) -> None:
        self.root, self.inputs, self.stars = root, inputs, stars

    def to_toml(self, image: str) -> str:
        """Return the document, in one order."""
        lines = [
            f"# What everybody gets who runs `make image` here: {image}. Written by `make expected`.",
            f"format = {FORMAT}",
            f'content-root = "{self.root}"',
        ]
        tables = {f"inputs.{kind}": rows for kind, rows in self.inputs.items() if rows} | {"stars": self.stars}
        for name, rows in sorted(tables.items()):
            lines += ["", f"[{name}]", *(f"{json.dumps(key)} = {json.dumps(rows[key])}" for key in sorted(rows))]
        return "\n".join(lines) + "\n"

    @classmethod
    def read(cls, file: Path) -> Expected:
        """Return what the document says; raises `BadInput`."""
        document = read_toml(file)
        inputs = document.get("inputs")
        rows = [document.get("stars"), *(inputs.values() if isinstance(inputs, dict) else [None])]
        flat = all(isinstance(row, dict) and all(isinstance(value, str) for value in row.values()) for row in rows)
        whole = document.keys() == {"format", "content-root", "inputs", "stars"}
        if document.get("format") != FORMAT or not whole or not flat or not isinstance(document["content-root"], str):
            raise BadInput(f"{file}: is not what `make expected` writes (format {FORMAT}); run make expected")
        return cls(document["content-root"], document["inputs"], document["stars"])


def read_toml(file: Path) -> dict[str, Any]:
    """Return a TOML document; raises `BadInput`."""
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: {error}") from error


def digest_of(data: bytes) -> str:
    """Return the SHA-256 in its text form."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of_rows(rows: Iterable[tuple[str, ...]]) -> str:
    """Return the digest of rows of words; their order has no say."""
    return digest_of(json.dumps(sorted(rows)).encode())


def recipe_digest(folder: Path) -> str:
    """Return the digest of a star's source folder: names, whether a file can be run, bytes. expect.txt is no input."""
    rows = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            rows.append((name, "link", str(path.readlink())))
        elif path.is_file() and path.name != "expect.txt":
            rows.append((name, "run" if path.stat().st_mode & 0o100 else "file", digest_of(path.read_bytes())))
    return digest_of_rows(rows)


def packages(rows: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Return `version digest` by name; a package that is there twice, differently, has both."""
    found: dict[str, set[str]] = {}
    for name, version, digest in rows:
        found.setdefault(name, set()).add(f"{version} {digest}")
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def binary_inputs(repo: Path) -> Inputs:
    """Return what the binary was made of, from what its build wrote down (freeze/build_binary.py)."""
    work = repo / "build" / "binary"
    try:
        stamp = json.loads((work / "inputs.json").read_text())
        made_of = stamp["inputs"]
        hosts = stamp["libraries"] if "python at" in made_of else {}  # of this machine, in place of the suite's
        rows = [tuple(row) for row in made_of.items()]
        debs = [(*name.split("_")[:2], f"sha256:{digest}") for name, digest in sorted(stamp["packages"].items())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{work}: {error}; run make binary") from error
    return {
        "binary": {
            "program": digest_of_rows(row for row in rows if row[0].startswith("builder/")),
            "recipe": digest_of_rows(row for row in rows if row[0].startswith("freeze/")),
            "requirements-binary.txt": digest_of((repo / "freeze/requirements-binary.txt").read_bytes()),
            "python": made_of["python"],
        },
        "binary-libraries": {Path(path).name: f"sha256:{digest}" for path, digest in sorted(hosts.items())},
        "binary-packages": packages((unquote(name), unquote(version), digest) for name, version, digest in debs),
    }


def found(repo: Path, image: Path) -> Expected:
    """Return what the release in `image`/out is, and what went into it; raises `BadInput`."""
    try:
        release = json.loads((image / "out" / "RELEASE.json").read_text())["predicate"]["buildDefinition"]
        definition, root = (
            release["externalParameters"]["definition"],
            release["internalParameters"]["contentRoot"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{image / 'out'}: {error}; run make image") from error
    lock = read_toml(image / "out" / "universe.lock.toml")
    statements = statements_of(image, lock)
    origins = [row for statement in statements.values() for row in statement.get("origin", [])]
    recipes = {name: repo / "stars" / name for name in statements}
    return Expected(
        root,
        {
            "definition": {"image": definition},
            "tools": {
                "python": sys.version.split()[0],
                "zstd": str(lock["build"]["zstd"]),
                "layer-format": str(lock["build"]["layer-format"]),
                "requirements.txt": digest_of((repo / "requirements.txt").read_bytes()),
            },
            "packages": packages((row["name"], row["version"], row["digest"]) for row in origins),
            "recipes": {name: recipe_digest(folder) for name, folder in recipes.items() if folder.is_dir()},
            **binary_inputs(repo),
        },
        {name: statement["statement"]["content"] for name, statement in statements.items()},
    )


def statements_of(image: Path, lock: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each locked star's statement, from the galaxies in folders that the lock names."""
    wanted = {row["statement"]: row["name"] for row in lock["star"]}
    statements: dict[str, dict[str, Any]] = {}
    for galaxy in lock["galaxy"]:
        for file in sorted((image / galaxy["url"] / "stars").glob("*.toml")):
            name = wanted.get(digest_of(file.read_bytes()))
            if name is not None:
                statements[name] = read_toml(file)
    if missing := sorted(set(wanted.values()) - statements.keys()):
        raise BadInput(f"{image}: no statement of {', '.join(missing)} in the lock's galaxies; they must be folders")
    return dict(sorted(statements.items()))


def moved(then: Inputs, now: Inputs) -> list[str]:
    """Return one phrase for each input that is not what it was: `packages less 590-1 -> 590-2`."""
    phrases = []
    for kind in sorted(then.keys() | now.keys()):
        before, after = then.get(kind, {}), now.get(kind, {})
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            if old == new:
                continue
            if old is None or new is None:
                phrases.append(f"{kind} {name} {'added' if old is None else 'gone'}")
            else:
                phrases.append(f"{kind} {name}{_change(old, new)}")
    return phrases


def _change(old: str, new: str) -> str:
    """Return the versions, if they differ; of digests it is enough that they do."""
    was, now = old.partition(" sha256:")[0], new.partition(" sha256:")[0]
    if was == now:
        return " (same version, other bytes)"
    return "" if was.startswith("sha256:") else f" {was} -> {now}"


def listed(phrases: Sequence[str]) -> str:
    """Return the first phrases in one line, with the number of the others."""
    more = f" and {len(phrases) - MOST_SHOWN} more" if len(phrases) > MOST_SHOWN else ""
    return ", ".join(phrases[:MOST_SHOWN]) + more


def verdict(then: Expected, now: Expected, image: str) -> tuple[int, str]:
    """Return the exit code and the line that says how the image stands to what was published."""
    what = moved(then.inputs, now.inputs)
    if then.root == now.root:
        though = f", although this moved: {listed(what)}" if what else ""
        return 0, f"as published{though}: content root {now.root}"
    if what:
        return 0, f"not as published, because this moved: {listed(what)} (make expected writes it down)"
    stars = [name for name in sorted(now.stars) if then.stars.get(name) != now.stars[name]]
    where = f"other contents of {listed(stars)}" if stars else "every star is the same, so the image's own part differs"
    return EXIT_DIFFERS, (
        f"{image}: all inputs are those of {NAME}, but the content root is {now.root}, not {then.root}: {where}"
    )


def replaced(file: Path, data: bytes) -> bool:
    """Write `data` to the file, in one step; return False, and change nothing, if the file has it. Raises `OSError`."""
    if file.exists() and file.read_bytes() == data:
        return False
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(data)
    new.replace(file)
    return True


def main(words: Sequence[str], repo: Path) -> int:
    """Check or write; return the exit code."""
    if len(words) != 2 or words[0] not in ("check", "write"):
        sys.stderr.write("expected: error: want: expected.py check|write IMAGE\n")
        return EXIT_MALFORMED
    image = repo / words[1]
    file = image / NAME
    try:
        if words[0] == "write":
            is_new = replaced(file, found(repo, image).to_toml(words[1]).encode())
            sys.stdout.write(f"{words[1]}/{NAME}: {'written' if is_new else 'nothing differs, so it stays as it is'}\n")
            return 0
        if not file.exists():
            return 0  # nothing was published of this image
        code, line = verdict(Expected.read(file), found(repo, image), words[1])
    except BadInput as error:
        sys.stderr.write(f"expected: error: {error}\n")
        return EXIT_MALFORMED
    except (KeyError, TypeError, AttributeError) as error:
        sys.stderr.write(f"expected: error: {image}: its lock or a statement lacks {error}; run make clean image\n")
        return EXIT_MALFORMED
    except OSError as error:
        sys.stderr.write(f"expected: error: {error}\n")
        return EXIT_WORLD_FAILED
    (sys.stderr if code else sys.stdout).write(f"expected: error: {line}\n" if code else f"{line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parents[1]))
