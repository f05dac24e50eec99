"""Two calls awaited in turn: when the source shows that the later one needs nothing of the first.

Each function below calls at the lines marked 1 and 2.
"""

from pathlib import Path
from textwrap import dedent, indent

import pytest

from tests.diagnose.story import App, Story, found, judged, listing, only, side_by_side
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.serial_awaits import serial_awaits
from unslow.diagnose.views import Run
from unslow.model.trace import Place, Trace

RUN = Run(round_trip_ms=0.2)
INDEPENDENT = """
    one = await client.get("/one")  # 1
    two = await client.get("/two")  # 2
    return one, two
"""


def app(folder: Path, body: str) -> App:
    body = indent(dedent(body), "    ")
    return App(folder, f"async def list_orders(client, context, wanted):\n{body}")


def calling(*calls: tuple[Place, float], rest_ms: float = 10) -> Trace:
    story = Story().sends(listing(5), rest_ms)
    for place, ms in calls:
        story.asks(ms, place)
    return story.trace()


def said(folder: Path, body: str) -> list[str]:
    mine = app(folder, body)
    trace = calling((mine.at("# 1"), 10), (mine.at("# 2"), 10))
    return [
        one.says if isinstance(one, Nearly) else "found" for one in judged(serial_awaits, trace)
    ]


def test_it_fires_at_the_threshold_at_the_later_line_and_saves_the_shorter_wait(
    tmp_path: Path,
) -> None:
    mine = app(tmp_path, INDEPENDENT)
    first, second = mine.at("# 1"), mine.at("# 2")

    finding = only(found(serial_awaits, calling((first, 40), (second, 10), rest_ms=50), run=RUN))

    assert ("serial-awaits", second, first) == (finding.rule, finding.place, finding.touched)
    assert finding.says == (
        f"It is sent when line {first.line} has its answer, of which it uses nothing."
    )
    assert pytest.approx(10) == finding.could_save_ms
    assert {"first_line": first.line, "second_line": second.line} == finding.evidence


def test_it_is_silent_just_below(tmp_path: Path) -> None:
    mine = app(tmp_path, INDEPENDENT)
    calls = (mine.at("# 1"), 40), (mine.at("# 2"), 10)

    assert [] == judged(serial_awaits, calling(*calls, rest_ms=51), run=RUN)


def test_waits_too_short_to_gain_by_are_nothing(tmp_path: Path) -> None:
    mine = app(tmp_path, INDEPENDENT)
    calls = (mine.at("# 1"), 0.9), (mine.at("# 2"), 0.9)

    assert [] == judged(serial_awaits, calling(*calls, rest_ms=0), run=RUN)


INDEPENDENT_WAYS = {
    "dropped": """
        await client.get(1)  # 1
        await client.get(2)  # 2
    """,
    "annotated": """
        one: int = await client.get(1)  # 1
        two: int = await client.get(2)  # 2
    """,
    "the first is used in between": """
        one = await client.get(1)  # 1
        for each in one.json():
            print(each)
        two = await client.get(2)  # 2
    """,
    "into one dictionary": """
        found = {}
        found[1] = await client.get(1)  # 1
        found[2] = await client.get(2)  # 2
    """,
    "into one object": """
        context.one = await client.get(1)  # 1
        context.two = await client.get(2)  # 2
    """,
    "into one list": """
        found = []
        found.append(await client.get(1))  # 1
        found.append(await client.get(2))  # 2
    """,
    "below a test of something else": """
        one = await client.get(1)  # 1
        if wanted:
            two = await client.get(2)  # 2
    """,
    "both below a test": """
        if wanted:
            one = await client.get(1)  # 1
            two = await client.get(2)  # 2
    """,
    "behind a test of something else": """
        one = await client.get(1)  # 1
        if not wanted:
            return
        two = await client.get(2)  # 2
    """,
    "blocks of their own": """
        async with client.get(1) as one:  # 1
            x = await one.json()
        async with client.get(2) as two:  # 2
            y = await two.json()
    """,
}
NEEDED = {
    "an attribute": """
        one = await client.get(1)  # 1
        two = await client.get(one.id)  # 2
    """,
    "a part of it": """
        one, *_ = await client.get(1)  # 1
        two = await client.get(f"/{one}")  # 2
    """,
    "what was made of it": """
        first = await client.get(1)  # 1
        key = first.json()["id"]
        one = f"/{key}"
        two = await client.get(one)  # 2
    """,
    "what was collected from it": """
        first = await client.get(1)  # 1
        one = []
        for each in first:
            one.append(each)
        two = await client.get(one)  # 2
    """,
    "what was chosen by it": """
        first = await client.get(1)  # 1
        one = 2
        if first:
            one = 3
        two = await client.get(one)  # 2
    """,
    "a test of it": """
        one = await client.get(1)  # 1
        two = await client.get(2) if one else None  # 2
    """,
    "the dictionary that it is in": """
        one = {}
        one["first"] = await client.get(1)  # 1
        one["second"] = await client.get(one)  # 2
    """,
    "the list that it is in": """
        one = []
        one.append(await client.get(1))  # 1
        one.append(await client.get(one[0]))  # 2
    """,
    "the object that it is in": """
        one.user = await client.get(1)  # 1
        two = await client.get(one)  # 2
    """,
    "what its block has set": """
        async with client.get(1) as first:  # 1
            one = await first.json()
        two = await client.get(one)  # 2
    """,
    "a client that was logged in": """
        await log_in(one)  # 1
        two = await one.get(2)  # 2
    """,
    "an object that was filled": """
        await fill(into=one)  # 1
        two = await client.get(one.id)  # 2
    """,
}


@pytest.mark.parametrize("body", INDEPENDENT_WAYS.values(), ids=INDEPENDENT_WAYS)
def test_the_later_one_uses_nothing_of_the_first(tmp_path: Path, body: str) -> None:
    assert ["found"] == said(tmp_path, body)


@pytest.mark.parametrize("body", NEEDED.values(), ids=NEEDED)
def test_one_that_uses_the_first_answer_has_to_wait_for_it(tmp_path: Path, body: str) -> None:
    (says,) = said(tmp_path, body)

    assert says.startswith("lines ")
    assert says.endswith(" wait in turn: the later one uses one")


@pytest.mark.parametrize(
    "between",
    [
        "if not one:\n    return None",
        "if one.status != 200:\n    raise ValueError",
        "while one.pending:\n    break",
        "for each in one:\n    if each:\n        return each",
        "match one:\n    case 404:\n        return None",
        "try:\n    one.check()\nexcept ValueError:\n    return None",
    ],
)
def test_one_that_the_first_answer_may_keep_from_being_sent_has_to_wait(
    tmp_path: Path, between: str
) -> None:
    body = f"one = await client.get(1)  # 1\n{between}\ntwo = await client.get(2)  # 2"

    (says,) = said(tmp_path, body)

    assert says.endswith("whether the later one is sent hangs on the first")


@pytest.mark.parametrize("head", ["if one:", "while one:", "for each in one:"])
def test_one_inside_a_test_of_the_first_answer_has_to_wait(tmp_path: Path, head: str) -> None:
    body = f"one = await client.get(1)  # 1\n{head}\n    two = await client.get(2)  # 2"

    (says,) = said(tmp_path, body)

    assert says.endswith("whether the later one is sent hangs on the first")


def test_tasks_that_are_awaited_together_wait_side_by_side(tmp_path: Path) -> None:
    mine = app(
        tmp_path, "await asyncio.gather(\n    get(client, 1),  # 1\n    get(client, 2),  # 2\n)"
    )
    first, second = mine.at("# 1"), mine.at("# 2")

    assert [] == judged(serial_awaits, side_by_side(calling((first, 10)), calling((second, 10))))


def test_a_thread_awaits_nothing(tmp_path: Path) -> None:
    mine = app(tmp_path, INDEPENDENT)
    story = Story(in_thread=True).asks(10, mine.at("# 1")).asks(10, mine.at("# 2"))

    assert [] == judged(serial_awaits, story.trace())


def test_a_loop_over_one_line_is_not_two_lines(tmp_path: Path) -> None:
    mine = app(tmp_path, INDEPENDENT)
    first, second = mine.at("# 1"), mine.at("# 2")

    assert [] == judged(serial_awaits, calling((second, 10), (first, 10)))
    assert [] == judged(serial_awaits, calling((first, 10), (first, 10)))


def test_the_calls_of_a_mail_need_one_another(tmp_path: Path) -> None:
    mine = app(tmp_path, INDEPENDENT)
    story = Story().asks(10, mine.at("# 1"), host="smtp mail.example:25")
    story.asks(10, mine.at("# 2"), host="smtp mail.example:25")

    assert [] == judged(serial_awaits, story.trace())


def test_of_calls_deep_in_a_helper_the_lines_are_told_at_which_their_ways_part(
    tmp_path: Path,
) -> None:
    mine = App(
        tmp_path,
        """
        async def list_orders(client):
            one = await ask(client, 1)  # 1
            two = await ask(client, 2)  # 2

        async def ask(client, number):
            return await client.get(number)  # deep
        """,
    )
    deep = mine.at("# deep", "ask")
    story = Story().asks(10, deep, mine.at("# 1")).asks(10, deep, mine.at("# 2"))

    finding = only(found(serial_awaits, story.trace()))

    assert (mine.at("# 2"), mine.at("# 1")) == (finding.place, finding.touched)


def test_lines_of_different_functions_are_not_compared(tmp_path: Path) -> None:
    mine = app(tmp_path, INDEPENDENT)

    trace = calling((mine.at("# 1", "current_user"), 10), (mine.at("# 2"), 10))

    assert [] == judged(serial_awaits, trace)


def test_of_three_calls_the_second_and_the_third_are_told(tmp_path: Path) -> None:
    mine = app(
        tmp_path,
        """
        one = await client.get("/one")  # 1
        two = await client.get("/two")  # 2
        three = await client.get("/three")  # 3
    """,
    )
    places = [mine.at(f"# {number}") for number in (1, 2, 3)]

    findings = found(serial_awaits, calling(*((place, 10) for place in places)))

    assert places[1:] == [one.place for one in findings]
    assert 2 == len({one.id for one in findings})
    assert pytest.approx(20) == sum(one.could_save_ms or 0 for one in findings)


def test_what_cannot_be_read_is_nearly_one(tmp_path: Path) -> None:
    mine = app(tmp_path, INDEPENDENT)
    trace = calling((mine.at("# 1"), 10), (mine.at("# 2"), 10))
    mine.path.unlink()

    (says,) = judged(serial_awaits, trace)

    assert isinstance(says, Nearly)
    assert "lines 3 and 4 wait in turn: their source could not be read" == says.says


def test_two_calls_in_one_statement_are_nearly_one(tmp_path: Path) -> None:
    body = "return {\n    1: await client.get(1),  # 1\n    2: await client.get(2),  # 2\n}"

    (says,) = said(tmp_path, body)

    assert says.endswith("wait in turn: both stand in one statement")
