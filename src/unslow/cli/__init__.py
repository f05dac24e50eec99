"""The command line: one file per command, beside what they share."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, Final

import click

from .. import __version__
from ..errors import UnslowError
from .check import check
from .compare import compare
from .demo import demo
from .explain import explain
from .fix import fix
from .load import load
from .report import report
from .rules import rules
from .run import run
from .set_options import set_options

_ENDED_BY_CTRL_C: Final = 130


class Commands(click.Group):
    """The group of all commands; an error of ours is one sentence on stderr."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which one meets them."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was named."""
        try:
            return super().invoke(ctx)
        except UnslowError as error:
            click.echo(f"unslow: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            # The user knows what happened; a shell counts so.
            click.echo(err=True)
            ctx.exit(_ENDED_BY_CTRL_C)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # What could not be written is tried again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            click.echo("unslow: The disk is full. Make room, or write elsewhere.", err=True)
            ctx.exit(UnslowError.exit_code)


_HELP: Final = """\
Find out why your Python API is slow - with the fix already tried.

\b
See what it tells, in a minute and with nothing set up:
  unslow demo
Then your own app, in place of `uvicorn app:app`, or before its own command:
  unslow run app:app
  unslow run -- gunicorn -k uvicorn_worker.UvicornWorker app:app

Results go to stdout, everything else to stderr. Exit code 2: it could not be done, and the last
line says why.
"""


@click.group(cls=Commands, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unslow")
@click.pass_context
def command(ctx: click.Context) -> None:
    """The command `unslow`."""
    if name := ctx.invoked_subcommand:
        ctx.default_map = {name: _defaults(name)}


def _defaults(name: str) -> dict[str, Any]:
    """What is set of a command's options."""
    found = set_options(command.commands[name])
    if name != str(fix.name):
        return found
    # It asks the app that was checked: whoever has said how that is done has said it for both.
    names = {one.name for one in fix.params}
    asked = set_options(check)
    return {key: value for key, value in asked.items() if key in names} | found


for one in (demo, run, check, fix, compare, report, explain, rules, load):
    command.add_command(one)
