"""Starts the agent in a Python process of a command that `unslow run` started.

Every Python that the command starts reads this file, old ones too: it is written in what Python 2.7
and all later ones understand. What goes wrong in it is told to the tool once and never stops the
process; an existing `sitecustomize` runs afterwards, as if this one were not there.
"""

import os
import sys

_NEEDED = (3, 11)


def _tell(what, says):
    # type: (str, str) -> None
    """Tells the tool what went wrong; where that fails too, the terminal."""
    try:
        import json
        import socket
        import struct

        message = {
            "type": "trouble",
            "what": what,
            "says": says,
            "process_id": os.getpid(),
            "secret": os.environ.get("UNSLOW_WIRE_SECRET", ""),
        }
        body = json.dumps(message).encode("utf-8")
        family, _, place = os.environ["UNSLOW_WIRE"].partition(":")
        if family == "unix":
            wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            wire = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            wire.settimeout(2)
            if family == "unix":
                wire.connect(place)
            else:
                host, _, port = place.rpartition(":")
                wire.connect((host, int(port)))
            wire.sendall(struct.pack(">I", len(body)) + body)
        finally:
            wire.close()
    except Exception:
        sys.stderr.write("unslow: {}\n".format(says))


def _leave_path(folder):
    # type: (str) -> None
    """Takes our folder off the path: children find it in PYTHONPATH, the app need not see it."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]


def _start(folder):
    # type: (str) -> None
    if sys.version_info < _NEEDED:
        version = ".".join(map(str, sys.version_info[:2]))
        says = "{} is Python {}; the agent needs {}.{} or later"
        _tell("python", says.format(sys.executable, version, *_NEEDED))
        return
    from importlib.util import find_spec

    found = find_spec("unslow")
    if found is None or found.origin is None:
        # Last, so that nothing of the app's can be hidden by it.
        sys.path.append(os.path.join(folder, "agent"))
    try:
        from unslow import agent

        agent.start_injected()
    except Exception as error:
        # Whatever it is, the app starts without us.
        says = "the agent did not start in process {} ({}): {}: {}"
        name = type(error).__name__
        _tell("agent", says.format(os.getpid(), sys.executable, name, error))


def _chain():
    # type: () -> None
    """Runs the `sitecustomize` that would have run without us, in our place."""
    if sys.version_info[0] == 2:
        import imp

        try:
            found = imp.find_module(__name__, sys.path)
        except ImportError:
            return
        imp.load_module(__name__, *found)
        return
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec(__name__, sys.path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules[__name__] = module
    spec.loader.exec_module(module)


_folder = os.path.dirname(os.path.abspath(__file__))
_leave_path(_folder)
if os.environ.get("UNSLOW_WIRE"):
    _start(_folder)
_chain()
