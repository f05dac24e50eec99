"""tiled: arrays and tables over HTTP. SQLite by aiosqlite, started by its own script."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from .app import App, Site, Visitor

_KEY: Final = "onlyforthisrun"
_NUMBERS: Final = 10_000


def _environment(site: Site) -> Mapping[str, str]:
    return {"TILED_CACHE_DIR": str(site.folder / "cache")}


def _by_script(site: Site) -> Sequence[str]:
    return site.program(
        "tiled",
        "serve",
        "catalog",
        str(site.folder / "catalog.db"),
        "--init",
        "--write",
        str(site.folder / "data"),
        "--api-key",
        _KEY,
        "--port",
        str(site.port),
    )


def _array(name: str) -> dict[str, object]:
    structure = {
        "data_type": {"endianness": "little", "kind": "f", "itemsize": 8},
        "chunks": [[_NUMBERS]],
        "shape": [_NUMBERS],
        "dims": None,
        "resizable": False,
    }
    return {
        "id": name,
        "structure_family": "array",
        "metadata": {"color": "blue"},
        "specs": [],
        "data_sources": [
            {
                "structure_family": "array",
                "structure": structure,
                "mimetype": "application/x-zarr",
                "management": "writable",
            }
        ],
    }


def _visit(visitor: Visitor) -> None:
    call, home = visitor.call, f"home-{visitor.name}"
    path = f"{home}/numbers"
    visitor.headers["authorization"] = f"Apikey {_KEY}"
    visitor.headers["accept-encoding"] = "gzip"
    call("GET /healthz")
    call("GET /api/v1/")
    # A folder of its own: a search beside somebody's delete is a 500 of the application's own.
    container = {"id": home, "structure_family": "container", "metadata": {}, "data_sources": []}
    call("POST /api/v1/metadata/{path}", "", body=container | {"specs": []})
    call("POST /api/v1/metadata/{path}", home, body=_array("numbers"))
    numbers = struct.pack(f"<{_NUMBERS}d", *range(_NUMBERS))
    call("PUT /api/v1/array/full/{path}", path, raw=numbers, kind="application/octet-stream")
    call("GET /api/v1/metadata/{path}", path)
    call("GET /api/v1/array/full/{path}", path, query={"format": "application/octet-stream"})
    call("GET /api/v1/array/full/{path}", path, query={"slice": "::100"})
    call("GET /api/v1/array/block/{path}", path, query={"block": 0})
    call(
        "PATCH /api/v1/metadata/{path}",
        path,
        body={
            "content-type": "application/merge-patch+json",
            "metadata": {"color": "red"},
            "specs": None,
        },
    )
    call("GET /api/v1/revisions/{path}", path)
    call("GET /api/v1/search/{path}", home, query={"page[limit]": 10})
    call("GET /api/v1/distinct/{path}", home, query={"metadata": "color", "counts": "true"})
    call("GET /api/v1/container/full/{path}", home, query={"format": "json"})
    call("DELETE /api/v1/metadata/{path}", path, query={"external_only": "false"})
    call("DELETE /api/v1/metadata/{path}", home)
    call("GET /openapi.json")


APP: Final = App(
    name="tiled",
    says="FastAPI with streamed arrays, started by its own console script; async SQLAlchemy 2.0 on"
    " aiosqlite, uvloop",
    requirements=(
        "tiled[server]==0.2.20",
        "fastapi==0.165.0",
        "starlette==1.10.0",
        "sqlalchemy[asyncio]==2.0.58",
        "aiosqlite==0.22.1",
        "uvicorn==0.54.0",
        "uvloop==0.23.0",
    ),
    own="tiled",
    wants_database=False,
    environment=_environment,
    prepare=lambda _: (),
    ways={"console-script": _by_script},
    alive="/healthz",
    visit=_visit,
)
