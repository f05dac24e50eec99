"""Every error that the building blocks raise on purpose, in one place.

The docstring of a class says when it is raised; its message says what was found, what was wanted
and what to do next. What a driver raises for a statement goes through as it is.
"""


class FastError(Exception):
    """The base of all errors that the building blocks raise on purpose."""


class DefinitionError(FastError):
    """A block was declared with what it cannot do; raised there, or at its first use."""


class UnsupportedSourceError(DefinitionError):
    """What was given as the way to the database is none that is known."""


class MissingLibraryError(DefinitionError):
    """A block needs a library that is not installed."""


class PoolTimeoutError(FastError, TimeoutError):
    """No connection became free in the time that was given."""


class PoolSizeError(DefinitionError):
    """The pools of all workers together ask for more connections than the server allows."""


class NotOpenError(FastError):
    """A block was used before the app's lifespan opened it, or after it was closed."""


class BadRequestError(FastError):
    """What the client sent is not what the block accepts; the route answers 400 or 422."""


class OverloadedError(FastError):
    """More is waiting than the block holds; the route answers 503 with `Retry-After`."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """After how many seconds a client should try again."""


class SlowClientError(FastError, TimeoutError):
    """A client took nothing of an answer for so long that it is given up."""


class OutcomeUnknownError(FastError):
    """The connection was lost while rows were on their way: they are stored, or they are not."""

    def __init__(self, message: str, is_safe_to_repeat: bool = False) -> None:
        super().__init__(message)
        self.is_safe_to_repeat = is_safe_to_repeat
        """Whether the rows have a key, so that sent again they are not stored twice."""
