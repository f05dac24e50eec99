"""The tool's end of the wire, as a check uses it: arms, and the traces as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ..errors import WireError
from ..model.codec import trace_of
from ..model.proof import Arm
from ..model.trace import Trace
from ..wire import (
    ARM,
    DISARM,
    FLUSH,
    GUARD,
    KEYS,
    REFUSED,
    REROUTE,
    SAMPLES,
    TRACES,
    Listener,
    Message,
    Peer,
    tupled,
)

WATCH: Final = "watch"
COMPARE: Final = "compare"

_PATIENCE_S: Final = 10.0
_NAMED: Final = f"{WireError.__name__}: "
"""How the app begins what a switch says on purpose."""


class SwitchRefusedError(WireError):
    """A switch cannot act in this app; the message says why, and nothing else."""


class Fared(NamedTuple):
    """How a switch fared in the app since it is on."""

    fired_count: int = 0
    whys: tuple[str, ...] = ()
    """Why it did not act where it was to."""
    broke: str = ""


class Samples(NamedTuple):
    """What the app told of requests of trials."""

    walls_ms: Mapping[int, float]
    """By the number of a timed request, from the call of the app to the last byte."""
    fared: Mapping[str, Fared]


class Link:
    """Speaks to each process of the app that serves; one that ends meanwhile is left out."""

    def __init__(self, listener: Listener, serving: Callable[[], Iterable[Peer]]) -> None:
        self._listener = listener
        self._serving = serving
        self._positions: dict[Peer, int] = {}

    def arm(self, switch: str) -> None:
        """Switches something on in the app.

        Raises:
            WireError: a process refused, or did not answer.
        """
        for peer in self._serving():
            self._ask(peer, ARM, {"switch": switch})

    def disarm(self, switch: str) -> None:
        """Switches it off again.

        Raises:
            WireError: as `arm` does.
        """
        for peer in self._serving():
            self._ask(peer, DISARM, {"switch": switch})

    @property
    def secret(self) -> str:
        """What the app's processes know the tool by."""
        return self._listener.secret

    @property
    def processes_count(self) -> int:
        """How many processes serve the app."""
        return sum(1 for _ in self._serving())

    def switch_on(self, name: str, arm: Arm) -> None:
        """Switches a fix on for the requests that name an arm, beside others that the arm has.

        Raises:
            SwitchRefusedError: the switch cannot act in this app.
            WireError: a process did not answer.
        """
        fields = {"switch": arm.fix, "arm": name, "parameters": dict(arm.parameters)}
        for peer in self._serving():
            answer = self._listener.ask(peer, ARM, _PATIENCE_S, **fields)
            if answer is not None and answer["type"] == REFUSED:
                raise SwitchRefusedError(str(answer.get("why")).removeprefix(_NAMED))

    def switch_off(self, name: str) -> None:
        """Takes back all fixes of an arm.

        Raises:
            WireError: as `switch_on` does.
        """
        for peer in self._serving():
            self._ask(peer, DISARM, {"arm": name})

    def samples(self) -> Samples:
        """What the requests of trials took since the last call, and how the arms fared.

        Raises:
            WireError: a process did not answer.
        """
        walls_ms: dict[int, float] = {}
        fared: dict[str, Fared] = {}
        for peer in self._serving():
            answer = self._ask(peer, SAMPLES, {}) or {"samples": [], "arms": {}}
            walls_ms.update((number, ns / 1e6) for number, ns in answer["samples"])
            for name, one in answer["arms"].items():
                fared[name] = Fared(int(one["fired"]), tuple(one["whys"]), str(one["broke"]))
        return Samples(walls_ms, fared)

    def new_traces(self) -> tuple[Trace, ...]:
        """What was recorded since the last call.

        Raises:
            WireError: a process did not answer.
        """
        return tuple(trace for peer in self._serving() for trace in self._traces_of(peer))

    def database_addresses(self) -> tuple[str, ...]:
        """The addresses, `host:port`, of the databases that can be led another way.

        Raises:
            WireError: a process did not answer.
        """
        answers = (self._ask(peer, REROUTE, {}) for peer in self._serving())
        found = (one for answer in answers if answer for one in answer["addresses"])
        return tuple(dict.fromkeys(found))

    def reroute(self, routes: Mapping[str, int]) -> tuple[str, ...]:
        """Has databases asked through ports of 127.0.0.1; no routes: by their own ways again.

        Returns:
            Why some are not, a sentence each.

        Raises:
            WireError: a process did not answer.
        """
        answers = (self._ask(peer, REROUTE, {"routes": dict(routes)}) for peer in self._serving())
        left = (one for answer in answers if answer for one in answer.get("not_rerouted", ()))
        return tuple(f"{what}: {why}" for what, why in left)

    def guard(self, *, on: bool) -> Mapping[str, str]:
        """Has the app's databases refuse to write from now on, or no more.

        Returns:
            Why a pool is not guarded, by its name in traces, as far as is known by now. For pools
            without SQLAlchemy the name is that of their driver.

        Raises:
            WireError: a process did not answer.
        """
        answers = (self._ask(peer, GUARD, {"on": on}) for peer in self._serving())
        return {
            str(pool): str(why)
            for answer in answers
            if answer
            for pool, why in answer["not_guarded"].items()
        }

    def flush(self) -> None:
        """Has all that was recorded written.

        Raises:
            WireError: a process did not answer.
        """
        for peer in self._serving():
            self._ask(peer, FLUSH, {})

    def database_hosts(self) -> frozenset[str]:
        """The hosts of the databases that the app's engines lead to, asked or not.

        Raises:
            WireError: a process did not answer.
        """
        answers = (self._ask(peer, KEYS, {}) for peer in self._serving())
        return frozenset(host for one in answers if one is not None for host in one["hosts"])

    def keys(self, may_ask: Callable[[str], bool]) -> Mapping[str, Sequence[object]]:
        """Some keys of the app's tables, by the table's name, as one of its processes reads them.

        Args:
            may_ask: Whether a database at a host may be asked before any request has reached it.

        Raises:
            WireError: the process did not answer.
        """
        for peer in self._serving():
            there = self._ask(peer, KEYS, {})
            near = [host for host in there["hosts"] if may_ask(host)] if there else []
            answer = self._ask(peer, KEYS, {"hosts": near}) if there else None
            if answer is not None:
                found: Mapping[str, Sequence[object]] = answer["keys"]
                return found
        return {}

    def _traces_of(self, peer: Peer) -> Iterator[Trace]:
        more = True
        while more:
            answer = self._ask(peer, TRACES, {"since": self._positions.get(peer, 0)})
            if answer is None:
                return
            self._positions[peer] = int(answer["last"])
            more = bool(answer["more"])
            for packed in answer["traces"]:
                yield trace_of(tupled(packed))

    def _ask(self, peer: Peer, kind: str, fields: Mapping[str, object]) -> Message | None:
        """What a process answers; None when it has ended."""
        answer = self._listener.ask(peer, kind, _PATIENCE_S, **fields)
        if answer is None and peer not in self._listener.peers():
            return None
        if answer is None or answer["type"] == REFUSED:
            why = "did not answer" if answer is None else str(answer.get("why"))
            raise WireError(
                f"The app's process {peer.process_id} was asked for {kind!r}: {why}. Look at what"
                " the app wrote last, and check it again."
            )
        return answer
