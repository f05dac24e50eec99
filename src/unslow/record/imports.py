"""Starting each probe when the app imports its library."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .catalogue import PROBES
from .probe import Probe, Probes


class ImportHook:
    """A finder that finds nothing itself, and starts a probe behind the import of its library.

    Without the base class of `importlib.abc`, whose import takes 4 ms in every Python process.
    """

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self._waiting: dict[str, list[Probe]] = {}
        self._finding: set[str] = set()

    def install(self) -> None:
        """Starts the probes of what is imported already and waits for the rest."""
        for probe in PROBES:
            for module in probe.modules:
                self._waiting.setdefault(module, []).append(probe)
        for module in tuple(self._waiting):
            loaded = sys.modules.get(module)
            if loaded is not None and not _still_loading(loaded):
                self.imported(module)
        sys.meta_path.insert(0, self)

    def uninstall(self) -> None:
        """Stops waiting; probes that run go on."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        self._waiting.clear()

    def imported(self, module: str) -> None:
        """Starts the probes that wait for a module."""
        for probe in self._waiting.pop(module, ()):
            self._probes.start(probe, module)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._waiting or fullname in self._finding:
            return None
        self._finding.add(fullname)
        try:
            spec = _find_with_others(self, fullname, path, target)
        finally:
            self._finding.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Behind(spec.loader, self)  # type: ignore[assignment]  # see above
        return spec


def _still_loading(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _find_with_others(
    hook: ImportHook, fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is hook:
            continue
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find(fullname, path, target) if find is not None else None
        if spec is not None:
            return spec
    return None


class _Behind:
    """A module's own loader, with the start of its probes behind it."""

    def __init__(self, loader: Any, hook: ImportHook) -> None:
        self._loader = loader
        self._hook = hook

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The module must look as if nobody had been here: readers of resources ask its loader.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._hook.imported(module.__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
