"""The key of a call: one text for all ways to write the same call, and never one for two calls."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum, Flag
from types import NoneType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from ..errors import DefinitionError

_SPEAKING: Final = frozenset({int, str, bool, NoneType, UUID, Decimal, date})
"""Types whose `repr` is another one for each value, and the same one in each process."""
_ZONES: Final = frozenset({NoneType, timezone, ZoneInfo})
_WANTED: Final = (
    "int, str, bool, None, UUID, date, datetime, Decimal, enums and tuples of them; write "
    "key=lambda ...: ... over the parameters that the answer depends on, who asks among them"
)

Arguments = tuple[Any, ...]
Named = Mapping[str, Any]


def async_function(function: Any, block: str) -> None:
    """Refuses what cannot be awaited.

    Raises:
        DefinitionError: It is no async function.
    """
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # whether it is async, not whether it is
    ):
        return
    raise DefinitionError(
        f"{block} got {name_of(function)}, which is no async function; wanted one that is defined "
        "with `async def`. A blocking function first goes into one: "
        "`return await asyncio.to_thread(...)`"
    )


def name_of(function: Any) -> str:
    """How a function is called in messages."""
    return str(getattr(function, "__qualname__", None) or type(function).__name__)


class _NoKeyError(Exception):
    """A value is of a type that makes no key."""


def key_text(value: Any) -> str:
    """A value as text: another text for each other value, types told apart (1, True and "1")."""
    kind = type(value)
    if kind in _SPEAKING:
        return repr(value)
    if kind is tuple:
        return f"({''.join(f'{key_text(one)}, ' for one in value)})"
    if kind is datetime and type(value.tzinfo) in _ZONES:
        return repr(value)
    if isinstance(value, Enum):
        # A combination of flags may have no name.
        within = value.value if isinstance(value, Flag) else value.name
        return f"<{kind.__module__}.{kind.__qualname__} {key_text(within)}>"
    raise _NoKeyError(kind.__qualname__)


class Signature:
    """The parameters of a function, to say what a call gave for each."""

    def __init__(self, function: Callable[..., Awaitable[Any]]) -> None:
        self._signature = inspect.signature(function)
        parameters = self._signature.parameters
        self.name = name_of(function)
        self.names = tuple(parameters)
        self._is_simple = all(
            one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for one in parameters.values()
        )

    def values(self, arguments: Arguments, named: Named) -> Arguments:
        """One value per parameter, in their order, with the defaults of those not given.

        Raises:
            TypeError: The function cannot be called so.
        """
        if self._is_simple and not named and len(arguments) == len(self.names):
            return arguments
        bound = self._signature.bind(*arguments, **named)
        bound.apply_defaults()
        return tuple(
            tuple(sorted(one.items())) if type(one) is dict and self._is_rest(name) else one
            for name, one in bound.arguments.items()
        )

    def _is_rest(self, name: str) -> bool:
        return self._signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD

    def chosen(self, choice: Callable[..., Any], what: str) -> Callable[[Arguments], Any]:
        """A function of some of the parameters, chosen by their names, as one of all values.

        Raises:
            DefinitionError: It names a parameter that there is not.
        """
        wanted = inspect.signature(choice).parameters
        if unknown := [name for name in wanted if name not in self.names]:
            raise DefinitionError(
                f"{what}= of {self.name} is a function of {', '.join(unknown)}; wanted one of "
                f"some of its parameters, by their names: {', '.join(self.names) or 'none'}"
            )
        places = [self.names.index(name) for name in wanted]
        return lambda values: choice(*(values[place] for place in places))


class CallKey:
    """Makes the key of a call."""

    def __init__(self, signature: Signature, key: Callable[..., Any] | None, prefix: str) -> None:
        self._signature = signature
        self._chosen = None if key is None else signature.chosen(key, "key")
        self._prefix = prefix

    def __call__(self, values: Arguments) -> str:
        """The key of a call with these values, one per parameter.

        Raises:
            DefinitionError: There is something in it that makes no key.
        """
        if self._chosen is not None:
            return self._prefix + self._of_chosen(self._chosen(values))
        for value in values:
            if type(value) not in _SPEAKING:
                return self._prefix + self._of_each(values)
        return self._prefix + repr(values)

    def _of_chosen(self, chosen: Any) -> str:
        try:
            return key_text(chosen)
        except _NoKeyError as error:
            raise DefinitionError(
                f"key= of {self._signature.name} made a key of {error}; wanted one of {_WANTED}"
            ) from None

    def _of_each(self, values: Arguments) -> str:
        texts = []
        for name, value in zip(self._signature.names, values, strict=True):
            try:
                texts.append(key_text(value))
            except _NoKeyError as error:
                raise DefinitionError(
                    f"{self._signature.name} got {error} as {name}, and its arguments are its key; "
                    f"wanted {_WANTED}"
                ) from None
        return f"({', '.join(texts)})"


class CallTags:
    """Makes the tags of a call."""

    def __init__(
        self, signature: Signature, tags: Callable[..., Iterable[str]] | Iterable[str]
    ) -> None:
        self._name = signature.name
        self._chosen: Callable[[Arguments], Any] | None = None
        self._always: tuple[str, ...] = ()
        if callable(tags):
            self._chosen = signature.chosen(tags, "tags")
        else:
            self._always = self._checked(tags)

    def __call__(self, values: Arguments) -> tuple[str, ...]:
        """The tags of a call with these values, one per parameter."""
        if self._chosen is None:
            return self._always
        return self._checked(self._chosen(values))

    def _checked(self, tags: Any) -> tuple[str, ...]:
        if isinstance(tags, list | tuple | set | frozenset) and all(
            isinstance(tag, str) for tag in tags
        ):
            return tuple(sorted(set(tags)))
        raise DefinitionError(
            f"tags= of {self._name} gave {type(tags).__name__}; wanted a list of str, such as "
            'tags=lambda id: [f"user:{id}"]'
        )
