"""The entry point of the single-file binary: it runs `cosmos` or, if started under that name, `stellar`.

Its first step is to fork the process that will fork the zygotes of Nova's sandbox, because no other code is loaded yet
that a script's process should not have. A later start of the file would unpack it again.

`cosmos --check-binary` shows whether the file works on this system: it loads every compiled part, uses it once and
prints a line for each. The build runs it, and the tests run it on a system that holds only the stars that `cosmos`
depends on.
"""

from __future__ import annotations

import os
import signal
import sys

LONG_SECONDS = 3600  # a start takes a second


def give_back_the_library_path() -> None:
    """Undo the one-file loader's changes to the environment, so that programs we start load the system's own libraries.

    The loader points LD_LIBRARY_PATH at its unpacked folder and keeps what was there in LD_LIBRARY_PATH_ORIG
    (PyInstaller manual, "Launching external programs from the frozen application"). Our own libraries are found all
    the same: the dynamic linker read the variable when the process began.
    """
    original = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if original is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = original


def die_with_the_loader() -> None:
    """Have the kernel kill this process when the one-file loader is killed, which runs the same file and waits for us.

    Who kills the program knows only the loader's number.
    """
    try:
        is_the_loader = os.path.samefile(f"/proc/{os.getppid()}/exe", "/proc/self/exe")  # noqa: PTH121 - not loaded yet
    except OSError:  # no /proc, or another user's process
        return
    if is_the_loader:
        from cosmos.sandbox.zygote import die_with

        die_with(os.getppid())


def hold_and_sweep(unpacked: str) -> int:
    """Hold our unpacked folder, remove those that dead processes left beside it, and return the lock's descriptor.

    The loader leaves its folder if the disk is full, or if it is killed. A folder is removed if it is this user's, has
    no file that ours does not have, is an hour old, no process has the number in its name, and nobody holds it. A
    process in another container has a number that we do not see, but its lock is seen.
    """
    import fcntl
    import shutil
    from pathlib import Path

    own = Path(unpacked)
    lock = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    ours = {path.name for path in own.iterdir()}
    for other in own.parent.glob("_MEI*"):
        try:
            if other != own and is_dead(str(other), ours):
                shutil.rmtree(other, ignore_errors=True)
        except OSError:
            continue  # it has just gone, or is not ours
    return lock


def is_dead(folder: str, ours: set[str]) -> bool:
    """Return whether a process that has ended left the unpacked `folder`; see `hold_and_sweep`. Raises `OSError`."""
    import fcntl
    import time
    from pathlib import Path

    held = Path(folder).lstat()
    if held.st_uid != os.geteuid() or time.time() - held.st_mtime < LONG_SECONDS:
        return False
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return {path.name for path in Path(folder).iterdir()} <= ours and not lives(Path(folder).name)
    finally:
        os.close(number)


def lives(name: str) -> bool:
    """Return whether the process lives whose number is in the name of its unpacked folder: `_MEI`, 8 hex digits, …."""
    try:
        os.kill(int(name[4:12], 16), 0)
    except ValueError:
        return True  # another loader's name, which says nothing
    except OverflowError:
        return False
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def workers_work() -> bool:
    """Return whether a pool of forked workers, as of a build, gives the right answer."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(len, b"four").result(60) == 4


def check_binary() -> None:
    """Use each compiled part once and print its name; raises if a part does not load or work."""
    import bz2
    import ctypes
    import hashlib
    import importlib
    import lzma
    import socket
    import ssl
    import zlib

    import nacl.signing
    import zstandard
    from lupa import lua54

    from cosmos.nova.templates import rendered

    importer = sys.modules.get("importer")  # of our launcher
    if importer:
        importer.pieces.imports += 1  # else the pieces are forgotten after each import, and unpacked for the next
        for name in importer.pieces.code:
            if name.startswith("cosmos."):
                importlib.import_module(name)
        importer.pieces.imports -= 1
        importer.pieces.unpacked.clear()
    has_shm = os.access("/dev/shm", os.W_OK)  # noqa: S108 - where the kernel keeps semaphores
    words = b"the same bytes, each time\n" * 64
    key = nacl.signing.SigningKey(bytes(32))
    works = {
        "zlib": zlib.decompress(zlib.compress(words)) == words,
        "bz2": bz2.decompress(bz2.compress(words)) == words,
        "lzma": lzma.decompress(lzma.compress(words)) == words,
        "zstandard " + ".".join(map(str, zstandard.ZSTD_VERSION)): zstandard.decompress(zstandard.compress(words))
        == words,
        "nacl": key.verify_key.verify(key.sign(words)) == words,
        "lupa " + str(lua54.LuaRuntime().eval("_VERSION")): lua54.LuaRuntime().eval("1 + 1") == 2,
        "ctypes": ctypes.CDLL(None).getpid() == os.getpid(),
        "workers" if has_shm else "workers (not tried without /dev/shm)": not has_shm or workers_work(),
        "jinja2": rendered(b"{{ a|upper }}", b'{"a": "works"}') == b"WORKS",
        "hashlib " + type(hashlib.sha256()).__module__: len(hashlib.sha256(words).digest()) == 32,
        "ssl " + ssl.OPENSSL_VERSION: ssl.HAS_TLSv1_3,
        "socket": bool(socket.getaddrinfo("127.0.0.1", 80)),
        "idna": "b\u00fccher.example".encode("idna") == b"xn--bcher-kva.example",
        "utf-8 names": sys.getfilesystemencoding() == "utf-8",
    }
    for part, well in works.items():
        if not well:
            raise SystemExit(f"cosmos: error: {part}: loaded, but gives wrong answers")
        sys.stdout.write(f"{part}: works\n")


def end_silently() -> None:
    """Let Ctrl-C end this process as the kernel ends it, until `cosmos.cli.endings` takes over.

    Python would print a traceback, and our launcher would say that it is a bug. Where it is ignored, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    end_silently()
    unpacked = getattr(sys, "_MEIPASS", None)  # set by PyInstaller's loader alone; our launcher unpacks into memory
    if unpacked:
        give_back_the_library_path()
    if sys.argv[1:] == ["--check-binary"]:
        check_binary()
    else:
        if unpacked:
            die_with_the_loader()
        from cosmos.nova.workers import TEMPLATE_WORKER, WORKER
        from cosmos.sandbox import zygote

        importer = sys.modules.get("importer")  # of our launcher
        zygote.forked(WORKER, TEMPLATE_WORKER, forget=importer and importer.pieces.become_small)

        from cosmos.cli.cosmos.main import main

        lock = hold_and_sweep(unpacked) if unpacked else None  # held until the end, and by no worker
        main()
