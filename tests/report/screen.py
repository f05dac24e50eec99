"""A terminal to write on, which shows what a user would see."""

import io
import re

from rich.console import Console

_PART = re.compile(r"\x1b\[(\??\d*(?:;\d+)*)([A-Za-z])|(\r?\n)|(\r)|([^\x1b\r\n]+)")


class Screen(io.StringIO):
    """Takes what is written and obeys the few commands that a live display gives."""

    def __init__(self, *, terminal: bool = True) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, without the empty lines at its end."""
        rows, row, column = [""], 0, 0
        for match in _PART.finditer(self.getvalue()):
            argument, command, newline, back, text = match.groups()
            if newline:
                row, column = row + 1, 0
                rows.extend([""] * (row + 1 - len(rows)))
            elif back:
                column = 0
            elif text:
                rows[row] = (
                    rows[row][:column].ljust(column) + text + rows[row][column + len(text) :]
                )
                column += len(text)
            elif command == "A":
                row -= int(argument or 1)
            elif command == "K":
                rows[row] = ""
        while rows and not rows[-1]:
            rows.pop()
        return rows


def console_on(screen: Screen, *, width: int = 100, height: int = 20) -> Console:
    """A console that writes on the screen."""
    return Console(file=screen, width=width, height=height, color_system=None)
