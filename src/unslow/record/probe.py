"""How a probe starts, fails and stops."""

from __future__ import annotations

import importlib
import inspect
import logging
from typing import Any, NamedTuple

from ..patching import Patches
from .recorder import Recorder

log = logging.getLogger("unslow")


class Probe(NamedTuple):
    """A line of the catalogue: one library, one file in `probes/`."""

    name: str
    modules: tuple[str, ...]
    """The modules whose import by the app starts the probe; `install` is called for each."""


class ProbeOffError(Exception):
    """A probe does not start here; the message says why, for the coverage."""


def require(owner: Any, name: str, *parameters: str) -> None:
    """Checks that a private name of a library looks as a probe expects it.

    Args:
        owner: The class or module that should have the name.
        name: An attribute that can be called.
        parameters: How its parameters should begin. A built-in that does not tell passes.

    Raises:
        ProbeOffError: The name is missing, or looks otherwise.
    """
    found = getattr(owner, name, None)
    if not callable(found):
        raise ProbeOffError(f"{owner.__name__} has no {name}")
    try:
        begins = tuple(inspect.signature(found).parameters)[: len(parameters)]
    except ValueError:
        return
    if begins != parameters:
        raise ProbeOffError(f"{owner.__name__}.{name} takes {begins}, not {parameters}")


class Installation:
    """What one probe has put into one library.

    `patches` replaces names; `broke` is for the wrappers: a bug of ours is logged once, takes the
    probe's patches back and lets the app go on.
    """

    def __init__(self, name: str, recorder: Recorder) -> None:
        self.name = name
        self.recorder = recorder
        self.patches = Patches()
        self._broken = False

    def cover(self, what: str, state: str = "on", why: str = "") -> None:
        """Notes something that this probe records, or does not, and why."""
        self.recorder.cover(what, state, why)

    def broke(self, error: BaseException) -> None:
        """Switches the probe off after a bug of ours."""
        if self._broken:
            return
        self._broken = True
        log.error("probe %s broke and is off: %s", self.name, type(error).__name__, exc_info=error)
        self.recorder.cover(self.name, "off", f"broke: {type(error).__name__}")
        self.patches.undo()


class Probes:
    """The probes of this process."""

    def __init__(self, recorder: Recorder, package: str) -> None:
        self._recorder = recorder
        self._package = package
        self._installed: list[Installation] = []

    def start(self, probe: Probe, module: str) -> None:
        """Installs a probe for a module that has just been imported; never raises."""
        installation = Installation(probe.name, self._recorder)
        try:
            code: Any = importlib.import_module(f"{self._package}.{probe.name}")
            code.install(installation, module)
        except ProbeOffError as reason:
            installation.patches.undo()
            installation.cover(probe.name, "off", str(reason))
        except Exception as error:
            installation.broke(error)
        else:
            self._installed.append(installation)

    def stop(self) -> None:
        """Undoes what all probes did, last first."""
        while self._installed:
            self._installed.pop().patches.undo()
