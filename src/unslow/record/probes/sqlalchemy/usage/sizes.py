"""About how much a value of a column weighs."""

from __future__ import annotations

from typing import Any, Final

_OTHER_BYTES: Final = 8
_MOST_PARTS: Final = 10_000
"""Of a document or array; what it has beyond is left out."""


def size_bytes(value: Any) -> int:
    """The length of strings and bytes, also inside of lists and dicts; 8 for anything else."""
    if type(value) is str or type(value) is bytes:
        return len(value)
    size = 0
    waiting = [value]
    for _ in range(_MOST_PARTS):
        if not waiting:
            break
        part = waiting.pop()
        if isinstance(part, str | bytes | bytearray):
            size += len(part)
        elif isinstance(part, dict):
            waiting += part.keys()
            waiting += part.values()
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif part is not None:
            # An array of numbers has a size of its own, be it NumPy's.
            size += part.nbytes if hasattr(type(part), "nbytes") else _OTHER_BYTES
    return size
