"""`unslow load`: requests at a constant rate, and what an app makes of them."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
import httpx

from ..errors import UnslowError
from ..hosts import is_near
from ..model.load import Knee, Load
from ..model.workload import READ_METHODS, Headers, Request
from ..numbers import average
from ..prove.fine_loop import fine_loop
from ..prove.knee import find_knee
from ..prove.load import CONNECTIONS_COUNT, load_client, open_loop
from ..prove.workload import login as logins
from ..prove.workload.address import split_address
from ..prove.workload.sending import send
from ..prove.workload.sniffing import read_file
from ..report.loaded import knee_json, knee_lines, load_json, load_lines
from ..report.progress import stages
from .ending import Ended, Ending, cancelling
from .paper import print_lines

_HELP: Final = """\
Send requests at a constant rate, and say how long they took.

\b
  unslow load http://127.0.0.1:8000/users --rate 100
  unslow load http://127.0.0.1:8000 --requests shop.http --rate 50 --seconds 30
  unslow load http://127.0.0.1:8000/users --rate 20 --seconds 3 --find-knee

The rate stays, whatever the answers take: the time of each counts from when it was due, so that an
app that stands still is not flattered. Ctrl-C shows what was measured so far.
"""
_ABOVE_NONE: Final = click.FloatRange(min=0, min_open=True, max=1e6)


class LoadError(UnslowError):
    """What was named is not to be sent requests, or did not answer the first one."""


def _number(_ctx: click.Context, _option: click.Parameter, value: float) -> float:
    """What a range lets pass though it is no number."""
    if isnan(value):
        raise click.BadParameter(f"{value!r} is no number.")
    return value


@dataclass(frozen=True, slots=True)
class _Target:
    """Where requests go, and which."""

    base_url: str
    requests: tuple[Request, ...]
    headers: Headers
    name: str
    """As it is shown: without values."""


@click.command(help=_HELP, short_help="Send requests at a constant rate: an open loop.")
@click.argument("url")
@click.option(
    "--rate",
    required=True,
    type=_ABOVE_NONE,
    callback=_number,
    help="Requests per second; with --find-knee at first.",
)
@click.option(
    "--seconds",
    default=10.0,
    type=_ABOVE_NONE,
    callback=_number,
    show_default=True,
    help="How long; with --find-knee each stretch.",
)
@click.option("--find-knee", is_flag=True, help="Raise the rate until the app falls behind.")
@click.option(
    "--connections",
    default=CONNECTIONS_COUNT,
    type=click.IntRange(min=1),
    show_default=True,
    help="Requests under way at most; the others wait, and their wait counts.",
)
@click.option(
    "--requests",
    "requests_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Send what this file holds: .http, HAR, curl commands or an access log.",
)
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Sent with each.")
@click.option(
    "--headers-from",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of headers, one a line.",
)
@click.option("--allow-writes", is_flag=True, help="What the file holds may write, many times.")
@click.option("--yes-this-host", is_flag=True, help="The host need not be near.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def load(ctx: click.Context, /, url: str, as_json: bool, **given: Any) -> None:
    """Sends, and prints what was measured."""
    target = _target(url, given)
    try:
        with Ending() as ending:
            ending.hold()
            measured = _measured(target, given, ending)
            _show(measured, target.name, as_json=as_json)
            ending.release()
    except Ended as ended:
        ctx.exit(ended.exit_code)


def _target(url: str, given: dict[str, Any]) -> _Target:
    """What is sent, and where to.

    Raises:
        UsageError: the address is none.
        LoadError: it is not near, or something may write.
        RequestFileError: the file cannot be read.
        HeaderError: a header cannot be read.
    """
    try:
        origin, path = split_address(url)
        host = urlsplit(origin).hostname or ""
    except ValueError as error:
        raise click.UsageError(f"URL cannot be asked; wanted is {error}") from None
    if not host:
        raise click.UsageError(f"URL is {url.partition('?')[0]!r}; wanted is http://HOST:PORT/PATH")
    if not given["yes_this_host"] and not is_near(host):
        raise LoadError(
            f"{host} is neither this machine nor at a private address, and others may be using it."
            " If it is yours to load, say --yes-this-host."
        )
    name = f"{origin}{path.partition('?')[0]}"
    headers = _headers(given)
    file = given["requests_file"]
    if file is None:
        return _Target(origin, (Request("GET", path, source="URL"),), headers, f"GET {name}")
    requests = read_file(file).requests
    if not given["allow_writes"]:
        _refuse_writes(requests, file.name)
    return _Target(name.rstrip("/"), requests, headers, f"{file.name} at {name}")


def _headers(given: dict[str, Any]) -> Headers:
    from_file = logins.headers_from(given["headers_from"]) if given["headers_from"] else ()
    return (*from_file, *(logins.header(one) for one in given["headers"]))


def _refuse_writes(requests: tuple[Request, ...], name: str) -> None:
    writing = [one for one in requests if one.method not in READ_METHODS]
    if writing:
        methods = Counter(one.method for one in writing)
        told = ", ".join(f"{count} {method}" for method, count in methods.items())
        raise LoadError(
            f"{name} holds requests that may write ({told}; the first is {writing[0].source}), and"
            " each would be sent many times. Take them out, or say --allow-writes."
        )


def _measured(target: _Target, given: dict[str, Any], ending: Ending) -> Load | Knee:
    """Sends; a signal ends it early.

    Raises:
        Ended: a signal came before anything was measured.
        LoadError: the first request was not answered.
    """

    async def measured() -> Load | Knee:
        ending.call_instead(cancelling())
        async with load_client(target.base_url) as client:
            await _ask_once(client, target)
            stop, loop = asyncio.Event(), asyncio.get_running_loop()
            ending.call_instead(lambda: loop.call_soon_threadsafe(stop.set))
            found = await _find(client, target, given, stop)
        ending.call_instead(lambda: None)
        return found

    try:
        with _no_collections(), asyncio.Runner(loop_factory=fine_loop) as runner:
            return runner.run(measured())
    except asyncio.CancelledError:
        ending.release()
        raise


async def _find(
    client: httpx.AsyncClient, target: _Target, given: dict[str, Any], stop: asyncio.Event
) -> Load | Knee:
    common: dict[str, Any] = {
        "headers": target.headers,
        "connections": given["connections"],
        "stop": stop,
    }
    rate, seconds = given["rate"], given["seconds"]
    # Drawing takes time of the process that is to be on time.
    with stages(per_s=1) as told:
        if given["find_knee"]:
            common["on_stretch"] = lambda at: told(f"Sending {average(at)} requests/s", 0.0)
            return await find_knee(client, target.requests, rate, seconds, **common)
        common["on_progress"] = lambda part: told("Sending", part)
        return await open_loop(client, target.requests, rate, seconds, **common)


async def _ask_once(client: httpx.AsyncClient, target: _Target) -> None:
    """Sends the first request, so that a wrong address is told at once.

    Raises:
        LoadError: it was not answered.
    """
    exchange = await send(client, target.requests[0], extra=target.headers)
    if exchange.error:
        raise LoadError(
            f"{target.base_url} did not answer the first request ({exchange.error}). Look whether"
            " the app runs, and at the address."
        )


@contextmanager
def _no_collections() -> Iterator[None]:
    """What is there by now is looked at by no garbage collection: a whole one takes tens of ms."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _show(measured: Load | Knee, name: str, *, as_json: bool) -> None:
    if as_json:
        found = load_json(measured) if isinstance(measured, Load) else knee_json(measured)
        click.echo(json.dumps({"target": name, **found}, indent=2))
    elif isinstance(measured, Load):
        print_lines(lambda width: load_lines(measured, name, width))
    else:
        print_lines(lambda width: knee_lines(measured, name, width))
