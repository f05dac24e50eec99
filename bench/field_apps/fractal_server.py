"""fractal-server: image analysis workflows. PostgreSQL by psycopg, in production under gunicorn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from .app import App, Site, Visitor

_EMAIL: Final = "admin@example.org"
_LETTERS: Final = "not-the-letters-of-anything"
_IMAGES: Final = 20


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


def _visit(visitor: Visitor) -> None:
    call, name = visitor.call, visitor.name
    visitor.headers.clear()
    token = call("POST /auth/token/login/", form={"username": _EMAIL, "password": _LETTERS})
    visitor.headers["authorization"] = f"Bearer {token['access_token']}"
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
        image = {
            "zarr_url": f"{dataset['zarr_dir']}/image-{number}",
            "attributes": {"plate": "one", "well": str(number)},
            "types": {"flat": True},
        }
        call(f"POST {images}", project, dataset["id"], body=image)
    call(f"POST {images}query/", project, dataset["id"], body={"attribute_filters": {}})

    workflows = f"{projects}{{project_id}}/workflow/"
    workflow = call(f"POST {workflows}", project, body={"name": f"workflow {name}"})["id"]
    task = call(
        "POST /api/v2/task/",
        body={"name": f"task {name}", "command_parallel": "true", "type": "parallel"},
    )["id"]
    call(
        f"POST {workflows}{{workflow_id}}/wftask/",
        project,
        workflow,
        query={"task_id": task},
        body={},
    )
    call(f"GET {workflows}", project)
    call(f"GET {workflows}{{workflow_id}}/", project, workflow)
    call("GET /api/v2/task-group/")
    call(f"GET {projects}{{project_id}}/job/", project)
    call(f"DELETE {projects}{{project_id}}/", project)
    call("GET /api/alive/")


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
)
