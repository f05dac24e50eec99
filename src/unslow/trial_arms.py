"""The arms of trials in this process: fixes that are switched on, and what their requests took."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .current import OpenArm
from .fixes.switches import Tools, Undo, switch_of
from .record.armed import ArmedRequests
from .record.middleware import MARK
from .record.place import PackedPlace, caller_place, resolve
from .record.recorder import recorder
from .wire import Message

if TYPE_CHECKING:
    from .record.guard import Guarded


class TrialArms:
    """Switches fixes on and off as the tool asks; off they are all when the tool is gone."""

    def __init__(self, secret: str) -> None:
        self._requests = recorder.armed = ArmedRequests(secret, MARK)
        self._undo: dict[str, list[Undo]] = {}
        self._closing = threading.Lock()
        self._way_back: Undo = _nothing
        self._guarded: Guarded | None = None

    def switch_on(self, name: str, fix: str, parameters: Mapping[str, Any]) -> None:
        """Switches a fix on for the requests of an arm, beside others that it may have.

        Raises:
            WireError: there is no such switch, or it cannot act in this app.
        """
        arm = self._requests.arms.get(name) or OpenArm(name)
        undo = switch_of(fix)(arm, parameters, Tools(_caller_place))
        with self._closing:
            self._undo.setdefault(name, []).append(undo)
            self._requests.arms[name] = arm

    def switch_off(self, name: str) -> None:
        """Takes back all fixes of an arm; nothing happens where there is no such arm."""
        with self._closing:
            self._requests.arms.pop(name, None)
            undos = self._undo.pop(name, [])
        for undo in reversed(undos):
            undo()

    def samples(self, _: Message) -> Message:
        """What requests took since the last call, and how the arms fared since they are on."""
        arms = tuple(self._requests.arms.values())
        return {
            "samples": self._requests.take_samples(),
            "arms": {
                one.name: {"fired": one.fired_count, "whys": dict(one.whys), "broke": one.broke}
                for one in arms
            },
        }

    def reroute(self, asked: Message) -> Message:
        """Leads the app's databases another way, as long as there are `routes`.

        Without SQLAlchemy there is none that could be.
        """
        from .record.reroute import database_addresses, reroute

        with self._closing:
            way_back, self._way_back = self._way_back, _nothing
        way_back()
        routes = asked.get("routes")
        if not routes:
            return {"addresses": database_addresses()}
        led = reroute(routes)
        with self._closing:
            self._way_back = led.undo
        return {"rerouted": led.rerouted, "not_rerouted": led.not_rerouted}

    def guard(self, asked: Message) -> Message:
        """Puts the read-only guard up where it is not, or takes it down."""
        from .record.guard import guard

        if asked.get("on"):
            if self._guarded is None:
                self._guarded = guard()
            return {"not_guarded": self._guarded.not_guarded()}
        with self._closing:
            guarded, self._guarded = self._guarded, None
        if guarded is None:
            return {"not_guarded": {}}
        guarded.undo()
        return {"not_guarded": guarded.not_guarded()}

    def close(self) -> None:
        """Takes back everything."""
        self._way_back()
        self.guard({})
        for name in list(self._undo):
            self.switch_off(name)
        if recorder.armed is self._requests:
            recorder.armed = None


def _nothing() -> None:
    pass


def _caller_place() -> PackedPlace | None:
    return resolve(caller_place())
