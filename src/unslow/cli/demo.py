"""`unslow demo`: a real PostgreSQL, a sample API with the classic mistakes, traffic, receipts."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from ..errors import CommandLineMissingError, DemoError, UnslowError
from ..model import workload as model
from ..prove.link import Link
from ..prove.trials import Stage
from ..prove.workload.sending import open_client
from ..report.progress import progress, stages
from ..settings import Settings, load
from ..store import StoreFormatError, StoreUnusableError
from ..wire import ARMS_VARIABLE
from .app_process import AppProcess
from .demo_app import STARTS_WITHIN_S, TARGET, serving
from .ending import Ended, Ending, cancelling
from .recording import Recording
from .reporting import Form, report_command, say_what_is_kept, show_report
from .trying import tried_on

if TYPE_CHECKING:
    from ..demo.traffic import Request

_NEEDED: Final = ("asyncpg", "fastapi", "httpx", "psycopg", "requests", "sqlalchemy", "uvicorn")
_EXAMPLE: Final = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
_CONNECTS_WITHIN_S: Final = 5
_LOOK_EVERY_S: Final = 0.2
_TRIALS_S: Final = 150.0
_MOST_REQUESTS: Final = 2_000
"""Of a route, in each of its trials."""
_SECRET: Final = re.compile(r"(?<=:)(?!//).+(?=@)|(?<=password=)\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the demo was asked for."""

    database: str | None
    keep: bool
    scale: float
    """Rows, as a share of the whole demo."""
    traffic: float
    """Requests, as a share of the whole demo."""
    trials_s: float
    """How long fixes are tried at most; 0: none is."""


@click.command()
@click.option(
    "--database",
    metavar="URL",
    help="An empty PostgreSQL database to use instead of one of its own; the demo's tables are"
    " dropped at the end.",
)
@click.option("--keep", is_flag=True, help="Leave the app and its database running until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--all", "everything", is_flag=True, help="Give each endpoint its bar, and more lines below it."
)
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Folder for the traces.  [default: .unslow]"
)
@click.option(
    "--trials/--no-trials", default=True, show_default=True, help="Try the fixes of what is found."
)
@click.option("--scale", type=click.FloatRange(0, 1), default=1.0, hidden=True)
@click.option("--traffic", type=click.FloatRange(0, 1), default=1.0, hidden=True)
@click.pass_context
def demo(
    ctx: click.Context,
    database: str | None,
    keep: bool,
    as_json: bool,
    everything: bool,
    folder: str | None,
    trials: bool,
    scale: float,
    traffic: float,
) -> None:
    """Show what unslow sees in a sample API with the classic mistakes.

    Starts a PostgreSQL of its own and fills it, serves the API, asks each endpoint alone and then
    with 20 users at once, tries the fixes of what it found on the running app, and prints where
    every millisecond went and what the fixes bring. Takes about three minutes. Nothing has to be
    set up before, and nothing stays behind but the traces, for `unslow report`.
    """
    _check_installed()
    settings = load()
    settings = replace(settings, folder=folder or settings.folder)
    address = None if database is None else _checked_address(database)
    plan = _Plan(address, keep, scale, traffic, _TRIALS_S if trials else 0.0)
    with Ending() as ending, ExitStack() as kept:
        ending.hold()
        recording, is_kept = _recording(kept, settings)
        try:
            ended, failed = _run(plan, recording, ending)
            show_report(
                recording.folder,
                recording.run,
                settings,
                target=TARGET,
                form=Form("json" if as_json else "text", everything=everything),
                on_stdout=True,
            )
        except Ended as stopped:
            if not _say_what_is_kept(recording, is_kept):
                click.echo("unslow: stopped before anything was recorded", err=True)
            ctx.exit(stopped.exit_code)
        except UnslowError:
            _say_what_is_kept(recording, is_kept)
            raise
        if failed:
            raise DemoError(failed)
        if ended is not None:
            ctx.exit(ended.exit_code)
        if not as_json:
            _say_what_is_next(recording, is_kept)


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise CommandLineMissingError(
            f"The demo needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not"
            " installed. Install what it needs: pip install 'unslow[demo]'"
        )


def _checked_address(text: str) -> str:
    """The address as every driver understands it.

    Raises:
        DemoError: it is none.
    """
    shown = _masked(text)
    try:
        parts = urlsplit(text)
        scheme = parts.scheme.partition("+")[0]
        is_whole = bool(parts.hostname and parts.path.strip("/")) and parts.port != 0
    except ValueError:
        scheme, is_whole = "", False
    if scheme not in {"postgresql", "postgres"} or not is_whole:
        raise DemoError(f"--database is {shown!r}, which is no address such as {_EXAMPLE}")
    if parts.query or parts.fragment:
        raise DemoError(
            f"--database is {shown!r}: leave out what stands behind the database's name. TLS is"
            " used where the server offers it."
        )
    return parts._replace(scheme="postgresql").geturl()


def _masked(text: str) -> str:
    """An address without its password; rather too much is taken out of it than too little."""
    return _SECRET.sub("***", text)


def _recording(kept: ExitStack, settings: Settings) -> tuple[Recording, bool]:
    """Records into the usual folder, or into one that goes where that cannot be written."""
    try:
        return Recording(settings), True
    except (StoreUnusableError, StoreFormatError) as error:
        click.echo(f"unslow: {error}", err=True)
        click.echo("unslow: the demo goes on, and its traces are not kept", err=True)
        folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="unslow-demo-"))
        return Recording(replace(settings, folder=folder)), False


def _run(plan: _Plan, recording: Recording, ending: Ending) -> tuple[Ended | None, str]:
    """Starts everything, sends the traffic, and ends everything.

    Returns:
        The Ctrl-C that ended what was to be kept, and what failed on the way.
    """
    ended: Ended | None = None
    with ExitStack() as stack:
        stack.enter_context(recording)
        try:
            ending.release()
            url = stack.enter_context(_database(plan, ending))
            app = stack.enter_context(_served(url, recording, ending))
            failed = _send_traffic(url, app, plan.traffic, ending)
            if plan.trials_s and not failed:
                _try_fixes(url, app, recording, plan.trials_s, ending)
            if plan.keep:
                ended = _keep(app, url, plan, ending)
        except Ended:
            click.echo("unslow: ending what the demo has started", err=True)
            raise
        finally:
            ending.hold()
    ending.release()
    return ended, failed


@contextmanager
def _database(plan: _Plan, ending: Ending) -> Iterator[str]:
    """A filled database: one of our own, or the one that was given, which is emptied again."""
    with ExitStack() as stack:
        if plan.database is None:
            url = stack.enter_context(_own_database())
        else:
            url = plan.database
            _check_reachable(url)
        filling = _Filling(url, ending)
        try:
            filling.run(plan.scale)
            yield url
        finally:
            if plan.database is not None and filling.has_made_tables:
                filling.undo()


class _Filling:
    """Fills a database, and knows whether the tables that are there are its own."""

    def __init__(self, url: str, ending: Ending) -> None:
        self.has_made_tables = False
        self._url = url
        self._ending = ending

    def run(self, scale: float) -> None:
        """Fills it.

        Raises:
            DemoError: it is not empty, or cannot be written.
        """
        from ..demo.data import COMMIT, STATISTICS, fill

        with progress("Filling 1,000 users, 50,000 posts, 500,000 comments") as update:

            def told(what: str, share: float) -> None:
                if what == COMMIT:
                    # Until it is known whether the tables are there, nothing may come in between.
                    self._ending.hold()
                    return
                self.has_made_tables = self.has_made_tables or what == STATISTICS
                self._ending.release()
                update(share)

            fill(self._url, told, scale=scale)

    def undo(self) -> None:
        """Drops the tables; says so where that is not possible."""
        from ..demo.data import clear

        try:
            clear(self._url)
        except DemoError as error:
            click.echo(f"unslow: {error}", err=True)


@contextmanager
def _own_database() -> Iterator[str]:
    from ..postgres.server import embedded_server

    with ExitStack() as stack:
        with progress("Starting PostgreSQL"):
            server = stack.enter_context(embedded_server())
            url = server.create_database("blog")
        yield url


def _check_reachable(url: str) -> None:
    """Checks that the database answers, before anything waits for it without end.

    Raises:
        DemoError: it does not.
    """
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=_CONNECTS_WITHIN_S).close()
    except psycopg.Error as error:
        raise DemoError(
            f"--database {_masked(url)} cannot be used: {_first_line(error)}. Give the"
            f" address of an empty database on a running PostgreSQL: {_EXAMPLE}"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


@contextmanager
def _served(url: str, recording: Recording, ending: Ending) -> Iterator[AppProcess]:
    """The demo's app, recorded as `unslow run` would record it."""
    from ..demo.stub import start_stub

    with start_stub() as stub:
        environment = {
            **recording.environment(os.environ),
            ARMS_VARIABLE: "1",
            "UNSLOW_DEMO_DATABASE_URL": url,
            "UNSLOW_DEMO_STUB_URL": stub,
        }
        # From here on to `release`: a process that is started is one that will be ended.
        ending.hold()
        with serving(environment) as app:
            ending.release()
            with progress("Starting the app"):
                app.wait_until_it_answers(STARTS_WITHIN_S)
            yield app


def _send_traffic(url: str, app: AppProcess, share: float, ending: Ending) -> str:
    """Asks every endpoint, alone and together with others.

    Returns:
        A message about the requests that failed; empty when none did.

    Raises:
        DemoError: the app ended.
    """
    from ..demo.traffic import USERS_TOGETHER, plan

    # Planned before, as the plan reads the database.
    rounds = [
        (users, words, plan(url, users))
        for users, words in ((1, "alone"), (USERS_TOGETHER, f"with {USERS_TOGETHER} users"))
    ]
    wrong: Counter[str] = Counter()
    for users, words, requests in rounds:
        first = requests[: max(1, round(len(requests) * share))]
        wrong += _send_round(app, first, users, words, ending)
    if not wrong:
        return ""
    kinds = ", ".join(f"{count:,} x {kind}" for kind, count in wrong.most_common())
    return (
        f"{wrong.total():,} of the demo's requests failed ({kinds}), so the report does not show"
        f" what it should: {_why_failed(url, app)}. Start the demo again."
    )


def _why_failed(url: str, app: AppProcess) -> str:
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=_CONNECTS_WITHIN_S).close()
    except psycopg.Error as error:
        return f"the database does not answer any more ({_first_line(error)})"
    said = app.last_lines(1)
    return f"the app wrote last {said[0].strip()!r}" if said else "the app wrote nothing about it"


def _send_round(
    app: AppProcess, requests: Sequence[Request], users: int, words: str, ending: Ending
) -> Counter[str]:
    """Sends some of the traffic; what went wrong, and how often."""
    from ..demo.traffic import send

    with progress(f"Asking each endpoint, {words}") as update:

        def told(route: str, share: float) -> None:
            if not route:
                # The first word, from the task that all others are part of.
                ending.call_instead(cancelling())
            app.check()
            update(share)

        ending.hold()
        try:
            sent = send(app.address, requests, users, told)
        finally:
            ending.release()
    if sent.not_sent_count:
        click.echo(
            f"unslow: {sent.not_sent_count:,} of {sent.requests_count:,} requests {words} were left"
            " out: this machine is too busy to send them in time",
            err=True,
        )
    wrong = Counter({f"status {status}": count for status, count in sent.statuses if status >= 400})
    wrong.update(dict(sent.errors))
    return wrong


def _try_fixes(
    url: str, app: AppProcess, recording: Recording, within_s: float, ending: Ending
) -> None:
    """Tries the fixes of what was found on the running app; a signal cancels it.

    Raises:
        Ended: a signal came.
    """
    from ..demo.traffic import USERS_TOGETHER, plan

    requests: dict[str, list[model.Request]] = defaultdict(list)
    for one in plan(url):
        request = model.Request(one.method, one.path, source="demo", route=one.route)
        # What writes is asked no more often than it was.
        if one.method == "GET" and request not in requests[request.operation]:
            requests[request.operation].append(request)

    async def tried(told: Callable[[str, float], None]) -> None:
        ending.call_instead(cancelling())
        async with open_client(app.address) as client:
            stage = Stage(
                client=client,
                link=Link(recording.listener, recording.serving_peers),
                headers=(),
                requests=requests,
                users_count=USERS_TOGETHER,
                left_count=lambda _route: _MOST_REQUESTS,
                deadline=time.monotonic() + within_s,
            )
            await tried_on(stage, recording.folder, recording.run, None, told)

    with stages() as told:
        ending.hold()
        try:
            asyncio.run(tried(told))
        finally:
            ending.release()


def _keep(app: AppProcess, url: str, plan: _Plan, ending: Ending) -> Ended:
    """Leaves everything as it is until Ctrl-C.

    Raises:
        DemoError: the app ended by itself.
    """
    shown = url if plan.database is None else _masked(url)
    try:
        click.echo(f"unslow: the app is at {app.address}/docs", err=True)
        click.echo(f"unslow: its database is at {shown}", err=True)
        click.echo("unslow: Ctrl-C ends both and prints the report", err=True)
        while True:
            ending.release()
            app.check()
            time.sleep(_LOOK_EVERY_S)
    except Ended as ended:
        ending.hold()
        ending.forget()
        return ended


def _say_what_is_kept(recording: Recording, is_kept: bool) -> bool:
    return is_kept and say_what_is_kept(recording.folder, recording.run, load().folder)


def _say_what_is_next(recording: Recording, is_kept: bool) -> None:
    if is_kept:
        more = report_command(recording.folder, load().folder)
        click.echo(
            f"unslow: more of it: {more} --all; your own app: unslow check MODULE:APP", err=True
        )
