"""Find out why your Python API is slow - with the fix already tried.

PYTEST_DONT_REWRITE: pytest would rewrite the assertions of each module of a package that has a
plugin of its own, and complains of those that were imported before, as the agent's are.
"""

from typing import TypeVar

__version__ = "0.1.0"
__all__ = ["install", "uninstall"]

_App = TypeVar("_App")


def install(app: _App) -> _App:
    """Records every request that an ASGI application handles, and returns the one to serve.

    An object is traced in place and comes back itself; of a plain function a traced one comes back,
    so write `app = unslow.install(app)`.

    Raises:
        InstallError: what was given is no ASGI application.
        SettingError: a setting is wrong.
    """
    from . import agent

    return agent.install(app)


def uninstall() -> None:
    """Stops recording, and gives back every library, event loop and application as it was."""
    from . import agent

    agent.stop()
