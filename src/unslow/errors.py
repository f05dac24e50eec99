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
