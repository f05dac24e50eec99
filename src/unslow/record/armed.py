"""Requests of a trial: each names the arm that it runs under; it is timed, and recorded if asked.

A request that is only timed costs what it costs without us: what recording adds would count for a
fix that sends fewer statements.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple

from ..current import ARM, OpenArm, clock

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[Any]]

HEADER: Final = b"unslow"
"""`SECRET.NUMBER.ARM.KIND`: of the run, of the request, of the arm (empty: none), how it runs."""
RECORDED: Final = "recorded"
TIMED: Final = "timed"
ALONE: Final = "alone"
"""Timed with nothing else in flight: it begins with a heap that was just collected, so that it pays
for no garbage but its own. Else what one arm leaves is collected in a request of another."""
_PARTS_COUNT: Final = 4


class Asked(NamedTuple):
    """What the header of a request says."""

    number: int
    arm: str
    kind: str


class ArmedRequests:
    """Runs the requests of trials, and keeps what they took until the tool asks for it."""

    def __init__(self, secret: str, mark: str) -> None:
        self.arms: dict[str, OpenArm] = {}
        """Those that requests may name."""
        self._secret = secret.encode()
        self._mark = mark
        """The key in a scope that says that the request is known."""
        self._samples: list[tuple[int, int]] = []

    def take_samples(self) -> list[tuple[int, int]]:
        """Number and nanoseconds of each timed request since the last call.

        From the call of the app to the return of the send that carried the last byte.
        """
        samples, self._samples = self._samples, []
        return samples

    def asked(self, scope: Scope) -> Asked | None:
        """What a request asks for; takes its header out of the scope. None: of no trial."""
        headers = scope["headers"]
        value = next((value for name, value in headers if name == HEADER), None)
        if value is None:
            return None
        parts = bytes(value).split(b".")
        # Only here: every process of a command imports this module, and few have trials.
        import hmac

        if len(parts) != _PARTS_COUNT or not hmac.compare_digest(parts[0], self._secret):
            return None
        scope["headers"] = [one for one in headers if one[0] != HEADER]
        _, number, arm, kind = (part.decode() for part in parts)
        return Asked(int(number), arm, kind)

    async def call(
        self,
        app: Application,
        traced: Application,
        asked: Asked,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> Any:
        """Calls the app for a request of a trial.

        Args:
            app: The application.
            traced: Calls the same with the request recorded.
            asked: What the request's header says.
            scope, receive, send: The request.
        """
        arm = self.arms.get(asked.arm)
        token = ARM.set(arm)
        try:
            if asked.kind == RECORDED:
                return await self._carefully(arm, traced, scope, receive, send)
            scope[self._mark] = None
            if asked.kind == ALONE:
                gc.collect()
            return await self._timed(app, asked.number, scope, receive, send)
        finally:
            ARM.reset(token)

    async def _carefully(
        self, arm: OpenArm | None, traced: Application, scope: Scope, receive: Receive, send: Send
    ) -> Any:
        if arm is None:
            return await traced(scope, receive, send)
        arm.careful = True
        try:
            return await traced(scope, receive, send)
        finally:
            arm.careful = False

    async def _timed(
        self, app: Application, number: int, scope: Scope, receive: Receive, send: Send
    ) -> Any:
        start = clock()

        async def timing(message: MutableMapping[str, Any]) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._samples.append((number, clock() - start))

        return await app(scope, receive, timing)
