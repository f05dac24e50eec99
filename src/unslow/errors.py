"""Every error that a user can meet, in one place.

The docstring of a class says when it is raised; its message says what was found, what was wanted
and what to do next.
"""


class UnslowError(Exception):
    """The base of all errors that unslow raises on purpose.

    The command line prints its message as one sentence and ends with `exit_code`.
    """

    exit_code = 2


class DemoError(UnslowError):
    """A part of the demo could not start or could not do its work."""


class SettingError(UnslowError):
    """A setting in `[tool.unslow]` or `UNSLOW_*` has a value, or a name, that it cannot have."""


class EmbeddedPostgresError(UnslowError):
    """The PostgreSQL that unslow starts for itself did not do what it was asked for."""


class EmbeddedPostgresMissingError(EmbeddedPostgresError):
    """The binaries of the embedded PostgreSQL are not installed, or not made for this machine."""


class UnprivilegedUserMissingError(EmbeddedPostgresError):
    """We are root, as whom PostgreSQL does not run, and there is no other user to run it as."""


class WireError(UnslowError):
    """What came over the wire is not a message of ours."""


class CommandLineMissingError(UnslowError):
    """The command was called where only the agent is installed."""


class CommandError(UnslowError):
    """The command behind `unslow run --` cannot be started."""


class SilentCommandError(UnslowError):
    """No process of the command said hello in time, so nothing would be recorded."""


class TargetError(UnslowError):
    """MODULE:APP does not name what it must: a module, a colon and an attribute."""


class OutputError(UnslowError):
    """A report cannot be written to the file that was named."""


class PortError(UnslowError):
    """The address that the app is to be served at cannot be had."""


class StartUpError(UnslowError):
    """The app ended before it could serve."""


class InstallError(UnslowError):
    """What was given to `unslow.install` is no ASGI application."""
