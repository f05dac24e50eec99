"""Advice: what to change by hand, in a few sentences, and what to write there."""

from __future__ import annotations

from pathlib import PurePath

from ...model.trace import Place


def where(place: Place | None) -> str:
    """A line for a sentence: ``line 14 of shop.py, in `list_orders` ``; what is known of it."""
    if place is None:
        return "a line that is not known"
    line = f"line {place.line} of {PurePath(place.path).name}"
    function = function_of(place)
    return f"{line}, in `{function}`" if function else line


def function_of(place: Place) -> str:
    """The function of a line, without what Python calls those that have no name."""
    return ".".join(one for one in place.function.split(".") if not one.startswith("<"))


def told(*sentences: str, code: str = "") -> str:
    """Sentences, each with a capital letter, and below them code as it stands."""
    text = " ".join(one[:1].upper() + one[1:] for one in sentences if one)
    return f"{text}\n{code}" if code else text
