"""ContextForge: a gateway for tools of language models. Coroutines on a synchronous PostgreSQL."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Mapping, Sequence
from typing import Final

from .app import App, Checking, Site, Visitor

_EMAIL: Final = "admin@example.org"
_LETTERS: Final = "Not-the-letters-of-anything-1"
_KEY: Final = "only-for-this-run-only-for-this-run"
_TOKEN_S: Final = 24 * 3600
_TOOLS: Final = 12
_RESOURCES: Final = 8
_PROMPTS: Final = 8
_SERVERS: Final = 10
_MOST_OF_A_KIND: Final = 6
"""That belong to one server."""

_CHECKED: Final = (
    *("/servers/", "/servers/{server_id}", "/tools/", "/tools/{tool_id}"),
    *("/resources/", "/prompts/", "/gateways/", "/tags/", "/roots/", "/metrics", "/rbac/roles"),
)


def _environment(site: Site) -> Mapping[str, str]:
    return {
        "DATABASE_URL": site.database_url,
        "JWT_SECRET_KEY": _KEY,
        "AUTH_ENCRYPTION_SECRET": _KEY,
        "PLATFORM_ADMIN_EMAIL": _EMAIL,
        "PLATFORM_ADMIN_PASSWORD": _LETTERS,
        "CACHE_TYPE": "memory",
        "LOG_LEVEL": "ERROR",
        # Else each request writes, and a check sends those once.
        "SECURITY_LOGGING_ENABLED": "false",
        "STRUCTURED_LOGGING_DATABASE_ENABLED": "false",
        # Its lock is a file in the folder for temporary files.
        "TMPDIR": str(site.folder),
    }


def _by_uvicorn(site: Site) -> Sequence[str]:
    return site.program("uvicorn", "mcpgateway.main:app", "--port", str(site.port))


def _token() -> str:
    """What its own command for tokens prints: its login asks for a new password first."""
    now = int(time.time())
    who = {"sub": _EMAIL, "iss": "mcpgateway", "aud": "mcpgateway-api"}
    parts = ({"alg": "HS256", "typ": "JWT"}, {**who, "iat": now, "exp": now + _TOKEN_S})
    signed = ".".join(_base64(json.dumps(one).encode()) for one in parts)
    return f"{signed}.{_base64(hmac.digest(_KEY.encode(), signed.encode(), hashlib.sha256))}"


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _log_in(visitor: Visitor) -> None:
    visitor.headers["authorization"] = f"Bearer {_token()}"


def _make(visitor: Visitor, name: str, counts: Mapping[str, int], servers_count: int) -> None:
    """Tools, resources and prompts, and servers that have some of them."""
    made = {
        kind: [_made(visitor, kind, f"{name}-{kind}-{number}") for number in range(count)]
        for kind, count in counts.items()
    }
    chosen = random.Random(name)
    for number in range(servers_count):
        server = {"name": f"{name}-server-{number}", "description": "One of several", "tags": []}
        for kind, ids in made.items():
            count = min(len(ids), chosen.randint(1, _MOST_OF_A_KIND))
            server[f"associated_{kind}"] = chosen.sample(ids, count)
        visitor.call("POST /servers/", body={"server": server})


def _made(visitor: Visitor, kind: str, name: str) -> str:
    """The id of one thing that is made."""
    body = {"tools": _tool, "resources": _resource, "prompts": _prompt}[kind](name)
    return str(visitor.call(f"POST /{kind}/", body={kind.removesuffix("s"): body})["id"])


def _tool(name: str) -> Mapping[str, object]:
    return {
        "name": name,
        "url": f"http://localhost:9/{name}",
        "description": "Tells what the weather is like in a town",
        "integration_type": "REST",
        "request_type": "GET",
        "input_schema": {"type": "object", "properties": {"town": {"type": "string"}}},
    }


def _resource(name: str) -> Mapping[str, object]:
    return {"uri": f"note://{name}", "name": name, "content": "A few words. " * 20}


def _prompt(name: str) -> Mapping[str, object]:
    said = {"name": "text", "description": "What is to be said shorter", "required": True}
    return {"name": name, "template": "Say this shorter: {{ text }}", "arguments": [said]}


def _visit(visitor: Visitor) -> None:
    _log_in(visitor)
    _make(visitor, visitor.name, {"tools": 2, "resources": 1, "prompts": 1}, 2)
    for route in ("/servers/", "/tools/", "/resources/", "/prompts/", "/gateways/", "/tags/"):
        visitor.call(f"GET {route}")
    visitor.call("GET /health")


def _fill(visitor: Visitor) -> None:
    """What an administrator makes in a day."""
    _log_in(visitor)
    counts = {"tools": _TOOLS, "resources": _RESOURCES, "prompts": _PROMPTS}
    _make(visitor, visitor.name, counts, _SERVERS)


APP: Final = App(
    name="contextforge",
    says="FastAPI with coroutines; synchronous SQLAlchemy 2.0 on psycopg2",
    requirements=(
        "mcp-contextforge-gateway[postgres]==0.9.0",
        "mcp==1.24.0",
        "fastapi==0.124.4",
        "starlette==0.50.0",
        "sqlalchemy==2.0.45",
        "pydantic==2.12.5",
        "sse-starlette==3.0.4",
        "prometheus-fastapi-instrumentator==7.1.0",
        "uvicorn==0.40.0",
    ),
    own="mcpgateway",
    wants_database=True,
    environment=_environment,
    prepare=lambda _: (),
    ways={"uvicorn": _by_uvicorn},
    alive="/health",
    visit=_visit,
    checking=Checking(
        command=_by_uvicorn,
        # All of its 162 operations are too much to try the fixes of in one check.
        options=(
            *("--header", f"Authorization: Bearer {_token()}"),
            *(word for route in _CHECKED for word in ("--only", f"GET {route}")),
        ),
        fill=_fill,
        fills_count=5,
    ),
)
