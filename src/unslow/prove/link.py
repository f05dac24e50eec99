"""The tool's end of the wire, as a check uses it: arms, and the traces as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from ..errors import WireError
from ..model.codec import trace_of
from ..model.trace import Trace
from ..wire import ARM, DISARM, KEYS, REFUSED, TRACES, Listener, Message, Peer, tupled

WATCH: Final = "watch"
COMPARE: Final = "compare"

_PATIENCE_S: Final = 10.0


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

    def new_traces(self) -> tuple[Trace, ...]:
        """What was recorded since the last call.

        Raises:
            WireError: a process did not answer.
        """
        return tuple(trace for peer in self._serving() for trace in self._traces_of(peer))

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
