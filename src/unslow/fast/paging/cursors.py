"""Cursors: where a page ended, as signed text that a client gives back for the next one.

A cursor is a character for the version, the values as JSON, and their signature, in the alphabet
of URLs. The values are signed, not hidden: a client can read them. What list, order and filter they
belong to is signed with them and not sent.
"""

from __future__ import annotations

import base64
import hashlib
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

_VERSION: Final = b"1"
_PURPOSE: Final = b"unslow.fast page"
"""So that what the same secret signs elsewhere is no cursor. BLAKE2b takes 16 bytes of it."""
_SIGNATURE_BYTES: Final = 18
"""Above the 16 that are usual for signatures (RFC 2104, section 5), and whole in base64."""
_SIGNATURE_LENGTH: Final = 24
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
_DECODE: Final = json.JSONDecoder().raw_decode
"""Looks for no blanks around, of which there are none."""
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
        # BLAKE2b with a key is a signature by itself (RFC 7693, section 2.5), in half of HMAC's
        # time; begun once, and copied for each. It takes 64 bytes of a key.
        self._begun = [
            hashlib.blake2b(
                key=hashlib.blake2b(one).digest(), digest_size=_SIGNATURE_BYTES, person=_PURPOSE
            )
            for one in _secrets(secret)
        ]
        self._binding = binding
        self._unscoped = _belonging(binding, "")

    def sign(self, values: Sequence[Any], scope: str = "") -> str:
        """The cursor of these values.

        Raises:
            DefinitionError: A value is of no type that a cursor carries, or they are too long.
        """
        written = _ENCODE([_tagged(value) for value in values])
        # Half of a surrogate pair is no text for PostgreSQL, but it is for Python.
        body = _VERSION + _text(written.encode("utf-8", "surrogatepass"))
        cursor = (body + self._signature(self._begun[0], body, scope)).decode()
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
        text = cursor.encode("utf-8", "surrogatepass")
        body, signature = text[:-_SIGNATURE_LENGTH], text[-_SIGNATURE_LENGTH:]
        if not body.startswith(_VERSION) or not self._is_signed(body, signature, scope):
            raise BadRequestError(
                "the cursor is not valid here: it was cut or changed, belongs to another list, "
                "order or filter, or is too old; start again without a cursor"
            )
        written = base64.urlsafe_b64decode(body[1:] + b"==").decode("utf-8", "surrogatepass")
        return tuple(map(_untagged, _DECODE(written)[0]))

    def _is_signed(self, body: bytes, signature: bytes, scope: str) -> bool:
        for begun in self._begun:
            if hmac.compare_digest(self._signature(begun, body, scope), signature):
                return True
        return False

    def _signature(self, begun: hashlib.blake2b, body: bytes, scope: str) -> bytes:
        """The signature of what stands in a cursor, as it stands there.

        So a text that was written in any other way has no signature.
        """
        message = begun.copy()
        message.update((_belonging(self._binding, scope) if scope else self._unscoped) + body)
        return base64.urlsafe_b64encode(message.digest())


def _belonging(binding: str, scope: str) -> bytes:
    # JSON has no line end of its own: no two lists and bodies make one message.
    return json.dumps([binding, scope]).encode() + b"\n"


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


def _text(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
