"""A run that is recorded: the wire, the injected folder, and what the app's processes said."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import click

from ..agent import RUN_VARIABLE
from ..injected import make_folder, with_folder_first
from ..settings import Settings
from ..store import open_for_writing
from ..wire import BYE, HEALTH, HELLO, SERVED, SERVING, TROUBLE, Listener, Message, Peer

_SAID_AT_ONCE = frozenset({"agent", "store"})
"""Troubles that the user should hear of while the app runs; the others are reasons for later."""

_LAST_WORDS_S = 0.5
_LOOK_EVERY_S = 0.005


class Recording:
    """What a command's processes are given to find us, and what they told.

    Raises:
        StoreUnusableError: the store's folder cannot be written.
        StoreFormatError: another version of unslow wrote the store.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = Path(os.path.abspath(settings.folder))
        self.run = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {secrets.token_hex(4)}"
        self.hellos: list[Message] = []
        self.servers: set[str] = set()
        self.troubles: dict[str, str] = {}
        """The first of each kind."""
        self.left: tuple[int, ...] = ()
        """Processes that went on when the command had ended."""
        self._record_values = settings.record_values
        self._served: set[Peer] = set()
        self._traces_counts: dict[Peer, int] = {}
        """What processes said at their end that they have recorded."""
        open_for_writing(self.folder).close()
        self.injected = make_folder()
        self.listener = Listener(self._heard)

    def __enter__(self) -> Recording:
        self.listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hear_the_last()
        self.left = tuple(peer.process_id for peer in self.listener.peers())
        self.listener.close()
        if not self.left:
            # Those that go on may still have to import the rest of the agent.
            shutil.rmtree(self.injected, ignore_errors=True)

    def _hear_the_last(self) -> None:
        """Waits for what ended processes have said: it may still be on its way."""
        deadline = time.monotonic() + _LAST_WORDS_S
        while self.listener.peers() and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)

    @property
    def saw_no_request(self) -> bool:
        """Whether each process that served has said, at its end, that it recorded nothing."""
        said = self._traces_counts
        return self._served <= said.keys() and not any(said.values())

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of the command."""
        return {
            **with_folder_first(environ, self.injected),
            **self.listener.environment(),
            RUN_VARIABLE: self.run,
            # The app may start in a folder that has settings of its own.
            "UNSLOW_ENABLED": "true",
            "UNSLOW_FOLDER": str(self.folder),
            "UNSLOW_RECORD_VALUES": str(self._record_values).lower(),
        }

    def serving_peers(self) -> tuple[Peer, ...]:
        """The processes that serve an app and are there."""
        return tuple(peer for peer in self.listener.peers() if peer in self._served)

    def traces_so_far(self) -> int:
        """The requests that were recorded by now, as the processes tell when they are asked."""
        counts = dict(self._traces_counts)
        for peer in self.listener.peers():
            answer = self.listener.ask(peer, HEALTH, 1) if peer in self._served else None
            if answer is not None:
                counts[peer] = int(answer.get("traces_count", 0))
        return sum(counts.values())

    def _heard(self, peer: Peer, message: Message) -> None:
        kind = message["type"]
        if kind == HELLO:
            self.hellos.append(message)
        elif kind == SERVING:
            self.servers.add(message.get("server", ""))
            self._served.add(peer)
        elif kind in {SERVED, BYE}:
            self._traces_counts[peer] = int(message.get("traces_count", 0))
        elif kind == TROUBLE:
            self._trouble(str(message.get("what")), str(message.get("says")))

    def _trouble(self, what: str, says: str) -> None:
        if what not in self.troubles:
            self.troubles[what] = says
            if what in _SAID_AT_ONCE:
                click.echo(f"unslow: {says}", err=True)
