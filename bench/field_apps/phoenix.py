"""Arize Phoenix: traces of language models. PostgreSQL by asyncpg, started by its own script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

from unslow.cli.app_process import free_port

from .app import App, Checking, Site, Visitor

_TRACES_COUNT: Final = 60
_SPANS_COUNT: Final = 8
"""Of each trace."""
_EXAMPLES_COUNT: Final = 60


def _environment(site: Site) -> Mapping[str, str]:
    return {
        "PHOENIX_SQL_DATABASE_URL": site.database_url,
        "PHOENIX_WORKING_DIR": str(site.folder / "work"),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(site.port),
        "PHOENIX_GRPC_PORT": str(free_port("127.0.0.1")),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }


def _by_script(site: Site) -> Sequence[str]:
    return site.program("phoenix", "serve")


def _now() -> str:
    # What is asked for is asked for by its age.
    return datetime.now(UTC).isoformat()


def _spans(name: str, traces_count: int) -> list[dict[str, object]]:
    """The spans of as many traces, a root and its children, as a user's program sends them."""
    now = _now()
    spans = []
    for trace in range(traces_count):
        root = _id(8, name, trace, 0)
        for number in range(_SPANS_COUNT):
            span: dict[str, object] = {
                "name": f"step {number}",
                "context": {
                    "trace_id": _id(16, name, trace),
                    "span_id": _id(8, name, trace, number),
                },
                "span_kind": "LLM" if number else "CHAIN",
                "start_time": now,
                "end_time": now,
                "status_code": "OK",
                "attributes": {
                    "input.value": "a question " * 45,
                    "output.value": "an answer " * 80,
                    "llm.token_count.prompt": 12,
                    "session.id": f"session {name} {trace % 10}",
                },
            }
            if number:
                span["parent_id"] = root
            spans.append(span)
    return spans


def _id(bytes_count: int, *parts: object) -> str:
    """So many bytes in hexadecimal digits, other ones for other parts."""
    return blake2b(repr(parts).encode(), digest_size=bytes_count).hexdigest()


def _visit(visitor: Visitor) -> None:
    call, name = visitor.call, visitor.name
    call("POST /v1/projects", body={"name": name, "description": "field"})
    call("GET /v1/projects/{project_identifier}", name)
    call("GET /v1/projects/{project_identifier}/annotation_configs", name)
    dataset = _dataset(visitor, name, 5)
    call("GET /v1/datasets/{id}", dataset)
    call("GET /v1/datasets/{id}/versions", dataset)
    call("GET /v1/datasets/{id}/examples", dataset)
    call("GET /v1/datasets/{id}/csv", dataset)
    call("GET /v1/datasets/{id}/jsonl", dataset)
    _prompt(visitor, name)
    call("GET /v1/prompts/{prompt_identifier}/latest", name)
    call("GET /v1/prompts/{prompt_identifier}/versions", name)
    call("GET /v1/model_providers")
    call("DELETE /v1/datasets/{id}", dataset)


def _dataset(visitor: Visitor, name: str, examples_count: int) -> str:
    numbers = range(examples_count)
    made = visitor.call(
        "POST /v1/datasets/upload",
        query={"sync": "true"},
        body={
            "action": "create",
            "name": name,
            "inputs": [{"question": f"question {number}"} for number in numbers],
            "outputs": [{"answer": "an answer " * 30} for _ in numbers],
            "metadata": [{"number": number} for number in numbers],
        },
    )
    return str(made["data"]["dataset_id"])


def _prompt(visitor: Visitor, name: str) -> None:
    version = {
        "description": "field",
        "model_provider": "OPENAI",
        "model_name": "gpt",
        "template": {"type": "chat", "messages": [{"role": "user", "content": "hello " * 50}]},
        "template_type": "CHAT",
        "template_format": "MUSTACHE",
        "invocation_parameters": {"type": "openai", "openai": {}},
    }
    visitor.call("POST /v1/prompts", body={"prompt": {"name": name}, "version": version})


def _fill(visitor: Visitor) -> None:
    """What grows in such a place: projects with spans, datasets with experiments, prompts."""
    call, name, now = visitor.call, visitor.name, _now()
    call("POST /v1/projects", body={"name": name, "description": "field " * 30})
    call(
        "POST /v1/projects/{project_identifier}/spans",
        name,
        body={"data": _spans(name, _TRACES_COUNT)},
    )
    dataset = _dataset(visitor, f"dataset {name}", _EXAMPLES_COUNT)
    examples = call("GET /v1/datasets/{id}/examples", dataset)["data"]["examples"]
    for number in range(3):
        experiment = call(
            "POST /v1/datasets/{dataset_id}/experiments",
            dataset,
            body={"name": f"experiment {number}", "repetitions": 1},
        )["data"]["id"]
        for example in examples[:20]:
            run = {
                "dataset_example_id": example["id"],
                "output": {"answer": "an answer"},
                "repetition_number": 1,
                "start_time": now,
                "end_time": now,
            }
            call("POST /v1/experiments/{experiment_id}/runs", experiment, body=run)
    for number in range(3):
        _prompt(visitor, f"prompt-{name}-{number}")
        label = {"name": f"label {name} {number}", "color": "#ff0000"}
        call("POST /v1/dataset_labels", body=label)


APP: Final = App(
    name="phoenix",
    says="FastAPI with Strawberry and gRPC beside it, started by its own console script; async"
    " SQLAlchemy 2.1 on asyncpg",
    requirements=(
        "arize-phoenix==20.26.1",
        "fastapi==0.165.0",
        "starlette==1.10.0",
        "sqlalchemy[asyncio]==2.1.9",
        "asyncpg==0.32.0",
        "uvicorn==0.54.0",
    ),
    own="phoenix",
    wants_database=True,
    environment=_environment,
    prepare=lambda _: (),
    ways={"console-script": _by_script},
    alive="/healthz",
    visit=_visit,
    checking=Checking(command=_by_script, options=(), fill=_fill, fills_count=6),
)
