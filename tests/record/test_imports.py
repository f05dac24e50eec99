"""Probes start behind the import of their library, and nothing else changes."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.injection.running import Run
from unslow.record import imports
from unslow.record.imports import ImportHook
from unslow.record.probe import Installation, Probe, ProbeOffError, Probes
from unslow.record.recorder import Recorder

LIBRARY = "unslow_test_library"
OTHERS = tuple(f"{LIBRARY}_{number}" for number in range(40))
PROBE = "unslow_test_probes"

RUN_BY_PYTEST = """
import asyncio
import sys

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


def in_a_worker_thread(request):
    return PlainTextResponse("done")


app = Starlette(routes=[Route("/", in_a_worker_thread)])


def test_that_it_answers():
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))

    assert b"done" == sent[-1]["body"]
    backend = sys.modules["anyio._backends._asyncio"]
    assert "AssertionRewritingHook" == type(backend.__loader__).__name__
    assert "AssertionRewritingHook" == type(backend.__spec__.loader).__name__
"""


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    (tmp_path / f"{LIBRARY}.py").write_text("value = 'original'\n")
    for name in OTHERS:
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / PROBE).mkdir()
    (tmp_path / PROBE / "__init__.py").write_text("")
    (tmp_path / PROBE / "good.py").write_text(
        "def install(installation, module):\n"
        "    import sys\n"
        "    installation.patches.replace(sys.modules[module], 'value', lambda old: old + '!')\n"
        "    installation.cover('library', 'on')\n"
    )
    (tmp_path / PROBE / "broken.py").write_text(
        "def install(installation, module):\n"
        "    import sys\n"
        "    installation.patches.replace(sys.modules[module], 'value', lambda old: old + '!')\n"
        "    raise RuntimeError('ours')\n"
    )
    (tmp_path / PROBE / "unwilling.py").write_text(
        "from unslow.record.probe import ProbeOffError\n"
        "def install(installation, module):\n"
        "    raise ProbeOffError('version 0.1 is not known')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield Recorder()
    for name in [name for name in sys.modules if name.startswith((LIBRARY, PROBE))]:
        del sys.modules[name]


@pytest.fixture
def hook(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImportHook]:
    hook = ImportHook(Probes(recorder, PROBE))
    yield hook
    hook.uninstall()


def install(hook: ImportHook, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(imports, "PROBES", (Probe(name, (LIBRARY,)),))
    hook.install()


def test_a_probe_starts_behind_the_import(
    hook: ImportHook, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(hook, monkeypatch, "good")
    assert recorder.coverage == {}

    library = importlib.import_module(LIBRARY)

    assert library.value == "original!"
    assert recorder.coverage["library"].state == "on"
    assert library.__spec__ is not None
    assert type(library.__spec__.loader).__name__ == "SourceFileLoader"
    assert library.__loader__ is library.__spec__.loader


def test_a_library_that_is_there_already_is_probed_at_once(
    hook: ImportHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = importlib.import_module(LIBRARY)
    install(hook, monkeypatch, "good")

    assert library.value == "original!"


def test_a_probe_that_breaks_is_off_and_takes_its_patches_back(
    hook: ImportHook,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    install(hook, monkeypatch, "broken")

    library = importlib.import_module(LIBRARY)

    assert library.value == "original"
    assert recorder.coverage["broken"].state == "off"
    assert recorder.coverage["broken"].why == "broke: RuntimeError"
    assert len(caplog.records) == 1


def test_a_probe_that_does_not_know_a_version_says_why(
    hook: ImportHook, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(hook, monkeypatch, "unwilling")
    importlib.import_module(LIBRARY)

    assert recorder.coverage["unwilling"].why == "version 0.1 is not known"


def test_a_missing_library_is_missing_as_before(
    hook: ImportHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "PROBES", (Probe("good", ("unslow_no_such_library",)),))
    hook.install()

    with pytest.raises(ModuleNotFoundError, match="unslow_no_such_library"):
        importlib.import_module("unslow_no_such_library")


class Finder:
    """One of somebody else's, before all that are there: it finds the library, and nothing else."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002  # a finder is asked so
    ) -> ModuleSpec | None:
        self.asked.append(fullname)
        return PathFinder.find_spec(fullname, path) if fullname == LIBRARY else None


class FinderThatWantsToBeFirst(Finder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = super().find_spec(fullname, path, target)
        if sys.meta_path[0] is not self:
            sys.meta_path.remove(self)
            sys.meta_path.insert(0, self)
        return found


@pytest.fixture
def put_first(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    def put(finder: Any) -> None:
        monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])

    return put


def test_a_finder_that_was_put_before_it_hides_no_library(
    hook: ImportHook, monkeypatch: pytest.MonkeyPatch, put_first: Callable[[Any], None]
) -> None:
    install(hook, monkeypatch, "good")
    finder = Finder()
    put_first(finder)

    importlib.import_module(OTHERS[0])
    library = importlib.import_module(LIBRARY)

    assert 1 == finder.asked.count(LIBRARY)
    assert "original!" == library.value
    hook.uninstall()
    assert hook not in sys.meta_path


def test_another_one_that_wants_to_be_first_is_not_fought_without_end(
    hook: ImportHook, monkeypatch: pytest.MonkeyPatch, put_first: Callable[[Any], None]
) -> None:
    install(hook, monkeypatch, "good")
    before = len(sys.meta_path)
    finder = FinderThatWantsToBeFirst()
    put_first(finder)

    for name in OTHERS:
        importlib.import_module(name)

    assert before + 10 > len(sys.meta_path)
    hook.uninstall()
    assert hook not in sys.meta_path
    importlib.import_module(LIBRARY)
    assert hook not in sys.meta_path


def test_who_was_taken_out_does_not_come_back(
    hook: ImportHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(hook, monkeypatch, "good")
    others = [finder for finder in sys.meta_path if finder is not hook]
    monkeypatch.setattr(sys, "meta_path", others)

    assert hook.find_spec(OTHERS[0], None) is None

    assert hook not in sys.meta_path


def test_a_library_that_was_loaded_unseen_is_probed_late(
    hook: ImportHook, monkeypatch: pytest.MonkeyPatch, put_first: Callable[[Any], None]
) -> None:
    install(hook, monkeypatch, "good")
    put_first(Finder())
    library = importlib.import_module(LIBRARY)
    unseen = library.value

    hook.catch_up()

    assert ("original", "original!") == (unseen, library.value)


def test_a_library_that_is_being_loaded_is_left_alone(
    hook: ImportHook,
    monkeypatch: pytest.MonkeyPatch,
    put_first: Callable[[Any], None],
    tmp_path: Path,
) -> None:
    (tmp_path / f"{LIBRARY}.py").write_text(
        f"from {LIBRARY}_hook import catch_up\ncatch_up()\nvalue = 'original'\n"
    )
    monkeypatch.setitem(sys.modules, f"{LIBRARY}_hook", SimpleNamespace(catch_up=hook.catch_up))
    install(hook, monkeypatch, "good")
    put_first(Finder())

    library = importlib.import_module(LIBRARY)

    assert "original" == library.value
    hook.catch_up()
    assert "original!" == library.value


def test_a_library_that_is_to_be_loaded_at_its_first_use_is_not_loaded_by_us(
    hook: ImportHook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / f"{LIBRARY}.py").write_text(f"import {OTHERS[0]}\nvalue = 'original'\n")
    install(hook, monkeypatch, "good")
    spec = importlib.util.find_spec(LIBRARY)
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    library = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, LIBRARY, library)
    spec.loader.exec_module(library)

    hook.catch_up()

    assert OTHERS[0] not in sys.modules
    assert "original!" == library.value
    assert OTHERS[0] in sys.modules


class OldLoader:
    """What a loader was before Python 3.4."""

    def load_module(self, fullname: str) -> ModuleType:
        module = ModuleType(fullname)
        module.value = "old"  # type: ignore[attr-defined]  # a module's own name
        sys.modules[fullname] = module
        return module


class FinderOfAnOldLoader(Finder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # a finder is asked so
        target: ModuleType | None = None,  # noqa: ARG002  # the same
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, OldLoader()) if fullname == LIBRARY else None  # type: ignore[arg-type]  # so it is


class OldFinder:
    """What a finder was before Python 3.4, and may be up to 3.11."""

    def find_module(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002  # a finder was asked so
    ) -> OldLoader | None:
        return OldLoader() if fullname == LIBRARY else None


@pytest.mark.filterwarnings("ignore::ImportWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "finder",
    [
        FinderOfAnOldLoader(),
        pytest.param(
            OldFinder(),
            marks=pytest.mark.skipif(
                sys.version_info >= (3, 12), reason="Python 3.12 forgot the old finders"
            ),
        ),
    ],
    ids=["loader", "finder"],
)
def test_who_speaks_an_old_protocol_loads_as_before(
    finder: object,
    hook: ImportHook,
    monkeypatch: pytest.MonkeyPatch,
    put_first: Callable[[Any], None],
) -> None:
    put_first(finder)
    install(hook, monkeypatch, "good")

    library = importlib.import_module(LIBRARY)

    assert "old" == library.value
    hook.catch_up()
    assert "old!" == library.value


def test_pytest_rewrites_as_before_and_what_it_rewrote_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(RUN_BY_PYTEST)
    command = ("--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py")

    with Run(tmp_path, *command, environment={"PYTEST_ADDOPTS": ""}) as run:
        assert 0 == run.ended(), run.out

        assert any(part.what.startswith("worker threads of anyio") for part in run.coverage())
        (trace,) = run.traces()
        assert "thread" in {lane.kind for lane in trace.lanes}


def test_a_bug_in_a_wrapper_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    installation = Installation("asyncpg", recorder)
    installation.broke(ValueError("first"))
    installation.broke(ValueError("second"))

    assert len(caplog.records) == 1
    assert recorder.coverage["asyncpg"].state == "off"


def test_a_probe_off_error_is_not_an_error_of_the_users() -> None:
    assert not issubclass(ProbeOffError, ImportError)
