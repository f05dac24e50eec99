"""Answers as bytes and back: JSON through pydantic, by the type that the function declares."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

from ..errors import DefinitionError
from .call_keys import name_of


class AnswerCodec:
    """Writes and reads the answers of one function; never a pickle.

    Bytes are kept as they are. Each answer is read back before it is kept: what would come back as
    something else (a field that is left out, a float that is not a number) is not kept.
    """

    def __init__(self, function: Callable[..., Any], answer_type: Any = None) -> None:
        """Looks at what the function declares; its types are resolved at the first answer.

        Args:
            function: Whose answers they are.
            answer_type: What they are, if the function does not say.

        Raises:
            DefinitionError: Neither says what they are.
        """
        self._function = function
        self._name = name_of(function)
        self._type = answer_type
        self._adapter: Any = None
        if answer_type is None and "return" not in getattr(function, "__annotations__", {}):
            raise self._refusal("has no return type")

    def encode(self, value: Any) -> bytes:
        """The answer as bytes.

        Raises:
            DefinitionError: The type is none that pydantic knows.
            ValueError: The answer is not of that type, or would not come back the same.
        """
        adapter = self._ready()
        if adapter is None:
            if type(value) is not bytes:
                raise ValueError(f"{self._name} declares bytes and returned {type(value).__name__}")
            return value
        # Without computed fields, and by the names of fields: what can be read back.
        encoded: bytes = adapter.dump_json(value, round_trip=True, by_alias=False, warnings="error")
        if self.decode(encoded) != value:
            raise ValueError(f"an answer of {self._name} comes back from JSON as another one")
        return encoded

    def decode(self, encoded: bytes) -> Any:
        """The answer that was written.

        Raises:
            ValueError: It is none of this type.
        """
        adapter = self._ready()
        if adapter is None:
            return encoded
        return adapter.validate_json(encoded, by_alias=False, by_name=True)

    def check(self) -> None:
        """Resolves the type.

        Raises:
            DefinitionError: It is none that pydantic knows.
        """
        self._ready()

    def _ready(self) -> Any:
        if self._type is bytes:
            return None
        if self._adapter is None:
            if self._type is None:
                self._type = self._declared()
                return self._ready()
            self._adapter = self._made()
        return self._adapter

    def _declared(self) -> Any:
        try:
            return typing.get_type_hints(self._function, include_extras=True)["return"]
        except NameError as error:
            raise self._refusal(f"has a return type that cannot be resolved ({error})") from error

    def _made(self) -> Any:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

        try:
            return TypeAdapter(self._type)
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise self._refusal(
                f"has a return type that pydantic does not know ({error})"
            ) from error

    def _refusal(self, what: str) -> DefinitionError:
        return DefinitionError(
            f"{self._name} {what}, and a shared store keeps JSON of it; wanted a return type made "
            "of plain types, dataclasses or pydantic models, or type= with one"
        )
