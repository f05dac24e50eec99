"""fractal-server: image analysis workflows. PostgreSQL by psycopg, in production under gunicorn."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from .app import App, Checking, Site, Visitor

_EMAIL: Final = "admin@example.org"
_LETTERS: Final = "not-the-letters-of-anything"
_IMAGES: Final = 20
_LARGEST: Final = 20
_MOST_JOBS: Final = 10
"""Larger projects have none: each takes a process of its own."""


def _environment(site: Site) -> Mapping[str, str]:
    url = urlsplit(site.database_url)
    return {
        "POSTGRES_HOST": url.hostname or "127.0.0.1",
        "POSTGRES_PORT": str(url.port or 5432),
        "POSTGRES_USER": unquote(url.username or "postgres"),
        "POSTGRES_DB": url.path.lstrip("/"),
        "JWT_SECRET_KEY": "only-for-this-run-only-for-this-run",
        "JWT_EXPIRE_SECONDS": "84600",
    } | ({"POSTGRES_PASSWORD": unquote(url.password)} if url.password else {})


def _prepare(site: Site) -> Sequence[Sequence[str]]:
    first_user = ("--admin-email", _EMAIL, "--admin-pwd", _LETTERS)
    folder = ("--admin-project-dir", str(site.folder))
    defaults = ("--resource", "default", "--profile", "default")
    return (
        site.program("fractalctl", "set-db"),
        site.program("fractalctl", "init-db-data", *defaults, *first_user, *folder),
    )


def _by_gunicorn(site: Site) -> Sequence[str]:
    worker = "fractal_server.gunicorn_fractal.FractalWorker"
    where = f"127.0.0.1:{site.port}"
    return site.program("gunicorn", "fractal_server.main:app", "-k", worker, "-w", "2", "-b", where)


def _by_uvicorn(site: Site) -> Sequence[str]:
    port = str(site.port)
    return site.program("uvicorn", "fractal_server.main:app", "--port", port, "--workers", "2")


def _by_one_uvicorn(site: Site) -> Sequence[str]:
    return site.program("uvicorn", "fractal_server.main:app", "--port", str(site.port))


def _log_in(visitor: Visitor) -> None:
    visitor.headers.clear()
    form = {"username": _EMAIL, "password": _LETTERS}
    token = visitor.call("POST /auth/token/login/", form=form)
    visitor.headers["authorization"] = f"Bearer {token['access_token']}"


def _visit(visitor: Visitor) -> None:
    call, name = visitor.call, visitor.name
    _log_in(visitor)
    call("GET /auth/current-user/")
    call("GET /auth/users/")
    call("GET /auth/group/")
    call("GET /admin/v2/resource/")

    projects = "/api/v2/project/"
    project = call(f"POST {projects}", body={"name": f"project {name}"})["id"]
    call(f"GET {projects}")
    call(f"GET {projects}{{project_id}}/", project)
    call(f"PATCH {projects}{{project_id}}/", project, body={"name": f"project {name}, renamed"})

    datasets = f"{projects}{{project_id}}/dataset/"
    dataset = call(f"POST {datasets}", project, body={"name": f"dataset {name}"})
    call(f"GET {datasets}", project)
    images = f"{datasets}{{dataset_id}}/images/"
    for number in range(_IMAGES):
        _add_image(visitor, project, dataset, number)
    call(f"POST {images}query/", project, dataset["id"], body={"attribute_filters": {}})

    workflows = f"{projects}{{project_id}}/workflow/"
    workflow = call(f"POST {workflows}", project, body={"name": f"workflow {name}"})["id"]
    _add_task(visitor, project, workflow, _make_task(visitor, f"task {name}"))
    call(f"GET {workflows}", project)
    call(f"GET {workflows}{{workflow_id}}/", project, workflow)
    call("GET /api/v2/task-group/")
    call(f"GET {projects}{{project_id}}/job/", project)
    call(f"DELETE {projects}{{project_id}}/", project)
    call("GET /api/alive/")


def _add_image(visitor: Visitor, project: int, dataset: Mapping[str, object], number: int) -> None:
    image = {
        "zarr_url": f"{dataset['zarr_dir']}/image-{number}",
        "attributes": {"plate": "one", "well": str(number)},
        "types": {"flat": True},
    }
    images = "/api/v2/project/{project_id}/dataset/{dataset_id}/images/"
    visitor.call(f"POST {images}", project, dataset["id"], body=image)


def _make_task(visitor: Visitor, name: str) -> int:
    task = {"name": name, "command_parallel": "true", "type": "parallel"}
    number: int = visitor.call("POST /api/v2/task/", body=task)["id"]
    return number


def _add_task(visitor: Visitor, project: int, workflow: int, task: int) -> None:
    tasks = "/api/v2/project/{project_id}/workflow/{workflow_id}/wftask/"
    visitor.call(f"POST {tasks}", project, workflow, query={"task_id": task}, body={})


def _fill(visitor: Visitor) -> None:
    """What grows in such a place: users and groups, and projects of several sizes."""
    call, name = visitor.call, visitor.name
    _log_in(visitor)
    group = call("POST /auth/group/", body={"name": f"group {name}"})["id"]
    for number in range(10):
        user = {
            "email": f"{name}-{number}@example.org",
            "password": _LETTERS,
            "project_dirs": [f"/data/{name}-{number}"],
        }
        user_id = call("POST /auth/register/", body=user)["id"]
        call("POST /auth/group/{group_id}/add-user/{user_id}/", group, user_id)
    # Most are small, and a few are large.
    sizes = random.Random(name)
    for number in range(9):
        size = min(_LARGEST, int(2 * sizes.paretovariate(1)))
        _fill_project(visitor, f"{name}, {number}", size)


def _fill_project(visitor: Visitor, name: str, size: int) -> None:
    """Datasets, one of them with images; workflows of fewer and fewer tasks; and their jobs."""
    call = visitor.call
    project = call("POST /api/v2/project/", body={"name": f"project {name}"})["id"]
    datasets, workflows = (
        [
            call(
                f"POST /api/v2/project/{{project_id}}/{kind}/",
                project,
                body={"name": f"{kind} {name}, {number}"},
            )
            for number in range(size)
        ]
        for kind in ("dataset", "workflow")
    )
    for number in range(2 * size):
        _add_image(visitor, project, datasets[0], number)
    tasks = [_make_task(visitor, f"task {name}, {number}") for number in range(size)]
    for number, (dataset, workflow) in enumerate(zip(datasets, workflows, strict=True)):
        for task in tasks[number:]:
            _add_task(visitor, project, workflow["id"], task)
        if size < _MOST_JOBS:
            where = {"workflow_id": workflow["id"], "dataset_id": dataset["id"]}
            call("POST /api/v2/project/{project_id}/job/submit/", project, query=where, body={})


APP: Final = App(
    name="fractal-server",
    says="FastAPI, SQLModel and fastapi-users; async SQLAlchemy 2.0 on psycopg",
    requirements=(
        "fractal-server==2.18.5",
        "fastapi==0.128.8",
        "starlette==0.52.1",
        "sqlalchemy==2.0.58",
        "sqlmodel==0.0.31",
        "psycopg[binary]==3.3.9",
        "uvicorn==0.40.0",
        "uvicorn-worker==0.4.0",
        "gunicorn==23.0.0",
    ),
    own="fractal_server",
    wants_database=True,
    environment=_environment,
    prepare=_prepare,
    ways={
        "gunicorn": _by_gunicorn,
        "console-script": lambda site: site.program(
            "fractalctl", "start", "--port", str(site.port)
        ),
        "uvicorn-workers": _by_uvicorn,
    },
    alive="/api/alive/",
    visit=_visit,
    checking=Checking(
        command=_by_one_uvicorn,
        options=(
            *("--login", "POST /auth/token/login/", "--token-from", "access_token"),
            *("--form", f"username={_EMAIL}", "--form", f"password={_LETTERS}"),
        ),
        fill=_fill,
        fills_count=5,
    ),
)
