"""`MODULE:APP` as a command: uvicorn in this interpreter, after what can be checked beforehand."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec

from ..errors import CommandLineMissingError, PortError, TargetError


@dataclass(frozen=True, slots=True)
class Serving:
    """How an app is to be served."""

    target: str
    """MODULE:APP."""
    host: str = "127.0.0.1"
    port: int = 8000
    workers_count: int = 1
    factory: bool = False
    reload: bool = False

    def command(self) -> tuple[str, ...]:
        """The command that serves it.

        Raises:
            TargetError: the target is not written as it must be, or there is no such module.
            PortError: the address cannot be had.
            CommandLineMissingError: uvicorn is not installed.
        """
        check_target(self.target)
        if find_spec("uvicorn") is None:
            raise CommandLineMissingError(
                f"{self.target} is served with uvicorn, which is not installed for"
                f" {sys.executable}. Install it: pip install 'unslow[cli]'"
            )
        check_address(self.host, self.port)
        arguments = [sys.executable, "-m", "uvicorn", self.target]
        arguments += ["--host", self.host, "--port", str(self.port)]
        arguments += ["--workers", str(self.workers_count)] if self.workers_count > 1 else []
        arguments += ["--factory"] if self.factory else []
        arguments += ["--reload"] if self.reload else []
        return tuple(arguments)


def check_target(target: str) -> None:
    """Checks what can be known of MODULE:APP without running any of the app.

    Raises:
        TargetError: it is not written so, or there is no such module.
    """
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        raise TargetError(
            f"{target!r} is not MODULE:APP, such as app:app for the name app in app.py. A command"
            f" of its own stands behind two dashes: unslow run -- {target} ..."
        )
    if os.sep in module or module.endswith(".py"):
        dotted = module.removesuffix(".py").strip("./").replace(os.sep, ".")
        raise TargetError(
            f"{module!r} in {target!r} is a file; a module is wanted: {dotted}:{attribute}"
        )
    if not _is_there(module):
        raise TargetError(
            f"There is no module {module!r} in {os.getcwd()} or in the packages of"
            f" {sys.executable}. Start in the folder that the app is imported from, or correct the"
            " name."
        )


def _is_there(module: str) -> bool:
    path: Sequence[str] | None = [os.getcwd()]
    top, *rest = module.split(".")
    spec = PathFinder.find_spec(top, path) or _found(top, None)
    for count in range(len(rest)):
        path = None if spec is None else spec.submodule_search_locations
        if path is None:
            return False
        spec = _found(".".join([top, *rest[: count + 1]]), path)
    return spec is not None


def _found(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """As the import system finds a module, without importing the packages above it."""
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def check_address(host: str, port: int) -> None:
    """Checks that an address can be listened at.

    Raises:
        PortError: it is in use, not ours, or not allowed.
    """
    try:
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as probe:
            # As the server itself does: an address left a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise PortError(_why_not(host, port, error)) from error


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use by another program. End that one, or give a free"
            " port: --port 8001"
        )
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used without rights. Give one above 1023: --port 8000"
    return f"{host} port {port} cannot be served at: {error.strerror}. Give an address: --host"
