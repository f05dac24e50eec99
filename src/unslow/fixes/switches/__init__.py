"""Fixes as they are switched on in the running app: one file for each, named as the fix is."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...current import OpenArm
from ...errors import WireError
from ..catalogue import FIXES

Undo = Callable[[], None]


class Tools(NamedTuple):
    """What a switch may use of the agent."""

    caller_place: Callable[[], tuple[str, int, str] | None]
    """Path, line and qualified function of the innermost line of the user's own code that calls."""


Parameters = Mapping[str, Any]

Switch = Callable[[OpenArm, Parameters, Tools], Undo]
"""Switches a fix on for the requests of an arm; what it returns takes all of it back."""


def switch_of(fix_id: str) -> Switch:
    """The switch of a fix.

    Raises:
        WireError: there is no such fix, or it has no switch.
    """
    if not any(one.id == fix_id and one.has_switch for one in FIXES):
        raise WireError(f"There is no switch for the fix {fix_id!r}.")
    module = importlib.import_module(f"{__name__}.{fix_id.replace('-', '_')}")
    found: Switch = module.switch_on
    return found
