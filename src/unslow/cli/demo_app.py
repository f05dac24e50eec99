"""The demo's app in a process of its own, that ends with us however we end."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from ..errors import DemoError
from .app_process import AppProcess, Words, app_process

TARGET: Final = "unslow.demo.app:app"
STARTS_WITHIN_S: Final = 20.0
_HOST: Final = "127.0.0.1"
_WORDS: Final = Words("The demo's app", DemoError, "start the demo again")

# It listens at a socket that it is given, so nobody can take the port in between. Its standard
# input closes when we are gone, also after a SIGKILL.
_PROGRAM: Final = """
import os, signal, socket, sys, threading, uvicorn

def end_with_parent():
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_parent, daemon=True).start()
server = uvicorn.Server(uvicorn.Config(sys.argv[1], log_level="warning", access_log=False))
server.run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
sys.exit(0 if server.started else 3)
"""


@contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[AppProcess]:
    """Serves the app for the length of the block."""
    # Bound and not yet listening: connections are refused until the app serves.
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((_HOST, 0))
        address = f"http://{_HOST}:{bound.getsockname()[1]}"
        # `-P`: what lies in the current folder does not hide what the app imports.
        command = [sys.executable, "-P", "-c", _PROGRAM, TARGET, str(bound.fileno())]
        with app_process(command, environment, address, _WORDS, [bound.fileno()]) as app:
            # Else a connection is taken by the socket that is still open here.
            bound.close()
            yield app
