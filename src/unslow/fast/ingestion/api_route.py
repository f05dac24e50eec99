"""The route of an ingest in FastAPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import Body

from ..api_routes import BareAPIRoute
from .batches import Added
from .receiver import Receiver
from .request_bodies import Receive, Scope, Send, limited

_REFUSALS: Final = {
    409: "It conflicts with what is stored",
    413: "The body is too long",
    503: "The database cannot take it now: send it again after `Retry-After` seconds",
}


def endpoint(receiver: Receiver) -> Any:
    """The same as a function for FastAPI, which validates the body itself."""

    async def add(event: Any) -> Any:
        return await receiver.add(event)

    body_type: Any = receiver.body_type
    add.__annotations__ = {"event": Annotated[body_type, Body()]}
    add.receiver = receiver  # type: ignore[attr-defined]  # put there by `endpoint`
    return add


class IngestRoute(BareAPIRoute):
    """The route of an `endpoint`."""

    bare_method = "POST"

    def accepts(self, values: Sequence[str]) -> bool:
        """It reads nothing of its path."""
        del values
        return True

    async def answer_bare(
        self, values: Sequence[str], scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Stores the event, in front of the app (`unslow.fast.bare`)."""
        del values
        receiver: Receiver = self.endpoint.receiver  # type: ignore[attr-defined]  # put there by `endpoint`
        await receiver(scope, receive, send)
        return True

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that has matched."""
        receiver: Receiver = self.endpoint.receiver  # type: ignore[attr-defined]  # put there by `endpoint`
        if scope["method"] == "POST" and self.stands_bare(scope):
            await receiver(scope, receive, send)
        else:
            await super().handle(scope, limited(receive, receiver.max_body_bytes), send)


def add_api_route(
    router: Any,
    path: str,
    receiver: Receiver,
    dependencies: Sequence[Any],
    options: dict[str, Any],
) -> None:
    """Adds the route to a router of FastAPI, whose own dependencies are added to it."""
    kind: Any = list[Added] if receiver.many else Added
    described = {code: {"description": why} for code, why in _REFUSALS.items()}
    options["responses"] = {**described, **options.get("responses", {})}
    options.setdefault("name", f"add_{receiver.model_name.lower()}")
    options.setdefault("description", "Answers once it is stored and committed.")
    router.add_api_route(
        path,
        endpoint(receiver),
        methods=["POST"],
        status_code=receiver.status_code,
        response_model=kind,
        dependencies=list(dependencies),
        route_class_override=IngestRoute,
        **options,
    )
