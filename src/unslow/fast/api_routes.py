"""Routes of FastAPI that leave out its work per request where nothing else is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.routing import APIRoute

from .front import PARAMETER, Scope


class BareAPIRoute(APIRoute):
    """A route that can answer without the framework.

    Whether it may depends on where it stands: routers bring parameters and dependencies of their
    own.
    """

    path_names: Sequence[str] | None = None
    """The parameters that it reads of its path; `None` where it reads none, whichever there are."""
    _app: Any = None
    _is_bare_in_app: bool = False
    _place: Any = None
    _is_bare_in_place: bool = False

    def is_bare(self, path: str, dependencies: Sequence[Any]) -> bool:
        """Whether nothing of the framework's is asked of it at this path.

        Args:
            path: Its own, behind the prefixes of the routers that it is in.
            dependencies: All that are to be solved: its own, the app's, the routers'.
        """
        is_read = self.path_names is None or [*self.path_names] == PARAMETER.findall(path)
        return is_read and not dependencies

    def stands_bare(self, scope: Scope) -> bool:
        """The same where this request has found it."""
        app = scope.get("app")
        if app is not self._app:
            self._app = app
            # There, all dependencies have been added to its own.
            is_in_app = any(one is self for one in getattr(app, "routes", ()))
            self._is_bare_in_app = is_in_app and self.is_bare(self.path, self.dependencies)
        if self._is_bare_in_app:
            return True
        # FastAPI keeps in the scope what the router adds that it came with; where that is not
        # found, it may be anything.
        place = scope.get("fastapi", {}).get("effective_route_context")
        if place is not self._place:
            self._place = place
            dependencies = getattr(place, "dependencies", None)
            self._is_bare_in_place = (
                getattr(place, "original_route", None) is self
                and dependencies is not None
                and self.is_bare(getattr(place, "path", ""), dependencies)
            )
        return self._is_bare_in_place
