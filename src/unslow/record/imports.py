"""Starting each probe when the app imports its library."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from .catalogue import PROBES
from .probe import Probe, Probes

_MOST_PLACES: Final = 8
"""How often the hook may stand among the finders: another one may want to be the first as well."""


class ImportHook:
    """A finder that finds nothing itself, and starts a probe behind the import of its library.

    It wants to be the first: one before it would load a library unseen. pytest's is, which it puts
    there to rewrite the assertions of plugins, and anyio is a plugin.

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
        self.catch_up()
        sys.meta_path.insert(0, self)

    def uninstall(self) -> None:
        """Stops waiting; probes that run go on."""
        self._waiting.clear()
        while self in sys.meta_path:
            sys.meta_path.remove(self)

    def catch_up(self) -> None:
        """Starts the probes of what has been imported unseen.

        Not for the time of an import: a probe may import the very module that is being looked for.
        """
        for module in tuple(self._waiting):
            loaded = sys.modules.get(module)
            if loaded is not None and _is_loaded(loaded):
                self.imported(module)

    def imported(self, module: str) -> None:
        """Starts the probes that wait for a module."""
        for probe in self._waiting.pop(module, ()):
            self._probes.start(probe, module)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not sys.meta_path or sys.meta_path[0] is not self:
            self._go_first()
        if fullname not in self._waiting or fullname in self._finding:
            return None
        self._finding.add(fullname)
        try:
            spec = _find_with_others(self, fullname, path, target)
        finally:
            self._finding.discard(fullname)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Behind(spec.loader, self)  # type: ignore[assignment]  # see above
        return spec

    def _go_first(self) -> None:
        """Goes before those that were put before it, unless it was taken out or has to fight.

        Its older places stay: where one is taken away, a thread that goes through the finders at
        this moment leaves out another. One that is asked twice does no harm.
        """
        finders = sys.meta_path
        if self._waiting and 0 < sum(one is self for one in finders) < _MOST_PLACES:
            finders.insert(0, self)


def _is_loaded(module: ModuleType) -> bool:
    if type(module).__name__ == "_LazyModule":
        # It is loaded when it is touched, and not by us.
        return False
    return not getattr(getattr(module, "__spec__", None), "_initializing", False)


def _find_with_others(
    hook: ImportHook, fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    for finder in tuple(sys.meta_path):
        if finder is hook:
            continue
        find = getattr(finder, "find_spec", None)
        if find is None:
            # An old one, for Python up to 3.11, which knows how to ask it, and comes to it next.
            return None
        spec: ModuleSpec | None = find(fullname, path, target)
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
