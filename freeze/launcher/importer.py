"""Import the modules of the single-file binary from its pieces, and run its entry point.

The piece "index" is a marshalled dictionary: module -> (piece, offset, size, whether it is a package). The code of
modules lies in a few pieces, so that a command unpacks only those with the modules that it needs. They take 10 MB, so
they are forgotten when the command and all that it imports are there; what is imported later unpacks its piece again.
A compiled module is a piece of its own; its path names it, and the launcher gives its bytes to the C library that opens
it.
"""

import _frozen_importlib
import _frozen_importlib_external
import _sre
import gc
import marshal
import sys
import zlib

import _image

# Large modules of Python that others import, but seldom use. They are loaded when they are used for the first time.
LATER = frozenset(("inspect", "ipaddress", "linecache", "uuid"))
STARTING = ("code-always", "code-worker")  # the code that the program needs before it knows the command
ROOT = "/binary/"  # what the path of a module begins with; there is no such folder
SUFFIX = ".cpython-311-x86_64-linux-gnu.so"


class Later(type(sys)):
    """A module whose code runs when somebody asks for something in it."""

    def __getattr__(self, name):
        if name.startswith("__"):  # the import itself asks for those
            raise AttributeError(name)
        with _frozen_importlib._ModuleLockManager(self.__name__):
            if type(self) is Later:
                pieces.run_code(self)
                self.__class__ = type(sys)
        return getattr(self, name)


class Pieces:
    """The finder and loader of all modules in the binary."""

    def __init__(self):
        self.code = marshal.loads(_image.piece("index"))
        self.libraries = {name.removesuffix(".so"): name for name in _image.names() if name.endswith(".so")}
        self.unpacked = {}
        self.imports = 0  # modules whose code runs now, the one in the other
        self.is_small = False  # a process that keeps nothing unpacked, and makes the few methods that it needs

    def find_spec(self, name, path=None, target=None):
        """Return the spec of the module of that name; None if the binary does not have it."""
        if name in self.code:
            is_package = self.code[name][3]
            place = ROOT + name.replace(".", "/")
            spec = _frozen_importlib.ModuleSpec(
                name, self, origin=place + ("/__init__.py" if is_package else ".py"), is_package=is_package
            )
            spec.has_location = True
            if is_package:
                spec.submodule_search_locations.append(place)
            return spec
        if name in self.libraries:
            place = ROOT + self.libraries[name]
            loader = _frozen_importlib_external.ExtensionFileLoader(name, place)
            return _frozen_importlib.ModuleSpec(name, loader, origin=place)
        return None

    def create_module(self, spec):
        """Return a module that is loaded later, or None: a module as usual."""
        return Later(spec.name) if spec.name in LATER else None

    def exec_module(self, module):
        """Run the code of a module; dataclasses and `re` then take what was made when the binary was built."""
        if type(module) is Later:
            return
        self.run_code(module)
        if module.__name__ in ("dataclasses", "cosmos.records"):
            module.exec = self.run
        elif module.__name__ == "re._compiler":
            self.compile = module.compile
            module.compile = self.compiled

    def run_code(self, module):
        """Run the code of a module. After the outermost one, the pieces of a command are forgotten."""
        self.imports += 1
        try:
            exec(self.get_code(module.__name__), module.__dict__)
        finally:
            self.imports -= 1
            if not self.imports and (self.is_small or self.has_command()):
                self.unpacked.clear()

    def has_command(self):
        """Return whether code was unpacked that the program does not need before it knows the command."""
        return any(piece.startswith("code-") and piece not in STARTING for piece in self.unpacked)

    def become_small(self):
        """Forget what is unpacked, for a process that waits, and then imports little: a zygote."""
        self.is_small = True
        self.unpacked.clear()

    def run(self, text, names, made):
        """Run a text of `dataclasses` or `cosmos.records`."""
        raw = text.encode()
        key = (len(raw), zlib.crc32(raw), zlib.adler32(raw))
        place, size = (0, 0) if self.is_small else self.made()[0].get(key, (0, 0))
        exec(marshal.loads(self.view("methods")[place : place + size]) if size else text, names, made)

    def compiled(self, pattern, flags=0):
        """Return a pattern of `re`."""
        is_known = self.imports and isinstance(pattern, (str, bytes))
        made = self.made()[1].get((pattern, int(flags))) if is_known else None
        return _sre.compile(*made) if made else self.compile(pattern, flags)

    def get_code(self, name):
        """Return the code of the module of that name."""
        piece, offset, size, _ = self.code[name]
        return marshal.loads(self.view(piece)[offset : offset + size])

    def view(self, piece):
        """Return the bytes of a piece with code."""
        return self.read(piece, memoryview)

    def made(self):
        """Return where the methods of `dataclasses` are, and the patterns of `re`."""
        return self.read("made", marshal.loads)

    def read(self, piece, reader):
        """Return a piece, unpacked and read once for all imports that are under way."""
        found = self.unpacked.get(piece)
        if found is None:
            found = self.unpacked[piece] = reader(_image.piece(piece))
        return found

    def is_package(self, name):
        """Return whether the module of that name is a package."""
        return self.code[name][3]

    def get_source(self, name):
        """Return None: the binary has no sources."""

    def get_data(self, path):
        """Return the bytes of a file beside a module. Raises `OSError` if the binary does not have it."""
        try:
            return _image.piece(path.removeprefix(ROOT))
        except LookupError:
            raise FileNotFoundError(path) from None


gc.set_threshold(20_000, 20, 50)  # as in cosmos.cli.collecting: importing makes many objects, and hardly any garbage
pieces = Pieces()
sys.frozen = True
sys.meta_path.append(pieces)
try:
    exec(pieces.get_code("__main__"), sys.modules["__main__"].__dict__)
except MemoryError:  # while modules are imported; cosmos.cli.terminal handles it in a command
    pieces.unpacked.clear()
    sys.stderr.write("cosmos: error: there is too little memory to start\n")
    sys.stderr.write("cosmos: hint: give it more memory, or raise its limit (ulimit -v)\n")
    sys.exit(5)
