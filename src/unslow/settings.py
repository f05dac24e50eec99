"""What can be set: one table, read from `[tool.unslow]` in `pyproject.toml` and from `UNSLOW_*`.

The options of a command are set likewise, in a table of their own, such as `[tool.unslow.check]`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from .errors import SettingError

Value = bool | int | float | str | tuple[str, ...] | dict[str, tuple[object, ...]]

COMMANDS: Final = (
    *("demo", "run", "check", "fix", "compare"),
    *("report", "explain", "rules", "load"),
)
"""Those of the command line, whose options stand in tables of their own."""

_MIB: Final = 1024 * 1024
_WANTED: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list of texts",
    dict: "a table of lists, such as user_id = [1, 2]; in a variable as JSON",
}
_WORDS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def _row(sentence: str, unit: str = "", least: float | None = None) -> dict[str, Any]:
    return {"help": sentence, "unit": unit, "least": least}


@dataclass(frozen=True, slots=True)
class Settings:
    """The values that hold; its fields, with their defaults, are the table of all settings."""

    enabled: bool = field(
        default=True,
        metadata=_row("Whether anything is recorded; `false` leaves the app exactly as it is."),
    )
    folder: str = field(
        default=".unslow",
        metadata=_row("The folder of the store, relative to the one the app is started in."),
    )
    store_bytes: int = field(
        default=64 * _MIB,
        metadata=_row(
            "How large the store's file may get before its oldest traces make room.",
            unit="bytes",
            least=_MIB,
        ),
    )
    ring_traces: int = field(
        default=1000,
        metadata=_row("How many traces a process keeps in memory.", unit="traces", least=1),
    )
    slices_per_trace: int = field(
        default=20_000,
        metadata=_row(
            "How many slices of time one trace may hold; what is dropped is said on the trace.",
            unit="slices",
            least=100,
        ),
    )
    watchdog_period_ms: float = field(
        default=5.0,
        metadata=_row(
            "How often the watchdog looks at which line of your code runs.", unit="ms", least=1
        ),
    )
    record_values: bool = field(
        default=False,
        metadata=_row(
            "Whether the parameters of statements are recorded too, into files that only you"
            " can read."
        ),
    )
    hello_timeout_s: float = field(
        default=20.0,
        metadata=_row(
            "How long `unslow run` waits for the first process with the agent in it before it ends"
            " the command.",
            unit="s",
            least=0.1,
        ),
    )
    report_traces: int = field(
        default=10_000,
        metadata=_row(
            "How many traces of a run a report looks at, the newest ones; each takes about 25 kB of"
            " memory meanwhile.",
            unit="traces",
            least=1,
        ),
    )
    own: tuple[str, ...] = field(
        default=(),
        metadata=_row(
            "Packages or paths that count as your own code, beside what lies in the folder the app"
            " is started in."
        ),
    )

    baseline: str = field(
        default="unslow-baseline.json",
        metadata=_row(
            "The file of accepted findings, relative to the current folder; unslow check --accept"
            " writes it."
        ),
    )
    values: dict[str, tuple[object, ...]] = field(
        default_factory=dict,
        metadata=_row(
            "Values for the parameters of the app's routes, by name, for `unslow check`: a table"
            " `[tool.unslow.values]`."
        ),
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    """The key in its table."""
    default: Value
    """The value that holds when nothing is set; its type is the setting's type."""
    unit: str
    """What a number counts; empty for what is not a number."""
    least: float | None
    """The smallest number that is allowed; None for what is not a number."""
    help: str
    """One sentence for the reader of the docs."""
    command: str = ""
    """Whose option it is, if it is one."""

    @property
    def table(self) -> str:
        """The name of the table that it stands in."""
        return f"tool.unslow.{self.command}" if self.command else "tool.unslow"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "_".join(filter(None, ("UNSLOW", self.command.upper(), self.name.upper())))

    @property
    def wanted(self) -> str:
        """What a value has to be, in words."""
        words = _WANTED[type(self.default)]
        return words if self.least is None else f"{words}, {self.least} or more"


_DEFAULTS: Final = Settings()

SETTINGS: Final = tuple(
    Setting(name=row.name, default=getattr(_DEFAULTS, row.name), **row.metadata)
    for row in fields(Settings)
)


def load(
    environ: Mapping[str, str] | None = None, folder: str | os.PathLike[str] = "."
) -> Settings:
    """Read the settings of a folder; the environment wins over its `pyproject.toml`.

    Raises:
        SettingError: A value or a name is wrong.
    """
    path = os.path.join(folder, "pyproject.toml")
    table = {name: given for name, given in _table(path).items() if name not in COMMANDS}
    return Settings(**_found(SETTINGS, table, path, environ))


def load_options(
    command: str,
    options: Iterable[Setting],
    environ: Mapping[str, str] | None = None,
    folder: str | os.PathLike[str] = ".",
) -> dict[str, Any]:
    """Read the options of a command that are set, by their names in its table.

    Raises:
        SettingError: A value or a name is wrong.
    """
    path = os.path.join(folder, "pyproject.toml")
    table = _table(path).get(command, {})
    _check_table(table, f"tool.unslow.{command}", path)
    return _found(tuple(options), table, path, environ)


def _found(
    settings: tuple[Setting, ...],
    table: Mapping[str, Any],
    path: str,
    environ: Mapping[str, str] | None,
) -> dict[str, Any]:
    """What is set; the environment wins."""
    environ = os.environ if environ is None else environ
    return dict(_from_file(settings, table, path)) | dict(_from_environment(settings, environ))


def _from_environment(
    settings: tuple[Setting, ...], environ: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    for setting in settings:
        # An empty variable is how shells and compose files say "not set".
        if text := environ.get(setting.variable, "").strip():
            yield setting.name, _checked(setting, _parsed(setting, text), setting.variable)


def _from_file(
    settings: tuple[Setting, ...], table: Mapping[str, Any], path: str
) -> Iterator[tuple[str, Any]]:
    known = {setting.name: setting for setting in settings}
    for name, given in table.items():
        if name not in known:
            where = settings[0].table
            raise SettingError(
                f"[{where}] in {path} sets {name!r}, which is no setting;"
                f" there are {', '.join(known)}. Correct the name, or take the line out."
            )
        setting = known[name]
        yield name, _checked(setting, _tupled(given), f"{name} in [{setting.table}] of {path}")


def _table(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            # Only here, so that an app without a pyproject.toml never pays for it.
            import tomllib

            tool = tomllib.load(file).get("tool")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingError(
            f"{path} cannot be read ({error}), so [tool.unslow] in it is unknown."
            " Mend the file, or start in another folder."
        ) from error
    table = tool.get("unslow", {}) if isinstance(tool, dict) else {}
    _check_table(table, "tool.unslow", path)
    return cast(dict[str, Any], table)


def _check_table(table: object, name: str, path: str) -> None:
    if not isinstance(table, dict):
        raise SettingError(
            f"{name} in {path} is {table!r}; a table is wanted: [{name}] on a line of its own, with"
            " one setting per line below it."
        )


def _parsed(setting: Setting, text: str) -> Value:
    """Read a variable's text as the setting's type; text that cannot be read stays text."""
    kind = type(setting.default)
    try:
        if kind is bool:
            return _WORDS.get(text.lower(), text)
        if kind is dict:
            import json

            return cast(Value, _tupled(json.loads(text)))
        if kind is tuple:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return cast(Value, cast(Any, kind)(text))
    except ValueError:
        return text


def _tupled(given: object) -> object:
    """Lists as tuples, also those in a table; a single value in a table is a list of one."""
    if isinstance(given, list):
        return tuple(given)
    if isinstance(given, dict):
        return {
            name: tuple(one) if isinstance(one, list) else (one,) for name, one in given.items()
        }
    return given


def _checked(setting: Setting, value: object, source: str) -> object:
    if type(setting.default) is float and type(value) is int:
        value = float(value)
    fits = type(value) is type(setting.default) and value != ""
    if isinstance(value, tuple):
        fits = fits and all(isinstance(part, str) and part for part in value)
    if isinstance(value, float):
        fits = fits and value < float("inf")
    if fits and setting.least is not None and isinstance(value, int | float):
        fits = value >= setting.least
    if not fits:
        raise SettingError(
            f"{source} is {value!r}; wanted is {setting.wanted}."
            f" Correct it, or leave it out{_otherwise(setting)}."
        )
    return value


def _otherwise(setting: Setting) -> str:
    # What an option is otherwise is said by its command's help.
    return "" if setting.command else f": then it is {setting.default!r}"
