"""Replacing names in foreign code, and giving them back."""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable
from typing import Any

import pytest

from unslow.patching import Patches, original_sleep


class Library:
    def method(self) -> str:
        return "original"

    @staticmethod
    def static() -> str:
        return "original"

    @classmethod
    def build(cls) -> str:
        return cls.__name__


class Child(Library):
    pass


def louder(original: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) + "!"

    return wrapper


@pytest.fixture
def patches() -> Patches:
    return Patches()


@pytest.mark.parametrize("name", ["method", "static", "build"])
def test_every_kind_of_method_is_replaced_and_given_back(patches: Patches, name: str) -> None:
    before = dict(vars(Library))
    plain = getattr(Library(), name)()

    patches.replace(Library, name, louder)
    loud = getattr(Library(), name)()
    patches.undo()

    assert loud == plain + "!"
    assert dict(vars(Library)) == before


def test_an_inherited_name_is_taken_off_the_child_again(patches: Patches) -> None:
    patches.replace(Child, "method", louder)
    assert Child().method() == "original!"
    assert Library().method() == "original"

    patches.undo()

    assert "method" not in vars(Child)


def test_a_replaced_class_method_still_gets_the_child_that_was_asked(patches: Patches) -> None:
    patches.replace(Library, "build", louder)

    assert "Child!" == Child.build()


def test_what_somebody_else_put_on_top_stays(patches: Patches) -> None:
    class Local(Library):
        pass

    patches.replace(Local, "method", louder)
    Patches().replace(Local, "method", lambda _: lambda _self: "theirs")
    patches.undo()

    assert Local().method() == "theirs"


def test_a_missing_name_is_an_error_and_leaves_the_rest_undoable(patches: Patches) -> None:
    patches.replace(Child, "method", louder)

    with pytest.raises(AttributeError):
        patches.replace(Child, "no_such_method", louder)
    patches.undo()

    assert "method" not in vars(Child)


def test_actions_run_last_first_before_names_are_given_back(patches: Patches) -> None:
    seen: list[str] = []
    patches.replace(Child, "method", louder)
    patches.on_undo(lambda: seen.append("first " + Child().method()))
    patches.on_undo(lambda: seen.append("second"))

    patches.undo()

    assert seen == ["second", "first original!"]


def test_sleep_is_the_original_whatever_stands_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = time.sleep
    monkeypatch.setattr(time, "sleep", lambda _: None)

    assert before is original_sleep()


def test_where_threads_are_none_they_sleep_in_their_own_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_a_greenlet(_: float) -> None: ...

    monkeypatch.setattr(time, "sleep", of_a_greenlet)
    monkeypatch.setattr(_thread, "start_new_thread", lambda *_: None)

    assert of_a_greenlet is original_sleep()
