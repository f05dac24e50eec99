"""Under which name a browser saves an answer."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from ..errors import DefinitionError


def disposition(filename: str | None) -> dict[str, str]:
    """The header that names a file for all clients (RFC 6266, with RFC 8187 for what is not ASCII).

    Nothing in it ends the header or the quotes, or leads out of a folder.

    Raises:
        DefinitionError: The name is empty.
    """
    if filename is None:
        return {}
    name = "".join("_" if _is_unsafe(one) else one for one in filename).strip()
    if not name:
        raise DefinitionError(f"got filename={filename!r}; wanted a name that is not empty")
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    value = f'attachment; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return {"content-disposition": value}


def _is_unsafe(character: str) -> bool:
    # Cc ends lines, Cf turns the reading order round, Cs is half a character.
    return character in '"\\/' or unicodedata.category(character) in {"Cc", "Cf", "Cs"}
