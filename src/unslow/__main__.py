"""The command `unslow`, also as `python -m unslow`."""

from __future__ import annotations

import sys

from .errors import CommandLineMissingError


def main() -> None:
    """Runs the command line, or says in one sentence what it lacks."""
    try:
        import click  # noqa: F401  # only to see whether it is there
        import rich  # noqa: F401  # likewise
    except ModuleNotFoundError as missing:
        error = CommandLineMissingError(
            f"The command needs {missing.name}, which is not installed; only the agent is."
            " Install the tool: pip install 'unslow[cli]'"
        )
        sys.stderr.write(f"unslow: {error}\n")
        sys.exit(error.exit_code)
    from .cli import command

    command(prog_name="unslow")


if __name__ == "__main__":
    main()
