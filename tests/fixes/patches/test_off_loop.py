"""A blocking call handed over to a thread, as it is written into the source."""

import ast
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.diagnose.story import Story
from tests.fixes.held import APP, answered_by, held
from unslow.demo.routers import orders
from unslow.fixes.patches.off_loop import candidates, write
from unslow.fixes.patches.patch import CannotTryError, Patch, Subject
from unslow.model.finding import Finding
from unslow.model.proof import Arm
from unslow.model.trace import Place


def arm_of(subject: Subject) -> Arm:
    (arm,) = candidates(subject)
    return arm


def patched(subject: Subject) -> str:
    """The file as the patch leaves it; it is Python still."""
    (edit,) = write(subject, arm_of(subject)).edits
    ast.parse(edit.after)
    return edit.after


def body(text: str) -> str:
    return dedent(text).lstrip("\n")


def why_not(subject: Subject) -> str:
    with pytest.raises(CannotTryError) as raised:
        candidates(subject)
    return str(raised.value)


SLEEPS = '''
"""Orders."""

import time
from typing import Any

SETTLING_S = 0.05


@router.get("/orders/{order_id}")
async def show(order_id: int, session: Any) -> Any:
    """One order."""
    time.sleep(SETTLING_S)  # here
    return await session.get(order_id)
'''


def test_the_call_is_awaited_in_a_thread_and_nothing_else_is_touched() -> None:
    subject = held(SLEEPS, what="time.sleep")

    assert body(SLEEPS).replace(
        "    time.sleep(SETTLING_S)", "    await asyncio.to_thread(time.sleep, SETTLING_S)"
    ).replace("import time\n", "import asyncio\nimport time\n") == patched(subject)


def test_the_arm_says_what_it_writes_and_where() -> None:
    arm = arm_of(held(SLEEPS, what="time.sleep"))

    assert "off-loop" == arm.fix
    assert "await asyncio.to_thread(time.sleep, SETTLING_S)" == arm.says
    assert (APP, "show", 9) == tuple(arm.parameters[name] for name in ("path", "function", "line"))
    assert "time.sleep(SETTLING_S)" == arm.parameters["call"]


def line_of(text: str, what: str = "", **rest: Any) -> str:
    """What becomes of the marked line of the body of a coroutine."""
    source = f"import asyncio\n\n\nasync def show(a, b, client, url):\n    {text}  # here\n"
    after = patched(held(source, what=what, **rest))
    (line,) = [one.strip() for one in after.splitlines() if one.endswith("# here")]
    return line.removesuffix("  # here")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("time.sleep(1)", "await asyncio.to_thread(time.sleep, 1)"),
        ("return client.get(url)", "return await asyncio.to_thread(client.get, url)"),
        ("client.flush()", "await asyncio.to_thread(client.flush)"),
        ("x = client.get(url, *a, k=1, **b)", None),
        ("x = (client.get(url))", "x = (await asyncio.to_thread(client.get, url))"),
        ("x = client.get(url).text", "x = (await asyncio.to_thread(client.get, url)).text"),
        ("x = client.get(url)[0]", "x = (await asyncio.to_thread(client.get, url))[0]"),
        ("x = (client.get(url)).text", "x = (await asyncio.to_thread(client.get, url)).text"),
        ("x = 1 - -client.get(url) ** 2", "x = 1 - -await asyncio.to_thread(client.get, url) ** 2"),
        ("x = [*client.get(url)]", "x = [*await asyncio.to_thread(client.get, url)]"),
        ("x = client.get(i for i in a)", "x = await asyncio.to_thread(client.get, (i for i in a))"),
        ("x = f'{client.get(url)}!'", "x = f'{await asyncio.to_thread(client.get, url)}!'"),
        (
            "x = [i for i in client.get(a)]",
            "x = [i for i in await asyncio.to_thread(client.get, a)]",
        ),
        ("return Out(client.get(url))", "return Out(await asyncio.to_thread(client.get, url))"),
        ("x = int(client.get(url)) + len(a)", None),
        ("a.append(client.get(url))", "a.append(await asyncio.to_thread(client.get, url))"),
        ("x = client.get(await b)", "x = await asyncio.to_thread(client.get, await b)"),
        ("x = super().load(url)", "x = await asyncio.to_thread(super().load, url)"),
        ("x = Store(a).load(url)", "x = await asyncio.to_thread(Store(a).load, url)"),
        ("x = Connection(url)", "x = await asyncio.to_thread(Connection, url)"),
        ("x = 'é', client.get('é')", "x = 'é', await asyncio.to_thread(client.get, 'é')"),
    ],
)
def test_only_the_one_call_is_changed(before: str, after: str | None) -> None:
    expected = after or before.replace("client.get(url", "await asyncio.to_thread(client.get, url")

    assert expected == line_of(before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "x = client.get(url).json()",
            "x = await asyncio.to_thread(lambda: client.get(url).json())",
        ),
        (
            "x = a.query(b).limit(4).all()[0]",
            "x = (await asyncio.to_thread(lambda: a.query(b).limit(4).all()))[0]",
        ),
        (
            "return Out(list(a.load(client.get(url))))",
            "return Out(list(await asyncio.to_thread(lambda: a.load(client.get(url)))))",
        ),
    ],
)
def test_where_calls_are_made_on_one_another_all_go_together(before: str, after: str) -> None:
    assert after == line_of(before, segment="remote")


@pytest.mark.parametrize(
    ("what", "before", "after"),
    [
        ("time.sleep", "client.note(pause(1), time.sleep(b))", "time.sleep, b"),
        ("pathlib.Path.read_text", "x = Path(a).read_text().strip()", "Path(a).read_text"),
        ("open", "x = open(a).read()", "lambda: open(a).read()"),
        ("open", "x = open(a)", "open, a"),
        ("subprocess.Popen.communicate", "x = subprocess.run(a)", "subprocess.run, a"),
        ("subprocess.Popen", "x = subprocess.Popen(a)", "subprocess.Popen, a"),
        ("time.sleep", "pause(b)", "pause, b"),
        ("time.sleep", "x = await client.get(time.sleep(b))", "time.sleep, b"),
    ],
)
def test_the_name_of_what_was_seen_tells_which_call_it_is(
    what: str, before: str, after: str
) -> None:
    assert f"await asyncio.to_thread({after})" in line_of(before, what)


CALLS = (
    "client.target()",
    "client.target(a, *b, k=1, **c)",
    "client.target(i for i in a)",
    "client.é.target((await b),)",
    "a[1].target(x := b)",
    "super().target(a)",
    "(client).target(\n            a,\n            b,  # why\n        )",
    "target(\n            a\n        )",
)
AROUND = (
    *("({})", "{}.x", "{}[1]", "{}(2)", "-{}", "{} ** 2", "2 ** {}", "not {}", "a and {}"),
    *("({}, a)", "[{}]", "{{1: {}}}", "f(a, {})", "f(k={})", "f(*{})", "{} if a else b"),
    *("a if {} else b", "{} < 3 < a", "b[{}:]", "(y := {})", "[i for i in {}]", "await g({})"),
    *("(\n        {}\n    )", "g(\n        é, {}\n    )", "f'{{ {} }}'", "{}.targets"),
)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(CALLS), st.lists(st.sampled_from(AROUND), max_size=5))
def test_whatever_stands_around_it_the_rest_means_the_same(call: str, around: list[str]) -> None:
    expression = call
    for one in around:
        expression = one.format(expression)
    text = f"import asyncio\n\n\nclass A:\n  async def show(self, a, b):\n    x = {expression}\n"
    assume(compiles(text))
    line = text[: text.index("target(")].count("\n") + 1
    place = Place(APP, line, "A.show")
    finding = Finding("", place, evidence={"segment": "blocking", "what": "Client.target"})

    after = patched(Subject(finding, (), {APP: text}.get))

    assert 1 == after.count("to_thread")
    assert ast.dump(ast.parse(text)) == ast.dump(Back().visit(ast.parse(after)))


def compiles(text: str) -> bool:
    try:
        compile(text, APP, "exec")
    except SyntaxError:
        return False
    return True


class Back(ast.NodeTransformer):
    """Makes the call again of what was handed over."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        self.generic_visit(node)
        call = node.value
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "asyncio.to_thread":
            return node
        function, *args = call.args
        return ast.Call(function, args, call.keywords)


def test_a_call_of_several_lines_keeps_its_lines_and_comments() -> None:
    subject = held(
        """
        import asyncio


        async def show(self, office):
            answer = self.session.get(  # here
                office, timeout=4
            )
            return answer
        """
    )

    assert body(
        """
            import asyncio


            async def show(self, office):
                answer = await asyncio.to_thread(  # here
                    self.session.get, office, timeout=4
                )
                return answer
            """
    ) == patched(subject)


def test_where_each_argument_has_a_line_the_function_gets_one_too() -> None:
    subject = held(
        """
        import asyncio


        async def show(client, url):
            return client.get(  # here
                url,  # the partner's
                timeout=4,
            )
        """
    )

    lines = patched(subject).splitlines()
    assert [
        "    return await asyncio.to_thread(  # here",
        "        client.get,",
        "        url,  # the partner's",
        "        timeout=4,",
        "    )",
    ] == lines[4:]
    assert "await asyncio.to_thread(client.get, url, timeout=4)" == arm_of(subject).says


def test_the_tried_code_has_as_many_lines_as_the_file() -> None:
    text = "async def show(a):\n    a.get(  # here\n        1,\n        2,\n    )\n"
    parameters = arm_of(held(text)).parameters

    assert (
        "await asyncio.to_thread(  # here\n        a.get, 1,\n        2,\n    )"
        == (parameters["source"])
    )


def test_a_line_that_becomes_too_long_is_broken() -> None:
    marked = """
        import asyncio


        async def show(engine, teacher_id):
            return JSONResponse(
                {"teacher": teacher_id, "lessons": client.lessons_of(engine, teacher_id)}  # here
            )
        """
    text = body(marked).replace("  # here", "")
    subject = held(marked)._replace(read={APP: text}.get)
    arm = arm_of(subject)

    written = patched(subject)

    assert max(map(len, written.splitlines())) <= 100
    assert '            "lessons": await asyncio.to_thread(' in written
    assert Patch() == write(subject._replace(read={APP: written}.get), arm)


def test_of_a_chain_over_lines_the_one_at_the_line_is_taken() -> None:
    subject = held(
        """
        import asyncio


        async def show(session):
            return (
                session.query(Lesson)
                .limit(40)
                .all()  # here
            )
        """,
        segment="sql",
    )

    assert "await asyncio.to_thread(session.query(Lesson).limit(40).all)" == arm_of(subject).says
    ast.parse(patched(subject))


def test_a_plain_function_is_handed_over_where_the_coroutine_calls_it() -> None:
    text = """
        import time


        def settled(order_id):
            time.sleep(1)  # here
            return order_id


        async def show(order_id):
            return {"id": settled(order_id)}
        """
    subject = held(text, "settled", "time.sleep")

    assert '    return {"id": await asyncio.to_thread(settled, order_id)}\n' in patched(subject)
    assert "show" == arm_of(subject).parameters["function"]


def test_so_is_a_method_on_whatever_it_is_called() -> None:
    text = """
        class Customs:
            def duty(self, code):
                return self.session.get(code)  # here

            async def fees(self, code):
                return 1 + self.duty(code)
        """

    assert "await asyncio.to_thread(self.duty, code)" == arm_of(held(text, "Customs.duty")).says


SERVICE = """
    def duty(code):
        return session.get(code)  # here


    async def fees(code):
        return duty(code)
    """
ENDPOINT = "/app/routes.py"


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("from .customs import duty", "duty(code)"),
        ("from .customs import duty as asked", "asked(code)"),
        ("from . import shop", "shop.duty(code)"),
        ("import app.shop", "app.shop.duty(code)"),
        ("import app.shop as services", "services.duty(code)"),
    ],
)
def test_a_function_of_another_file_is_found_where_the_endpoint_calls_it(
    imports: str, call: str
) -> None:
    routes = f"{imports}\n\n\nasync def show(code):\n    return {call}\n"
    subject = held(
        SERVICE,
        "duty",
        others={ENDPOINT: routes},
        traces=[answered_by(ENDPOINT, 4, "show")],
    )

    (edit,) = write(subject, arm_of(subject)).edits

    assert ENDPOINT == edit.path
    name = call.removesuffix("(code)")
    assert f"return await asyncio.to_thread({name}, code)\n" in edit.after


@pytest.mark.parametrize("call", ["ask.duty(code)", "duty(code)", "ask().duty(code)"])
def test_another_function_of_that_name_is_not_it(call: str) -> None:
    routes = f"from .other import ask\n\n\nasync def show(code):\n    return {call}\n"
    alone = SERVICE.replace("    return duty(code)", "    return 1")
    endpoint = answered_by(ENDPOINT, 4, "show")
    subject = held(alone, "duty", others={ENDPOINT: routes}, traces=[endpoint])

    assert "No coroutine is seen to call `duty`" in why_not(subject)


def test_an_import_is_not_put_between_a_decorator_and_its_function() -> None:
    text = "@route\nasync def show():\n    time.sleep(1)  # here\n"

    assert patched(held(text)).startswith("import asyncio\n\n\n@route\nasync def")


def test_the_recorded_lines_tell_which_of_two_coroutines_it_was() -> None:
    text = """
        def duty(code):
            return session.get(code)  # here


        async def one(code):
            return duty(code)


        async def two(code):
            return duty(code, 2)
        """
    subject = held(text, "duty", segment="remote")
    place = subject.finding.place
    assert place is not None
    trace = Story().asks(5, place, Place(APP, 10, "two"), holds_loop=True).answers().trace()

    assert "is called at 2 places, in `one`, `two`" in why_not(subject)
    assert "two" == arm_of(subject._replace(traces=(trace,))).parameters["function"]


DEEP = """
    import time


    def settle():
        time.sleep(1)  # here


    class Desk:
        def card(self):
            settle()


    def card_of(desk):
        return desk.card()


    async def show(desk):
        return card_of(desk)
    """


def test_what_lies_deeper_is_not_tried_and_the_function_to_move_is_named() -> None:
    assert (
        "It waits 3 frames below the coroutine: move `card_of`, which `show` calls,"
        " with `await asyncio.to_thread(...)`." == why_not(held(DEEP, "settle", "time.sleep"))
    )


def test_a_function_that_no_coroutine_is_seen_to_call_is_named_too() -> None:
    text = DEEP.replace("async def", "def")

    assert "No coroutine is seen to call `settle` itself" in why_not(held(text, "settle"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("with open(a) as file:  # here\n        pass", "entered by a `with`"),
        ("with closing(client.get(a)) as file:  # here\n        pass", "entered by a `with`"),
        ("for one in client.get(a):  # here\n        pass", "a `for` goes through what it returns"),
        ("async for one in client.get(a):  # here\n        pass", "a `for` goes through"),
        ("with lock:\n        client.get(a)  # here", "it stands in `with` of `lock`"),
        ("with a.row_lock(b):\n        client.get(a)  # here", "in `with` of `row_lock`"),
        ("with a.connect() as b:\n        b.load(a)  # here", "in `with` of `connect`"),
        ("with b, a.begin():\n        if a:\n            b.load(a)  # here", "`begin`"),
        ("x = lambda: client.get(a)  # here", "it stands in a lambda"),
        ("x = [client.get(i) for i in a]  # here", "it stands in a comprehension"),
        ("x = [i for i in a if client.get(i)]  # here", "it stands in a comprehension"),
        ("x = [i for j in a for i in client.get(j)]  # here", "it stands in a comprehension"),
        ("x = set(client.get(i) for i in a)  # here", "it stands in a comprehension"),
        ("x = {client.get(i): i for i in a}  # here", "it stands in a comprehension"),
        ("def inner(x=client.get(a)):  # here\n        pass", "in the head of a function"),
        ("x = await client.get(a)  # here", "no call of its own"),
        ("x = await b(client.get(a))  # here", "no call of its own"),
        ("x = client.get(a) + client.post(b)  # here", "2 calls of the line may be the one"),
        ("x = a + b  # here", "No call of the line"),
        ("x = a.load(y := client.get(b))  # here", "has to stay in the coroutine"),
        ("x = a.load(client.get(await b))  # here", "has to stay in the coroutine"),
        ("x = a.load(client.get(super().key))  # here", "has to stay in the coroutine"),
        ("x = a.load(client.get(locals()))  # here", "has to stay in the coroutine"),
    ],
)
def test_what_cannot_be_handed_over_is_refused_and_says_why(line: str, why: str) -> None:
    subject = held(f"async def show(a, b, client):\n    {line}\n")

    assert why in why_not(subject)


@pytest.mark.parametrize(
    "name", ["<listcomp>", "<lambda>", "<genexpr>", "<genexpr>.<locals>.<lambda>"]
)
def test_a_line_within_a_function_without_a_name_belongs_to_the_coroutine(name: str) -> None:
    text = "async def show(a, client):\n    x = [client.get(i) for i in a]  # here\n"

    assert "stands in a comprehension" in why_not(held(text, f"show.<locals>.{name}"))


@pytest.mark.parametrize("block", ["with open(a) as b", "async with lock", "with Session(a) as b"])
def test_what_a_block_has_for_itself_may_be_held_meanwhile(block: str) -> None:
    text = f"async def show(a, client):\n    {block}:\n        client.get(a)  # here\n"

    assert "        await asyncio.to_thread(client.get, a)  # here\n" in patched(held(text))


def test_a_refusal_says_the_call_in_one_line() -> None:
    text = """
        async def show(session, client):
            with client.lock:
                return (
                    session.query()  # the sales
                    .all()  # here
                )
        """

    assert "`session.query().all()` cannot be handed over" in why_not(held(text))


def test_two_calls_of_the_name_that_was_seen_are_not_certain() -> None:
    text = "async def show(a):\n    x = time.sleep(a), time.sleep(2)  # here\n"

    assert "2 calls of the line may be the one" in why_not(held(text, what="time.sleep"))


def test_a_generator_is_not_handed_over() -> None:
    text = """
        def lines(file):
            yield file.read(1)  # here


        async def show(file):
            return list(lines(file))
        """

    assert "`lines` is a generator" in why_not(held(text, "lines"))


def test_without_a_line_there_is_nothing_to_try() -> None:
    subject = held(SLEEPS)
    nowhere = subject._replace(finding=replace(subject.finding, place=None))

    assert "No line of your own code" in why_not(nowhere)


def test_a_file_that_cannot_be_read_is_not_tried() -> None:
    gone = held(SLEEPS)._replace(read={"/app/other.py": ""}.get)
    broken = held("async def show(:\n    pass  # here\n")

    assert "cannot be read, or has changed" in why_not(gone)
    assert "it cannot be read as Python" in why_not(broken)


def test_another_function_at_the_line_is_not_tried() -> None:
    assert "has no function `other` at that line" in why_not(held(SLEEPS, "other"))


@pytest.mark.parametrize(
    "text",
    [
        "from trio import asyncio\n\n\nasync def show():\n    time.sleep(1)  # here\n",
        "asyncio = None\n\n\nasync def show():\n    time.sleep(1)  # here\n",
        "if TYPE:\n    import asyncio\n\n\nasync def show():\n    time.sleep(1)  # here\n",
    ],
)
def test_where_the_name_of_asyncio_is_taken_in_the_file_it_is_not_tried(text: str) -> None:
    assert "gives the name `asyncio` to something else" in why_not(held(text))


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio\n\n\nasync def show(asyncio):\n    time.sleep(1)  # here\n",
        "async def show():\n    time.sleep(1)  # here\n    import asyncio\n",
        "def made(asyncio):\n    async def show():\n        time.sleep(1)  # here\n",
    ],
)
def test_where_it_is_taken_in_the_function_neither(text: str) -> None:
    function = "made.<locals>.show" if "made" in text else "show"

    assert "the name `asyncio` stands for something else" in why_not(held(text, function))


def test_asyncio_under_another_name_is_used_by_that() -> None:
    text = "import asyncio as aio\n\n\nasync def show():\n    time.sleep(1)  # here\n"

    assert text.replace("time.sleep(1)", "await aio.to_thread(time.sleep, 1)") == patched(
        held(text)
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import time\nimport typing\n", "import asyncio\nimport time\nimport typing\n"),
        ("import ast\nimport time\n", "import ast\nimport asyncio\nimport time\n"),
        ("import abc\n\nimport fastapi\n", "import abc\nimport asyncio\n\nimport fastapi\n"),
        (
            "from time import sleep\n\nimport fastapi\n",
            "import asyncio\nfrom time import sleep\n\nimport fastapi\n",
        ),
        (
            "import fastapi\n\nfrom .db import session\n",
            "import asyncio\n\nimport fastapi\n\nfrom .db import session\n",
        ),
        ("from . import db\n", "import asyncio\n\nfrom . import db\n"),
        ('"""Doc."""\n\nimport time\n', '"""Doc."""\n\nimport asyncio\nimport time\n'),
        ('"""Doc."""\nimport time\n', '"""Doc."""\nimport asyncio\nimport time\n'),
        (
            '"""Doc."""\nfrom __future__ import annotations\n\nimport fastapi\n',
            '"""Doc."""\nfrom __future__ import annotations\n\nimport asyncio\n\nimport fastapi\n',
        ),
        (
            "from __future__ import annotations\nimport fastapi\n",
            "from __future__ import annotations\n\nimport asyncio\n\nimport fastapi\n",
        ),
        (
            "# Licence\nimport time  # slow\n",
            "# Licence\nimport asyncio\nimport time  # slow\n",
        ),
        (
            "import abc\n# Slow.\nimport time\n",
            "import abc\nimport asyncio\n# Slow.\nimport time\n",
        ),
        ("", "import asyncio\n\n\n"),
        ("LIMIT = 4\n", "import asyncio\n\n\nLIMIT = 4\n"),
        ('"""Doc."""\nLIMIT = 4\n', '"""Doc."""\n\nimport asyncio\n\n\nLIMIT = 4\n'),
        ('"""Doc."""\n', '"""Doc."""\n\nimport asyncio\n'),
        ("import asyncio\n", "import asyncio\n"),
        ("import asyncio.subprocess\n", "import asyncio.subprocess\n"),
        ("import time, asyncio\n", "import time, asyncio\n"),
    ],
)
def test_the_import_stands_where_it_belongs(before: str, after: str) -> None:
    gap = "\n\n" if before else ""
    rest = "async def show():\n    time.sleep(1)  # here\n"

    changed = patched(held(before + gap + rest))

    head, _, _ = changed.partition("async def")
    assert after + gap == head


def test_line_ends_of_windows_stay() -> None:
    text = body(SLEEPS).replace("\n", "\r\n")
    subject = held(SLEEPS, what="time.sleep")._replace(read={APP: text}.get)

    after = patched(subject)

    assert after.replace("\r\n", "").count("\n") == 0
    assert "import asyncio\r\nimport time\r\n" in after


def applied(subject: Subject) -> Subject:
    return subject._replace(read={APP: patched(subject)}.get)


def test_written_twice_changes_nothing_more() -> None:
    subject = held(SLEEPS, what="time.sleep")
    arm = arm_of(subject)

    assert Patch() == write(applied(subject), arm)


def test_what_is_written_already_is_not_tried_again() -> None:
    assert "The line awaits something" in why_not(moved(applied(held(SLEEPS))))


def moved(subject: Subject) -> Subject:
    """The same one line further down."""
    place = subject.finding.place
    assert place is not None
    lower = replace(place, line=place.line + 1)
    return subject._replace(finding=replace(subject.finding, place=lower))


def test_two_patches_of_one_file_stand_on_one_another() -> None:
    text = SLEEPS + "\n\nasync def other():\n    time.sleep(2)\n"
    first = held(text, what="time.sleep")
    second = held(text.replace("  # here", "").replace("(2)", "(2)  # here"), "other")
    second = second._replace(read=first.read)
    arm = arm_of(second)

    (edit,) = write(applied(first), arm).edits

    assert "await asyncio.to_thread(time.sleep, SETTLING_S)" in edit.before
    assert "await asyncio.to_thread(time.sleep, 2)" in edit.after
    assert 1 == edit.after.count("import asyncio")


@pytest.mark.parametrize(
    "changed",
    [
        body(SLEEPS).replace("SETTLING_S)", "2 * SETTLING_S)"),
        body(SLEEPS).replace("    time.sleep(", "    time.sleep(SETTLING_S)\n    time.sleep("),
        body(SLEEPS).replace("async def show", "async def shown"),
        body(SLEEPS).replace("import time", "import asyncio as aio"),
        body(SLEEPS).replace("import time", "from trio import asyncio"),
        None,
    ],
)
def test_a_file_that_has_changed_is_not_written_and_the_advice_says_what_to_do(
    changed: str | None,
) -> None:
    subject = held(SLEEPS, what="time.sleep")
    arm = arm_of(subject)

    patch = write(subject._replace(read={APP: changed}.get), arm)

    assert () == patch.edits
    assert (
        "In `show`, write `await asyncio.to_thread(time.sleep, SETTLING_S)` in place of"
        " `time.sleep(SETTLING_S)`, and import asyncio." in patch.advice
    )
    assert f"No patch is written for {APP}" in patch.advice


def advice_of(subject: Subject) -> str:
    return write(subject, arm_of(subject)).advice


def test_the_advice_tells_what_no_trial_sees() -> None:
    advice = advice_of(held(SLEEPS, what="time.sleep"))

    assert "When its request is cancelled or times out, it goes on there to its end." in advice
    assert "a lock that `show` holds" in advice
    assert "session or connection" not in advice


def test_of_a_session_it_says_that_it_must_be_the_requests_alone() -> None:
    text = "async def show(session, query):\n    return session.execute(query)  # here\n"

    assert "session or connection" in advice_of(held(text, segment="sql"))


@pytest.mark.parametrize(
    ("rest", "is_told"),
    [("return 1", True), ("return await other()", False), ("async with other(): pass", False)],
)
def test_an_endpoint_that_awaits_nothing_else_may_be_a_plain_function(
    rest: str, is_told: bool
) -> None:
    text = f"async def show():\n    time.sleep(1)  # here\n    {rest}\n"

    told = advice_of(held(text, traces=[answered_by(APP, 1, "show")]))
    of_no_endpoint = advice_of(held(text))

    assert is_told == ("`def show` in place of the patch" in told)
    assert "`def show`" not in of_no_endpoint


@pytest.mark.parametrize(
    ("call", "function", "says"),
    [
        (
            "time.sleep(SETTLING_S)",
            "get_order",
            "await asyncio.to_thread(time.sleep, SETTLING_S)",
        ),
        (
            "services.shipping.get(",
            "get_shipping",
            (
                "answer = await asyncio.to_thread( services.shipping.get,"
                ' f"{services.stub_url}/shipping/{order_id}", timeout=REMOTE_TIMEOUT_S )'
            ),
        ),
    ],
)
def test_the_demos_own_mistakes_are_mended(call: str, function: str, says: str) -> None:
    path = orders.__file__
    text = Path(path).read_text()
    place = Place(path, text[: text.index(call)].count("\n") + 1, function)
    finding = Finding("", place, evidence={"segment": "blocking", "what": ""})

    after = patched(Subject(finding, (), {path: text}.get))

    assert says in " ".join(after.split())
    assert "import asyncio\nimport time\n" in after
