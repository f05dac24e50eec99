"""What options are where they are not given: `[tool.unslow.check]`, `UNSLOW_CHECK_TIME`, ..."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from ..errors import SettingError
from ..settings import SETTINGS, Setting, Value, load_options

_OF_ALL: Final = frozenset(one.name for one in SETTINGS)


def set_options(command: click.Command) -> dict[str, Any]:
    """What is set of a command's options, by the names of its parameters.

    Raises:
        SettingError: a name or a value is wrong.
    """
    options = {key_of(option): option for option in settable(command)}
    if not options:
        return {}
    settings = {key: _setting(str(command.name), key, one) for key, one in options.items()}
    found = load_options(str(command.name), settings.values())
    ctx = click.Context(command)
    for key, value in found.items():
        try:
            options[key].type_cast_value(ctx, value)
        except click.BadParameter as error:
            one = settings[key]
            raise SettingError(
                f"{key} in [{one.table}], or {one.variable}, is {value!r}; {error.message}"
            ) from None
    return {str(options[key].name): value for key, value in found.items()}


def settable(command: click.Command) -> Iterator[click.Option]:
    """The options of a command that are settings too, but for those that all commands share."""
    for one in command.params:
        if isinstance(one, click.Option) and not one.hidden and key_of(one) not in _OF_ALL:
            yield one


def key_of(option: click.Option) -> str:
    """The name of an option as a setting: `max_requests` of `--max-requests`."""
    return option.opts[-1].lstrip("-").replace("-", "_")


def _setting(command: str, key: str, option: click.Option) -> Setting:
    least = option.type.min if isinstance(option.type, click.IntRange | click.FloatRange) else None
    return Setting(key, _kind(option), "", least, option.help or "", command)


def _kind(option: click.Option) -> Value:
    """A value of the type that an option's setting has."""
    if option.multiple:
        return ()
    if option.is_flag:
        return False
    # Ranges are such types too.
    if isinstance(option.type, click.types.IntParamType):
        return 0
    return 0.0 if isinstance(option.type, click.types.FloatParamType) else ""
