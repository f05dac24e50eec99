"""A blocking call taken off the loop of a running app, and put back."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import os
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixes.held import held
from tests.record.probes.stub import running_stub
from unslow.current import OpenArm
from unslow.errors import WireError
from unslow.fixes.patches.off_loop import candidates, write
from unslow.fixes.patches.patch import Subject
from unslow.fixes.switches import Parameters, Tools, Undo, switch_of
from unslow.fixes.switches import off_loop as module

PATIENCE_S = 10
TOOLS = Tools(lambda: None)

APP = '''
"""A shop where everybody waits at a gate."""

import functools
import threading
from pathlib import Path
from typing import Annotated, Any

import requests
from fastapi import Depends, FastAPI

gate: Any = None
app = FastAPI()


@app.post("/open")
async def open_gate() -> None:
    gate.set()


@app.get("/direct")
async def direct(limit: int = 10) -> dict[str, bool]:
    return {"opened": gate.wait(limit)}  # direct


def passed() -> bool:
    return gate.wait(10)  # helper


@app.get("/helper")
async def through_helper() -> dict[str, bool]:
    return {"opened": passed()}


class Base:
    def look(self, limit: int) -> bool:
        return gate.wait(limit)


class Desk(Base):
    def __init__(self) -> None:
        self.__limit = 10

    async def see(self) -> bool:
        return super().look(self.__limit)  # method


desk = Desk()


@app.get("/method")
async def method() -> dict[str, bool]:
    return {"opened": await desk.see()}


def add(path: str, limit: int) -> None:
    @app.get(path)
    async def closure() -> dict[str, bool]:
        return {"opened": gate.wait(limit)}  # closure


add("/closure", 10)
add("/closure/too", 10)


def plain(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


@app.get("/decorated")
@plain
async def decorated(limit: int = 10) -> dict[str, bool]:
    return {"opened": gate.wait(limit)}  # decorated


async def waited() -> bool:
    return gate.wait(10)  # dependency


@app.get("/dependency")
async def dependent(opened: Annotated[bool, Depends(waited)]) -> dict[str, bool]:
    return {"opened": opened}


async def lent():
    yield gate.wait(10)  # lent


@app.get("/lent")
async def borrow(opened: Annotated[bool, Depends(lent)]) -> dict[str, bool]:
    return {"opened": opened}


@app.get("/whole")
async def whole() -> dict[str, bool]:
    return {"opened": gate.itself().wait(10)}  # whole


kept = []


@app.get("/nested")
async def nested() -> dict[str, bool]:
    async def inner() -> bool:
        return gate.wait(10)  # nested

    kept.append(inner)
    return {"opened": await inner()}


@app.get("/twice")
async def twice() -> dict[str, bool]:
    first = gate.wait(10)  # first
    second = gate.wait(10)  # second
    return {"opened": first and second}


@app.get("/remote")
async def remote(url: str) -> dict[str, int]:
    answer = requests.get(url, timeout=10, hooks={"response": gate.note})  # remote
    return {"status": answer.status_code}


@app.get("/file")
async def read() -> dict[str, int]:
    return {"characters": len(Path(__file__).read_text())}  # file
'''

OPENED = {"opened": True}


class Gate:
    """Lets nobody through until it is set, and knows which threads waited."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.threads: list[int] = []
        self.reached = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self, limit_s: float) -> bool:
        self.note()
        self.reached.set()
        return self._event.wait(limit_s)

    def itself(self) -> Gate:
        return self

    def note(self, *_: object, **__: object) -> None:
        self.threads.append(threading.get_ident())


class Shop:
    """The app as it was imported from its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        spec = importlib.util.spec_from_file_location(f"shop_{path.parent.name}", path)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.gate = module.gate = Gate()
        self.module = module

    def subject(self, mark: str, function: str, what: str) -> Subject:
        text = self.path.read_text()
        told = held(text, function, what, path=str(self.path), mark=f"# {mark}")
        return told._replace(read=lambda path: Path(path).read_text())

    def plan(self, mark: str, function: str, what: str = "Event.wait") -> Parameters:
        """What the tool sends, after its way as JSON."""
        (arm,) = candidates(self.subject(mark, function, what))
        sent: Parameters = json.loads(json.dumps(arm.parameters))
        return sent

    def ask(self, *targets: str) -> list[Any]:
        """Asks for all at once; the last is answered only when the gate is open."""
        return asyncio.run(self._ask(targets))

    async def _ask(self, targets: tuple[str, ...]) -> list[Any]:
        transport = httpx.ASGITransport(self.module.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            asked = [asyncio.create_task(client.get(one)) for one in targets]
            reached = await asyncio.to_thread(self.gate.reached.wait, PATIENCE_S)
            assert reached
            await client.post("/open")
            return [(await one).json() for one in asked]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    path = tmp_path / "shop.py"
    path.write_text(APP.lstrip("\n"))
    yield Shop(path)
    assert not module._files


@pytest.fixture
def on() -> Iterator[Callable[[Parameters], tuple[OpenArm, Undo]]]:
    """Switches on; what a test leaves on goes off in the end."""
    undos: list[Undo] = []

    def switch(parameters: Parameters) -> tuple[OpenArm, Undo]:
        arm = OpenArm("off-loop")
        undo = switch_of("off-loop")(arm, parameters, TOOLS)
        undos.append(undo)
        return arm, undo

    yield switch
    for undo in undos:
        undo()


Switch = Callable[[Parameters], tuple[OpenArm, Undo]]

KINDS = [
    ("direct", "direct", "/direct"),
    ("helper", "passed", "/helper"),
    ("method", "Desk.see", "/method"),
    ("closure", "add.<locals>.closure", "/closure"),
    ("decorated", "decorated", "/decorated"),
    ("dependency", "waited", "/dependency"),
    ("lent", "lent", "/lent"),
    ("whole", "whole", "/whole"),
    ("nested", "nested.<locals>.inner", "/nested"),
]


def what_of(mark: str) -> str:
    """Where no name tells which call it is, the line has to."""
    return {"whole": "", "method": "Base.look"}.get(mark, "Event.wait")


@pytest.mark.parametrize(("mark", "function", "target"), KINDS)
def test_the_loop_goes_on_while_the_call_waits(
    shop: Shop, on: Switch, mark: str, function: str, target: str
) -> None:
    arm, _ = on(shop.plan(mark, function, what_of(mark)))

    # Without the fix the second request could never open the gate.
    answers = shop.ask(target)

    assert [OPENED] == answers
    assert 1 == arm.fired_count
    assert threading.get_ident() not in shop.gate.threads


@pytest.mark.parametrize(("mark", "function", "target"), KINDS)
def test_off_again_it_is_what_it_was(
    shop: Shop, on: Switch, mark: str, function: str, target: str
) -> None:
    before, names = codes_of(shop.path), dict(vars(shop.module))
    arm, undo = on(shop.plan(mark, function, what_of(mark)))
    assert before != codes_of(shop.path)

    undo()

    assert before == codes_of(shop.path)
    assert names == vars(shop.module)
    shop.gate.set()
    assert [OPENED] == shop.ask(target)
    assert {threading.get_ident()} == set(shop.gate.threads)
    assert 0 == arm.fired_count


def codes_of(path: Path) -> dict[int, int]:
    """Which very code each function of a file has."""
    return {
        id(one): id(one.__code__)
        for one in module._living()
        if one.__code__.co_filename == str(path)
    }


@pytest.mark.parametrize(("mark", "function", "target"), KINDS)
def test_the_app_does_the_same_from_the_patched_file(
    shop: Shop, tmp_path: Path, mark: str, function: str, target: str
) -> None:
    subject = shop.subject(mark, function, what_of(mark))
    (arm,) = candidates(subject)
    (edit,) = write(subject, arm).edits
    patched = tmp_path / "patched.py"
    patched.write_text(edit.after)

    again = Shop(patched)

    assert [OPENED] == again.ask(target)
    assert threading.get_ident() not in again.gate.threads


def test_many_wait_at_once_and_each_is_counted(shop: Shop, on: Switch) -> None:
    arm, _ = on(shop.plan("direct", "direct"))

    assert [OPENED] * 4 == shop.ask(*["/direct"] * 4)
    assert 4 == arm.fired_count
    assert 4 == len(shop.gate.threads)


def test_functions_of_one_code_are_all_changed(shop: Shop, on: Switch) -> None:
    arm, _ = on(shop.plan("closure", "add.<locals>.closure"))

    assert [OPENED] * 2 == shop.ask("/closure", "/closure/too")
    assert 2 == arm.fired_count


def test_only_the_one_function_is_changed(shop: Shop, on: Switch) -> None:
    before = codes_of(shop.path)

    on(shop.plan("direct", "direct"))

    after = codes_of(shop.path)
    assert {id(shop.module.direct)} == {one for one in before if before[one] != after[one]}
    # A traceback names the same file, function and line.
    code = shop.module.direct.__code__
    lines = shop.path.read_text().splitlines()
    assert str(shop.path) == code.co_filename
    assert "direct" == code.co_qualname
    assert lines.index('@app.get("/direct")') + 1 == code.co_firstlineno


def test_a_function_that_was_made_meanwhile_loses_it_too(shop: Shop, on: Switch) -> None:
    _, undo = on(shop.plan("nested", "nested.<locals>.inner"))
    shop.ask("/nested")
    (inner,) = shop.module.kept
    assert any(inner.__code__ is one for one in shop.module.nested.__code__.co_consts)
    ours = inner.__code__

    undo()

    assert inner.__code__ is not ours
    assert any(inner.__code__ is one for one in shop.module.nested.__code__.co_consts)


def test_a_client_that_is_not_asynchronous_waits_in_a_thread(shop: Shop, on: Switch) -> None:
    arm, _ = on(shop.plan("remote", "remote", ""))
    shop.gate.reached.set()
    with running_stub() as stub:
        answers = shop.ask(f"/remote?url={stub.url('/after/0')}")

    assert [{"status": 200}] == answers
    assert 1 == arm.fired_count
    assert threading.get_ident() not in shop.gate.threads


def test_a_file_is_read_in_a_thread(shop: Shop, on: Switch) -> None:
    shop.gate.reached.set()
    as_written = shop.ask("/file")

    arm, _ = on(shop.plan("file", "read", "pathlib.Path.read_text"))

    assert as_written == shop.ask("/file")
    assert 1 == arm.fired_count


def test_a_request_keeps_the_code_that_it_has_begun_with(shop: Shop, on: Switch) -> None:
    plan = shop.plan("direct", "direct")
    begun_before: Awaitable[Any] = shop.module.direct()
    arm, undo = on(plan)
    begun_meanwhile: Awaitable[Any] = shop.module.direct()
    undo()
    shop.gate.set()

    async def run() -> list[Any]:
        return [await begun_before, await begun_meanwhile]

    assert [OPENED] * 2 == asyncio.run(run())
    first, second = shop.gate.threads
    assert threading.get_ident() == first != second
    assert 1 == arm.fired_count


def test_the_call_gets_what_it_would_get_and_its_error_comes_back(shop: Shop, on: Switch) -> None:
    on(shop.plan("direct", "direct"))

    with pytest.raises(TypeError):
        asyncio.run(shop.module.direct("no number"))


def test_two_changes_of_one_function_stand_beside_each_other(shop: Shop, on: Switch) -> None:
    original = shop.module.twice.__code__
    first, undo_first = on(shop.plan("first", "twice"))
    second, undo_second = on(shop.plan("second", "twice"))
    shop.gate.set()

    shop.ask("/twice")
    undo_first()
    shop.ask("/twice")

    assert (1, 2) == (first.fired_count, second.fired_count)
    undo_second()
    assert original is shop.module.twice.__code__


def test_one_arm_may_have_several_changes_each_with_its_own_undo(shop: Shop) -> None:
    arm = OpenArm("all")
    plans = [shop.plan("direct", "direct"), shop.plan("decorated", "decorated")]
    undo_direct, undo_decorated = (switch_of("off-loop")(arm, one, TOOLS) for one in plans)

    undo_direct()

    shop.gate.set()
    shop.ask("/direct", "/decorated")
    undo_decorated()
    assert 1 == arm.fired_count


def test_what_someone_else_has_put_there_stays(shop: Shop, on: Switch) -> None:
    _, undo = on(shop.plan("direct", "direct"))
    other = shop.module.waited.__code__
    shop.module.direct.__code__ = other

    undo()

    assert other is shop.module.direct.__code__


def test_undone_twice_it_is_undone_once(shop: Shop, on: Switch) -> None:
    original = shop.module.direct.__code__
    _, undo = on(shop.plan("direct", "direct"))

    undo()
    arm, again = on(shop.plan("direct", "direct"))
    undo()

    assert [OPENED] == shop.ask("/direct")
    assert 1 == arm.fired_count
    again()
    assert original is shop.module.direct.__code__


def test_a_file_behind_a_link_is_the_same_file(shop: Shop, on: Switch, tmp_path: Path) -> None:
    link = tmp_path / "link.py"
    link.symlink_to(shop.path)

    arm, _ = on({**shop.plan("direct", "direct"), "path": str(link)})

    assert [OPENED] == shop.ask("/direct")
    assert 1 == arm.fired_count


# What is refused.


def refused(parameters: Parameters) -> str:
    with pytest.raises(WireError) as raised:
        switch_of("off-loop")(OpenArm("off-loop"), parameters, TOOLS)
    return str(raised.value)


@pytest.mark.parametrize("name", ["path", "line", "start", "source", "text_digest"])
def test_a_part_that_is_missing_or_of_another_type_is_named(shop: Shop, name: str) -> None:
    plan = dict(shop.plan("direct", "direct"))

    assert f"needs `{name}`" in refused({**plan, name: None})
    del plan[name]
    assert f"needs `{name}`" in refused(plan)


def test_a_file_that_has_changed_since_is_refused(shop: Shop) -> None:
    plan = shop.plan("direct", "direct")
    shop.path.write_text(shop.path.read_text() + "\n")

    assert "has changed since the fix was planned" in refused(plan)


def test_a_file_that_is_gone_is_refused(shop: Shop) -> None:
    plan = shop.plan("direct", "direct")
    shop.path.unlink()

    assert "cannot be read: FileNotFoundError" in refused(plan)


def test_a_process_that_runs_something_else_is_refused(shop: Shop) -> None:
    text = shop.path.read_text()
    shop.path.write_text(text.replace("gate.wait(limit)}  # direct", "gate.wait(9)}  # direct"))

    assert "does not run `direct` as" in refused(shop.plan("direct", "direct"))


def test_a_process_that_has_not_imported_it_is_refused(shop: Shop, tmp_path: Path) -> None:
    copy = tmp_path / "copy.py"
    shutil.copy(shop.path, copy)

    why = refused({**shop.plan("direct", "direct"), "path": str(copy)})

    assert f"The process has no function `direct` of {copy}." == why


def test_of_frozen_objects_it_says_so(shop: Shop, tmp_path: Path) -> None:
    plan = shop.plan("direct", "direct")
    gc.freeze()
    try:
        why = refused(plan)
    finally:
        gc.unfreeze()

    assert "frozen its objects with `gc.freeze`" in why


def test_a_call_that_is_not_there_is_refused(shop: Shop) -> None:
    plan = shop.plan("direct", "direct")

    assert "is not where it was" in refused({**plan, "start": plan["start"] + 1})
    assert "has no function `other`" in refused({**plan, "function": "other"})


def test_what_is_no_coroutine_is_refused(shop: Shop) -> None:
    plan = shop.plan("direct", "direct")
    lines = shop.path.read_text().splitlines()
    wrong = {"function": "passed", "line": lines.index("def passed() -> bool:") + 1}

    assert "`passed` is no coroutine function" in refused({**plan, **wrong})


def test_what_does_not_compile_is_refused_without_its_text(shop: Shop) -> None:
    plan = shop.plan("direct", "direct")

    why = refused({**plan, "source": "await asyncio.to_thread(gate.wait, limit))"})

    assert why.endswith("cannot be compiled: SyntaxError.")


def test_what_would_move_the_lines_below_is_refused(shop: Shop) -> None:
    plan = shop.plan("direct", "direct")

    why = refused({**plan, "source": "await asyncio.to_thread(\ngate.wait, limit)"})

    assert "would move the lines below it" in why


def test_what_would_change_the_closure_is_refused(shop: Shop) -> None:
    plan = shop.plan("closure", "add.<locals>.closure")

    why = refused({**plan, "source": "await asyncio.to_thread(gate.wait, path)"})

    assert "would take other arguments" in why


def test_what_is_refused_leaves_what_is_on(shop: Shop, on: Switch) -> None:
    plan = shop.plan("direct", "direct")
    arm, _ = on(plan)

    assert "is not where it was" in refused(plan)

    assert [OPENED] == shop.ask("/direct")
    assert 1 == arm.fired_count


def test_one_that_can_stay_on_no_longer_is_said_to_have_failed(shop: Shop, on: Switch) -> None:
    original = shop.module.twice.__code__
    _, undo = on(shop.plan("first", "twice"))
    second, _ = on(shop.plan("second", "twice"))
    os.truncate(shop.path, 0)

    undo()

    assert "has changed since" in second.broke
    assert original is shop.module.twice.__code__
