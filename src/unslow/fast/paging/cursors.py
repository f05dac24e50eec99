"""Cursors: where a page ended, as signed text that a client gives back for the next one.

A cursor is a version byte, the values as JSON, and an HMAC-SHA256 of them, in the alphabet of URLs.
The values are signed, not hidden: a client can read them. What list, order and filter they belong
to is signed with them and not sent.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

from ..errors import BadRequestError, DefinitionError

Secret: TypeAlias = bytes | str | Sequence[bytes | str]
"""A secret, or several: the first signs, and each of them is known when a cursor comes back."""

TYPES: Final = (bool, int, float, str, Decimal, datetime, date, time, UUID)
"""The types of the values that a cursor carries, beside None."""

MAX_LENGTH: Final = 4_096
"""In characters. What an index of PostgreSQL holds of a row (2,704 bytes, nbtree's
`BTMaxItemSize`) fits in, and so does the cursor in a URL (8,000 octets, RFC 9110, section 4.1)."""

_VERSION: Final = b"\x01"
_PURPOSE: Final = b"unslow.fast cursor\n"
"""So that what the same secret signs elsewhere is no cursor."""
_SIGNATURE_BYTES: Final = 16
"""HMAC-SHA256 cut to its half, the least that RFC 2104 (section 5) advises."""
_SECRET_BYTES: Final = 16
"""A shorter secret could be found by trying."""

_TAGGED: Final[tuple[tuple[type, str, Callable[[Any], str], Callable[[str], Any]], ...]] = (
    (datetime, "datetime", datetime.isoformat, datetime.fromisoformat),
    (date, "date", date.isoformat, date.fromisoformat),
    (time, "time", time.isoformat, time.fromisoformat),
    (Decimal, "decimal", str, Decimal),
    (UUID, "uuid", str, UUID),
)
"""What JSON has no type for. A datetime is a date too, so it stands before it."""
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_READ: Final = {tag: read for _, tag, _, read in _TAGGED}


class Cursors:
    """Signs and reads the cursors of one list."""

    def __init__(self, secret: Secret, binding: str) -> None:
        """Takes the secrets and what the cursors belong to.

        Args:
            secret: One, or several of which the first signs; each at least 16 bytes long.
            binding: What a cursor is of no use without, such as the order of the list.

        Raises:
            DefinitionError: There is no secret, or one is too short.
        """
        self._secrets = _secrets(secret)
        self._binding = binding
        self._unscoped = json.dumps([binding, ""]).encode()

    def sign(self, values: Sequence[Any], scope: str = "") -> str:
        """The cursor of these values.

        Raises:
            DefinitionError: A value is of no type that a cursor carries, or they are too long.
        """
        written = _ENCODE([_tagged(value) for value in values])
        # Half of a surrogate pair is no text for PostgreSQL, but it is for Python.
        body = _VERSION + written.encode("utf-8", "surrogatepass")
        cursor = _text(body + self._signature(self._secrets[0], body, scope))
        if len(cursor) > MAX_LENGTH:
            raise DefinitionError(
                f"the cursor after this row has {len(cursor)} characters, and at most {MAX_LENGTH} "
                "are accepted: order by shorter columns, for example by the first 100 characters"
            )
        return cursor

    def values(self, cursor: str, scope: str = "") -> tuple[Any, ...]:
        """The values that were signed.

        Raises:
            BadRequestError: The cursor is none of this list, as it was signed here.
        """
        if len(cursor) > MAX_LENGTH:
            raise BadRequestError(
                f"the cursor has {len(cursor)} characters, and a cursor has at most {MAX_LENGTH}; "
                "start again without a cursor"
            )
        content = _content(cursor)
        body, signature = content[:-_SIGNATURE_BYTES], content[-_SIGNATURE_BYTES:]
        if not body.startswith(_VERSION) or not self._is_signed(body, signature, scope):
            raise BadRequestError(
                "the cursor is not valid here: it was cut or changed, belongs to another list, "
                "order or filter, or is too old; start again without a cursor"
            )
        written = body.removeprefix(_VERSION).decode("utf-8", "surrogatepass")
        return tuple(_untagged(value) for value in json.loads(written))

    def _is_signed(self, body: bytes, signature: bytes, scope: str) -> bool:
        return any(
            hmac.compare_digest(self._signature(secret, body, scope), signature)
            for secret in self._secrets
        )

    def _signature(self, secret: bytes, body: bytes, scope: str) -> bytes:
        # JSON has no line end of its own: no two lists and bodies make one message.
        belongs_to = json.dumps([self._binding, scope]).encode() if scope else self._unscoped
        message = _PURPOSE + belongs_to + b"\n" + body
        return hmac.digest(secret, message, "sha256")[:_SIGNATURE_BYTES]


def _secrets(secret: Secret) -> tuple[bytes, ...]:
    several = (secret,) if isinstance(secret, bytes | str) else tuple(secret)
    secrets = tuple(one.encode() if isinstance(one, str) else bytes(one) for one in several)
    if not secrets or min(map(len, secrets)) < _SECRET_BYTES:
        got = f"one of {min(map(len, secrets))} bytes" if secrets else "none"
        raise DefinitionError(
            f"got {got} as secret for cursors; wanted at least {_SECRET_BYTES} bytes, the same in "
            "all processes and after a restart, such as secrets.token_urlsafe(32) makes once"
        )
    return secrets


def _tagged(value: Any) -> Any:
    if type(value) is int or type(value) is str:
        return value
    for kind, tag, write, _ in _TAGGED:
        if isinstance(value, kind):
            return [tag, write(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kinds = ", ".join(kind.__name__ for kind in TYPES)
    raise DefinitionError(
        f"got a value of {type(value).__qualname__} for a cursor; wanted None or one of {kinds}: "
        "order by a column of such a type"
    )


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        tag, written = value
        return _READ[tag](written)
    return value


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _content(text: str) -> bytes:
    """The bytes of what `_text` wrote, and none for any other way to write them."""
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
    return content if _text(content) == text else b""
