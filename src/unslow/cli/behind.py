"""Commands of ours that take a command of the user's behind two dashes."""

from __future__ import annotations

import click


class TakesCommand(click.Command):
    """Keeps what stands behind `--` apart: it is a command, whatever it looks like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads our own words only."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[__name__] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


def command_of(ctx: click.Context) -> tuple[str, ...]:
    """What stands behind `--`; empty where nothing does."""
    command: tuple[str, ...] = ctx.meta.get(__name__, ())
    return command
