"""Compresses responses: in the proxy in front, or by a middleware.

Changes: texts go out compressed to clients that take it; nothing else about the answers.
Does not pay: between machines near each other, for answers of a few hundred bytes, and for images
and archives. It takes computing, in Python's own process if it is done there, so no trial shows a
gain: over loopback bytes cost next to nothing.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from ...model.proof import Arm
from ...model.trace import Trace
from ...numbers import size
from .advice import told
from .names import Names
from .patch import CannotWriteError, Patch, Subject
from .source import Source

_FIX: Final = "compress"
_MIDDLEWARE: Final = "app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)"
_LITESTAR: Final = 'compression_config=CompressionConfig("gzip", gzip_compress_level=5)'
_PROXY: Final = "gzip on; gzip_types application/json;  # nginx"


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The middleware."""
    return (Arm(_FIX, _middleware(subject)),)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """Says both ways: which of them is right depends on what stands in front of the app."""
    if _is_compressed(subject):
        return Patch(
            advice=told(
                f"{_sizes(subject)}, and they are compressed already: only fewer rows or fields, or"
                " pages, make less of them."
            )
        )
    return Patch(
        advice=told(
            f"{_sizes(subject)}; what gzip makes of them is not measured here, as over loopback it"
            " saves no time.",
            "if a proxy stands in front, let it compress: that takes no time of Python's; else add"
            " the middleware, at a level that leaves the processor to others.",
            code=f"{_middleware(subject)}\n{_PROXY}",
        )
    )


def _is_compressed(subject: Subject) -> bool:
    known = [one.response.is_compressed for one in subject.traces if one.response is not None]
    return sum(known) * 2 > len(known)


def _sizes(subject: Subject) -> str:
    sizes = [one.response_bytes for one in subject.traces if one.response_bytes]
    if not sizes:
        return "the answers are large"
    return f"half of the answers have {size(median(sizes))} or more, the largest {size(max(sizes))}"


def _middleware(subject: Subject) -> str:
    paths = dict.fromkeys(_path(one) for one in subject.traces)
    is_litestar = any(path and _imports_litestar(subject, path) for path in paths)
    return _LITESTAR if is_litestar else _MIDDLEWARE


def _path(trace: Trace) -> str:
    return "" if trace.endpoint is None else trace.endpoint.path


def _imports_litestar(subject: Subject, path: str) -> bool:
    text = subject.read(path)
    if text is None:
        return False
    try:
        names = Names(Source(path, text), subject.read)
    except CannotWriteError:
        return False
    return any(one.module.partition(".")[0] == "litestar" for one in names.imported.values())
