"""Makes again what the docs hold of the program: settings, rules, and the blocks of output."""

import sys

from unslow.settings import SETTINGS, Setting

from . import ROOT, rules
from .blocks import OUTPUT, blocks, output, pages, write

SETTINGS_PAGE = ROOT / "docs" / "settings.md"

_INTRODUCTION = """\
# Settings

This page is made from the table in `src/unslow/settings.py` by `make docs`.

A setting stands in the `pyproject.toml` of the folder that the app is started in, or in an
environment variable, which wins. An empty variable counts as not set. A list in a variable is
separated by commas; yes and no are `true` and `false` (also `1`, `yes`, `on` and `0`, `no`, `off`).
A wrong value, or an unknown name in the file, is an error that names it.

```toml
[tool.unslow]
ring_traces = 200
own = ["shop", "lib/pricing.py"]

[tool.unslow.check]
max_requests = 500
read_only_post = ["POST /search"]
```

Each option of a command is set likewise, in the command's own table: `--max-requests` of
`unslow check` is `max_requests` in `[tool.unslow.check]`, and `UNSLOW_CHECK_MAX_REQUESTS`. What can
be given several times is a list. What is given on the command line wins.
"""


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _section(setting: Setting) -> str:
    unit = f" {setting.unit}" if setting.unit else ""
    return (
        f"## {setting.name}\n\n{setting.help}\n\n"
        f"- variable: `{setting.variable}`\n"
        f"- wanted: {setting.wanted}\n"
        f"- default: `{_toml(setting.default)}`{unit}\n"
    )


def settings_page() -> str:
    """The page of settings, from the table."""
    return "\n".join([_INTRODUCTION, *map(_section, SETTINGS)])


def main() -> None:
    """Write the page of settings and those of the rules, and run the command of every block."""
    SETTINGS_PAGE.write_text(settings_page())
    rules.main()
    printed = {}
    for command in {block.command: None for page in pages() for block in blocks(page)}:
        print(f"running {command}", file=sys.stderr)
        printed[command] = output(command)
    for page in pages():
        for block in blocks(page):
            if not block.is_quick:
                OUTPUT.mkdir(exist_ok=True)
                block.file.write_text(printed[block.command])
        write(page, printed)


if __name__ == "__main__":
    main()
