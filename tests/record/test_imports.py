"""Probes start behind the import of their library, and nothing else changes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unslow.record import imports
from unslow.record.imports import ImportHook
from unslow.record.probe import Installation, Probe, ProbeOffError, Probes
from unslow.record.recorder import Recorder

LIBRARY = "unslow_test_library"
PROBE = "unslow_test_probes"


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    (tmp_path / f"{LIBRARY}.py").write_text("value = 'original'\n")
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


def test_a_bug_in_a_wrapper_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    installation = Installation("asyncpg", recorder)
    installation.broke(ValueError("first"))
    installation.broke(ValueError("second"))

    assert len(caplog.records) == 1
    assert recorder.coverage["asyncpg"].state == "off"


def test_a_probe_off_error_is_not_an_error_of_the_users() -> None:
    assert not issubclass(ProbeOffError, ImportError)
