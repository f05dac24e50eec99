"""`unslow run`: serves an app, or runs a command, with the agent in its processes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import click
from click.core import ParameterSource

from ..errors import CommandError, SilentCommandError, StartUpError
from ..numbers import counted
from ..prove.workload.recorded import FILE, write_recorded
from ..record.exchanges import parts_of
from ..settings import Settings, load
from ..store import StoreMissingError
from .behind import TakesCommand, command_of
from .child import Child, Signals, end_as
from .recording import Recording
from .reporting import Form, live_report, show_report
from .serving import Serving
from .silence import BY_HAND, Reason, why_silent

_UVICORN_COULD_NOT_START: Final = 3
_GRACE_AFTER_TROUBLE_S: Final = 5.0
_GRACE_TO_END_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.1
_LONG_S: Final = 3600.0
_HELP: Final = """\
Serve MODULE:APP, or run a COMMAND that serves one, and report where its time goes.

\b
  unslow run shop.main:app --port 8001
  unslow run --live shop.main:create_app --factory
  unslow run -- gunicorn -k uvicorn_worker.UvicornWorker shop.main:app

MODULE:APP is served by uvicorn. COMMAND is any that starts Python somewhere: gunicorn, a script, a
shell. It keeps its terminal, signals and exit code. Send it requests; the report comes at its end,
on stderr, and again with `unslow report`.
"""


@click.command(
    cls=TakesCommand,
    options_metavar="[OPTIONS]",
    help=_HELP,
    short_help="Serve your app, or run its command, and report where its time goes.",
)
@click.argument("targets", metavar="MODULE:APP | -- COMMAND ...", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve at.")
@click.option("--port", default=8000, show_default=True, help="Port to serve at.")
@click.option("--workers", default=1, show_default=True, help="Number of worker processes.")
@click.option("--factory", is_flag=True, help="APP is a function that makes the app.")
@click.option("--reload", is_flag=True, help="Start again when a file changes.")
@click.option("--live", is_flag=True, help="Show the report while the app runs, below its output.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, on stdout.")
@click.option("--record-values", is_flag=True, help="Record the parameters of statements too.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    help="Folder for the traces.  [default: .unslow]",
)
@click.pass_context
def run(
    ctx: click.Context,
    targets: tuple[str, ...],
    host: str,
    port: int,
    workers: int,
    factory: bool,
    reload: bool,
    live: bool,
    as_json: bool,
    record_values: bool,
    folder: str | None,
) -> None:
    """Serves an app, or runs a command, to its end, and shows what was recorded."""
    command = command_of(ctx)
    if len(targets) + bool(command) != 1:
        raise click.UsageError(
            "Give one of both: MODULE:APP, or a command behind two dashes, such as"
            f" unslow run -- {' '.join(targets) or 'gunicorn app:app'}"
        )
    settings = load()
    settings = replace(
        settings,
        folder=folder or settings.folder,
        record_values=record_values or settings.record_values,
    )
    if command:
        _refuse_serving_options(ctx)
    else:
        command = Serving(targets[0], host, port, workers, factory, reload).command()
    target = targets[0] if targets else ""
    end_as(_run(command, target, settings, live=live, as_json=as_json))


def _run(
    command: Sequence[str], target: str, settings: Settings, *, live: bool, as_json: bool
) -> int:
    """Runs the command to its end and shows what was recorded; its exit code."""
    if not hasattr(os, "posix_spawnp"):
        raise CommandError(
            "unslow run needs a POSIX system, which this is not. Call unslow.install(app) in the"
            " app instead."
        )
    if not settings.enabled:
        click.echo("unslow: the setting `enabled` is false: nothing is recorded", err=True)
        with Signals() as signals:
            return _to_its_end(Child(command, os.environ, signals))
    with Signals() as signals, Recording(settings) as recording:
        started = time.monotonic()
        with live_report(
            recording.folder, recording.run, recording.traces_so_far, wanted=live
        ) as file_actions:
            child = Child(command, recording.environment(os.environ), signals, file_actions)
            _wait_for_hello(child, recording, settings.hello_timeout_s)
            exit_code = _to_its_end(child)
        took_s = time.monotonic() - started
    if settings.record_values:
        _gather_requests(recording)
    _check_start_up(target, exit_code, recording)
    _say_what_is_missing(child, recording, took_s)
    with contextlib.suppress(StoreMissingError):
        show_report(
            recording.folder,
            recording.run,
            settings,
            target=target,
            form=Form("json") if as_json else Form(),
        )
    return exit_code


def _gather_requests(recording: Recording) -> None:
    """Makes one file of the requests that the processes have kept with their values."""
    parts = parts_of(recording.folder, recording.run)
    written = write_recorded(recording.folder / FILE, parts)
    for part in parts:
        part.unlink(missing_ok=True)
    if written.requests_count:
        click.echo(
            f"unslow: {counted(written.requests_count, 'distinct request')} with their values are"
            f" in {recording.folder / FILE}; unslow check --recorded sends them again",
            err=True,
        )


def _to_its_end(child: Child) -> int:
    while (exit_code := child.wait(_LONG_S)) is None:
        pass
    return exit_code


def _wait_for_hello(child: Child, recording: Recording, patience_s: float) -> None:
    """Waits until a process has said hello, or the command has ended.

    Raises:
        SilentCommandError: neither happened in time; the command was ended.
    """
    started = time.monotonic()
    deadline = started + patience_s
    while not recording.hellos and child.wait(_LOOK_EVERY_S) is None:
        if recording.troubles:
            # It may have come from a helper of the app; the app itself deserves a little more.
            deadline = min(deadline, time.monotonic() + _GRACE_AFTER_TROUBLE_S)
        if time.monotonic() >= deadline:
            waited_s = time.monotonic() - started
            reason = _why_silent(child, recording)
            child.end(_GRACE_TO_END_S)
            raise SilentCommandError(
                f"No process of the command said hello within {waited_s:.0f} s, so it was ended:"
                f" {reason.says}. {reason.advice}."
            )


def _why_silent(child: Child, recording: Recording) -> Reason:
    return why_silent(recording.troubles, child.process_id, child.arguments, recording.injected)


def _check_start_up(target: str, exit_code: int, recording: Recording) -> None:
    """Says why an app that we were to serve did not start.

    Raises:
        StartUpError: it ended before it could serve.
    """
    reason = None if recording.servers else recording.troubles.get("app")
    if not target or (reason is None and exit_code != _UVICORN_COULD_NOT_START):
        return
    says = (reason or "its start-up failed").rstrip(".")
    raise StartUpError(
        f"{target} did not start: {says}. Its last lines stand above; mend what they name and start"
        " again."
    )


def _say_what_is_missing(child: Child, recording: Recording, took_s: float) -> None:
    """Says why there is nothing to report, where that is so."""
    if not recording.hellos:
        reason = _why_silent(child, recording)
        says = (
            f"the command ended by itself after {took_s:.1f} s, and nothing was recorded:"
            f" {reason.says}. {reason.advice}"
        )
    elif not recording.servers and "app" in recording.troubles:
        says = f"nothing was recorded: the app could not be loaded: {recording.troubles['app']}"
    elif not recording.servers:
        says = (
            "nothing was recorded: the agent was there, but no app came up at a server that it"
            f" knows (uvicorn, hypercorn, granian, gunicorn). If one is served, {BY_HAND}"
        )
    elif recording.saw_no_request:
        says = "the app was served, but no request reached it while it was"
    else:
        says = ""
    if says:
        click.echo(f"unslow: {says}", err=True)
    if recording.left:
        processes = ", ".join(map(str, recording.left))
        click.echo(
            f"unslow: the command has ended, but processes of it go on and record into"
            f" {recording.folder}: {processes}",
            err=True,
        )


def _refuse_serving_options(ctx: click.Context) -> None:
    """A command brings its own address and workers.

    Raises:
        UsageError: one of ours was given for it.
    """
    given = [
        f"--{name}"
        for name in ("host", "port", "workers", "factory", "reload")
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if given:
        raise click.UsageError(
            f"{', '.join(given)} belongs to MODULE:APP; a command takes its own options behind its"
            " name: unslow run -- COMMAND OPTIONS"
        )
