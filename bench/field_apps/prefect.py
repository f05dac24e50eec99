"""Prefect's server: the state of workflows. PostgreSQL by asyncpg, started by its own script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .app import App, Checking, Site, Visitor

_READS: Final = (
    "artifacts/filter",
    "artifacts/latest/filter",
    "artifacts/count",
    "automations/filter",
    "block_documents/filter",
    "block_schemas/filter",
    "block_types/filter",
    "concurrency_limits/filter",
    "v2/concurrency_limits/filter",
    "deployments/filter",
    "deployments/paginate",
    "deployments/count",
    "flow_runs/filter",
    "flow_runs/paginate",
    "flow_runs/count",
    "flows/filter",
    "flows/paginate",
    "flows/count",
    "logs/filter",
    "saved_searches/filter",
    "task_runs/filter",
    "task_runs/paginate",
    "task_runs/count",
    "variables/filter",
    "variables/count",
    "work_pools/filter",
    "work_pools/{work_pool_name}/queues/filter",
    "work_queues/filter",
)
"""What its pages ask for, by POST."""


def _environment(site: Site) -> Mapping[str, str]:
    return {
        "PREFECT_HOME": str(site.folder / "home"),
        "PREFECT_API_DATABASE_CONNECTION_URL": site.database_url.replace(
            "postgresql://", "postgresql+asyncpg://"
        ),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def _by_script(site: Site) -> Sequence[str]:
    where = ("--host", "127.0.0.1", "--port", str(site.port))
    return site.program("prefect", "server", "start", *where)


def _visit(visitor: Visitor) -> None:
    call, name = visitor.call, visitor.name
    call("GET /api/version")
    flow = call("POST /api/flows/", body={"name": f"flow {name}", "tags": ["field"]})["id"]
    call("GET /api/flows/{id}", flow)
    call("POST /api/flows/filter", body={"limit": 50})
    call("POST /api/flows/count", body={})

    deployment = call(
        "POST /api/deployments/", body={"name": f"deployment {name}", "flow_id": flow}
    )["id"]
    call("GET /api/deployments/{id}", deployment)
    call("POST /api/deployments/filter", body={"limit": 50})

    scheduled = {"state": {"type": "SCHEDULED", "name": "Scheduled"}}
    run = call(
        "POST /api/deployments/{id}/create_flow_run", deployment, body=scheduled | {"tags": ["a"]}
    )["id"]
    for state in ("PENDING", "RUNNING"):
        call("POST /api/flow_runs/{id}/set_state", run, body={"state": {"type": state}})
    task = call(
        "POST /api/task_runs/",
        body={"flow_run_id": run, "task_key": "load", "dynamic_key": "0", "name": "load-0"},
    )["id"]
    call("GET /api/task_runs/{id}", task)
    _log(visitor, run)
    call("POST /api/logs/filter", body={"limit": 100})
    call("POST /api/flow_runs/{id}/set_state", run, body={"state": {"type": "COMPLETED"}})
    call("GET /api/flow_runs/{id}", run)
    # Of its own runs: what others have at that moment, and how far they are, is chance.
    call("POST /api/flow_runs/filter", body={"flow_runs": {"id": {"any_": [run]}}, "limit": 50})
    call(
        "POST /api/flow_runs/history",
        body={
            "history_start": "2026-01-01T00:00:00Z",
            "history_end": "2026-01-02T00:00:00Z",
            "history_interval_seconds": 3600,
        },
    )
    variable = f"variable_{name.replace('-', '_')}"
    call("POST /api/variables/", body={"name": variable, "value": 1})
    call("GET /api/variables/name/{name}", variable)
    call("POST /api/artifacts/", body={"key": f"artifact-{name}", "type": "table", "data": "[]"})
    call("DELETE /api/variables/name/{name}", variable)
    call("DELETE /api/flows/{id}", flow)


def _fill(visitor: Visitor) -> None:
    """What grows in such a place: flows with their deployments, and runs with tasks and logs."""
    call, name = visitor.call, visitor.name
    pool = f"pool-{name}"
    call("POST /api/work_pools/", body={"name": pool, "type": "process"})
    queues = "/api/work_pools/{work_pool_name}/queues"
    for number in range(5):
        call(f"POST {queues}", pool, body={"name": f"queue-{number}"})
    for number in range(10):
        own = f"{name}-{number}"
        flow = call("POST /api/flows/", body={"name": f"flow {own}", "tags": [name]})["id"]
        deployment = call(
            "POST /api/deployments/",
            body={
                "name": f"deployment {own}",
                "flow_id": flow,
                "tags": [name],
                "work_pool_name": pool,
                "work_queue_name": f"queue-{number % 5}",
                "schedules": [{"active": False, "schedule": {"interval": 3600}}],
            },
        )["id"]
        for _ in range(3):
            _fill_run(visitor, deployment)
        variable = f"variable_{own.replace('-', '_')}"
        call("POST /api/variables/", body={"name": variable, "value": number, "tags": [name]})
        call("POST /api/artifacts/", body={"key": f"artifact-{own}", "type": "table", "data": "[]"})
        call("PUT /api/saved_searches/", body={"name": f"search {own}"})
        limit = {"concurrency_limit": 5}
        call("POST /api/concurrency_limits/", body={"tag": f"tag-{own}", **limit})
        call("POST /api/v2/concurrency_limits/", body={"name": f"limit-{own}", "limit": 5})


def _fill_run(visitor: Visitor, deployment: str) -> None:
    call = visitor.call
    scheduled = {"state": {"type": "SCHEDULED", "name": "Scheduled"}, "tags": ["a"]}
    run = call("POST /api/deployments/{id}/create_flow_run", deployment, body=scheduled)["id"]
    call("POST /api/flow_runs/{id}/set_state", run, body={"state": {"type": "RUNNING"}})
    for number in range(3):
        task = {
            "flow_run_id": run,
            "task_key": "load",
            "dynamic_key": str(number),
            "name": f"load-{number}",
            "state": {"type": "COMPLETED"},
        }
        call("POST /api/task_runs/", body=task)
    _log(visitor, run)
    call("POST /api/flow_runs/{id}/set_state", run, body={"state": {"type": "COMPLETED"}})


def _log(visitor: Visitor, run: str) -> None:
    lines = [
        {
            "name": "field",
            "level": 20,
            "message": f"line {number}",
            "timestamp": "2026-01-01T00:00:00Z",
            "flow_run_id": run,
        }
        for number in range(20)
    ]
    visitor.call("POST /api/logs/", body=lines)


APP: Final = App(
    name="prefect",
    says="FastAPI under a mount, started by its own console script; async SQLAlchemy 2.1 on"
    " asyncpg",
    requirements=(
        "prefect==3.8.8",
        # Later ones refuse `Body(min_items=...)`, which this Prefect still writes.
        "fastapi==0.150.0",
        "starlette==1.10.0",
        "sqlalchemy[asyncio]==2.1.9",
        "asyncpg==0.32.0",
        "uvicorn==0.54.0",
    ),
    own="prefect",
    wants_database=True,
    environment=_environment,
    prepare=lambda _: (),
    ways={"console-script": _by_script},
    alive="/api/health",
    visit=_visit,
    checking=Checking(
        command=_by_script,
        options=(
            *("--openapi", "/api/openapi.json"),
            *(word for one in _READS for word in ("--read-only-post", f"POST /api/{one}")),
        ),
        fill=_fill,
        fills_count=5,
    ),
)
