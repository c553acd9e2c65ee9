"""Fixtures for every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, settings

from cosmos.cli.endings import run
from fakes.images import ImageFixture, copy_image, make_image
from fakes.programs import Cosmos, Outcome

pytest_plugins = [
    "pytester",
    "plugins.in_memory",
    "plugins.made_once",
    "plugins.not_tried",
    "plugins.objectives",
    "plugins.slow_first",
]  # pytester: the plugins' own tests run pytest

# Whoever starts the tests has no say in them: not by the umask, and not by what else the machine does meanwhile.
os.umask(0o022)
for _name in [name for name in os.environ if name.lower().endswith("_proxy")] + ["NETRC", "SSL_CERT_FILE"]:
    os.environ.pop(_name, None)  # a server of a test is on this machine, and is reached directly
# Nor by chance: every run tries the same examples, and `--hypothesis-profile new` tries others (docs/decisions/0061).
settings.register_profile("new", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("new"), derandomize=True, max_examples=50)
settings.load_profile("same")

_NAME_LENGTH = 100  # a packed archive holds its time, and so is another one a second later
REPO = Path(__file__).resolve().parent.parent
COLLECTED = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note all tests that this run found, before `-m` and `-k` leave some out."""
    config.stash[COLLECTED] = [item.nodeid for item in items]


@pytest.hookimpl
def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Let a long value be named by its parameter: all processes of a run must give a test the same name."""
    return argname if isinstance(val, bytes | str) and len(val) > _NAME_LENGTH else None


@pytest.fixture(scope="session")
def collected_here(pytestconfig: pytest.Config) -> list[str]:
    """The node ids of all tests that this run found."""
    return pytestconfig.stash[COLLECTED]


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout under test."""
    return REPO


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Test data that no one here wrote, never copied into the repository: a run besides, where it is found.

    Nothing is proved by it alone. Where COSMOS_VECTORS says that it is there, it must be there.
    """
    stated = os.environ.get("COSMOS_VECTORS")
    folder = Path(stated) if stated else REPO.parent / "shared" / "vectors"
    if not folder.is_dir():
        missing = "no foreign test data at " + (stated or "../shared/vectors, and COSMOS_VECTORS is not set")
        pytest.fail(missing) if stated else pytest.skip(missing)
    return folder


@pytest.fixture(scope="session", autouse=True)
def no_pauses() -> Iterator[None]:
    """Let no download pause before it tries again: a server of a test is no better for it."""
    with pytest.MonkeyPatch.context() as patched:
        for module in ("cosmos.transport.http", "cosmos.release.delta.remote_image"):
            patched.setattr(f"{module}._PAUSE_SECONDS", 0)
        yield


@pytest.fixture
def cosmos(capfd: pytest.CaptureFixture[str]) -> Cosmos:
    """Run `cosmos` with these words and return how it went."""
    from cosmos.cli.cosmos.main import program

    return _runner(program, "cosmos", capfd)


@pytest.fixture
def stellar(capfd: pytest.CaptureFixture[str]) -> Cosmos:
    """Run `stellar` with these words and return how it went."""
    from cosmos.cli.stellar.main import stellar as program

    return _runner(program, "stellar", capfd)


@pytest.fixture(scope="session")
def succeed() -> Callable[..., None]:
    """Run `cosmos` with these words, in a fixture of a session; it must be exit 0."""
    return _succeed


@pytest.fixture(scope="session")
def built_image(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ImageFixture]:
    """Put a built image into a folder: made by `make_image` with these words, frozen, built and signed.

    Each image is built once in a run. Every test gets a copy of its own, which it may change as it likes.
    """
    made: dict[str, ImageFixture] = {}

    def copy(where: Path, *stars: object, **how: object) -> ImageFixture:
        words = repr((stars, sorted(how.items())))
        if words not in made:
            image = make_image(tmp_path_factory.mktemp("built"), *stars, **how)
            _succeed("freeze", image.folder, "--home", image.home)
            _succeed("build", image.folder, "--home", image.home, "--key", image.secret_key)
            made[words] = image
        return copy_image(made[words], where)

    return copy


def _succeed(*words: object) -> None:
    """Run `cosmos` with these words."""
    from cosmos.cli.cosmos.main import program

    with pytest.raises(SystemExit) as ended:
        run(program, "cosmos", [str(word) for word in words])
    assert not ended.value.code


def _runner(program: click.Command, name: str, capfd: pytest.CaptureFixture[str]) -> Cosmos:
    def call(*words: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(program, name, [str(word) for word in words])
        out, err = capfd.readouterr()
        return Outcome(int(ended.value.code or 0), out, err)

    return call
