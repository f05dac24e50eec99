"""What the client waits for and does not need: mails, calls without a use, writes of a GET."""

from dataclasses import replace
from pathlib import Path
from textwrap import dedent, indent

import pytest

from tests.diagnose.story import LINE, OTHER_LINE, App, Story, found, judged, listing, look_up, only
from unslow.diagnose.rules.side_effect_in_request import side_effect_in_request
from unslow.model.trace import BLOCKING, Place, Statement, Trace

EVENTS = "events.example:443"
MAIL = "smtp mail.example:25"


def app(folder: Path, body: str) -> App:
    """A function that calls another service at the line with `# here`."""
    body = indent(dedent(body), "    ")
    return App(folder, f"async def create_order(client, found, order):\n{body}\n")


def calling(mine: App, words: str = "# here", ms: float = 10) -> Trace:
    story = Story().sends(listing(5)).asks(ms, mine.at(words, "create_order"), host=EVENTS)
    return story.answers().trace(method="POST")


def mailing(ms: float = 10) -> Story:
    """Connects, hands a mail over, and leaves, each at a line of its own."""
    story = Story()
    for line, took in ((20, ms / 5), (22, ms / 2), (23, ms / 10)):
        story.asks(took, Place("/app/mail.py", line, "send_mail"), host=MAIL)
    return story


def writing(shape: str, *, method: str = "GET") -> Trace:
    story = Story().sends(listing(5))
    return story.sends(Statement(shape, "asyncpg", LINE), 2).answers().trace(method=method)


def test_a_call_whose_answer_is_dropped_fires_at_its_line(tmp_path: Path) -> None:
    mine = app(tmp_path, "await client.post('/events')  # here")

    finding = only(found(side_effect_in_request, calling(mine)))

    assert "side-effect-in-request" == finding.rule
    assert mine.at("# here", "create_order") == finding.place
    assert finding.says == (
        f"{EVENTS} is called, and its answer is not used, before the response: 10.0 ms."
    )
    assert pytest.approx(10) == finding.could_save_ms
    assert {"host": EVENTS, "kind": "call", "requests": 1} == finding.evidence


def test_half_of_the_requests_have_to_do_it(tmp_path: Path) -> None:
    mine = app(tmp_path, "if order:\n    await client.post('/events')  # here")
    does, does_not = calling(mine), Story().sends(listing(5)).trace(method="POST")

    finding = only(found(side_effect_in_request, does, does_not))

    assert pytest.approx(5) == finding.could_save_ms
    assert [] == judged(side_effect_in_request, does, does_not, does_not)


@pytest.mark.parametrize(
    "body",
    [
        "requests.post('/events', json={'id': str(order.id)})  # here",
        "await client.post('/events', json=dict(order))  # here",
        "client.track(order.id, 'created')  # here",
        "try:\n    await client.post('/events')  # here\nexcept OSError:\n    pass",
        "async with lock:\n    await client.post('/events')  # here",
    ],
)
def test_the_ways_to_drop_an_answer(tmp_path: Path, body: str) -> None:
    assert found(side_effect_in_request, calling(app(tmp_path, body)))


@pytest.mark.parametrize(
    "body",
    [
        "answer = await client.post('/charges')  # here",
        "return await client.post('/charges')  # here",
        "(await client.post('/charges')).raise_for_status()  # here",
        "requests.post('/charges').raise_for_status()  # here",
        "found.append(await client.post('/charges'))  # here",
        "found.append((await client.post('/charges')).json())  # here",
        "found.append(requests.post('/charges').json())  # here",
        "found['charge'] = await client.post('/charges')  # here",
        "await save(await client.post('/charges'))  # here",
        "print(requests.post('/charges'))  # here",
        "if not (await client.post('/charges')).ok:  # here\n    raise ValueError",
        "async with client.stream('/charges') as answer:  # here\n    await answer.read()",
        "[found.append(await client.post(one)) for one in order]  # here",
        "raise ValueError(await client.post('/charges'))  # here",
    ],
)
def test_an_answer_that_is_used_is_needed(tmp_path: Path, body: str) -> None:
    assert [] == judged(side_effect_in_request, calling(app(tmp_path, body)))


HELPERS = """
    async def create_order(order):
        await tell(str(order.id))  # drops
        answer = await tell(order)  # keeps
        found.append(await tell(order))  # collects
        await save(await tell(order))  # saves
        await shrugs(order)  # shrugs

    async def tell(what):
        return await client.post("/events", json=what)  # sends

    async def shrugs(what):
        await tell(what)  # inner
"""


def through_helper(mine: App, *words: str) -> Trace:
    functions = {"# sends": "tell", "# inner": "shrugs"}
    chain = [mine.at(one, functions.get(one, "create_order")) for one in words]
    return Story().asks(10, *chain, host=EVENTS).answers().trace(method="POST")


@pytest.mark.parametrize(
    "ways", [("# sends", "# drops"), ("# sends", "# inner", "# shrugs")], ids=str
)
def test_a_helper_that_hands_the_answer_on_to_somebody_who_drops_it(
    tmp_path: Path, ways: tuple[str, ...]
) -> None:
    mine = App(tmp_path, HELPERS)

    finding = only(found(side_effect_in_request, through_helper(mine, *ways)))

    assert mine.at("# sends", "tell") == finding.place


@pytest.mark.parametrize("caller", ["# keeps", "# collects", "# saves"])
def test_a_helper_that_hands_the_answer_on_to_somebody_who_uses_it(
    tmp_path: Path, caller: str
) -> None:
    mine = App(tmp_path, HELPERS)

    assert [] == judged(side_effect_in_request, through_helper(mine, "# sends", caller))


def test_of_two_ways_to_a_helper_only_the_one_that_drops_counts(tmp_path: Path) -> None:
    mine = App(tmp_path, HELPERS)
    story = Story()
    for caller in ("# drops", "# keeps"):
        story.asks(10, mine.at("# sends", "tell"), mine.at(caller, "create_order"), host=EVENTS)

    finding = only(found(side_effect_in_request, story.answers().trace(method="POST")))

    assert pytest.approx(10) == finding.could_save_ms


def test_of_a_call_whose_source_cannot_be_read_nobody_knows() -> None:
    assert [] == judged(side_effect_in_request, Story().asks(10).trace(method="POST"))
    assert [] == judged(side_effect_in_request, Story().asks_in_passing(10).trace(method="POST"))


def test_background_work_keeps_nobody_waiting(tmp_path: Path) -> None:
    mine = app(tmp_path, "await client.post('/events')  # here")
    story = Story().answers().is_answered().asks(10, mine.at("# here", "create_order"))
    story.asks(5, LINE, host=MAIL).sends(Statement("UPDATE orders SET seen = ?", "asyncpg", LINE))

    assert [] == judged(side_effect_in_request, story.trace())


def test_a_task_that_goes_on_behind_the_response_keeps_nobody_waiting(tmp_path: Path) -> None:
    mine = app(tmp_path, "await client.post('/events')  # here")
    trace = calling(mine)

    early = replace(trace, response_end_ns=trace.start_ns + 5_000_000)

    assert [] == judged(side_effect_in_request, early)


def test_a_mail_fires_at_its_longest_call_and_could_save_all_of_them() -> None:
    finding = only(found(side_effect_in_request, mailing(10).answers().trace(method="POST")))

    assert Place("/app/mail.py", 22, "send_mail") == finding.place
    assert "A mail is sent before the response: 8.0 ms." == finding.says
    assert pytest.approx(8) == finding.could_save_ms
    assert {"host": MAIL, "kind": "mail", "requests": 1} == finding.evidence


def test_a_mail_that_few_requests_send_is_not_told() -> None:
    mails, does_not = mailing().trace(), Story().sends(listing(5)).trace()

    assert found(side_effect_in_request, mails, does_not)
    assert [] == judged(side_effect_in_request, mails, does_not, does_not)


def test_a_mail_in_a_thread_that_the_client_waits_for_is_one_too() -> None:
    place = Place("/app/mail.py", 22, "send_mail")
    story = Story(in_thread=True).asks(10, place, host=MAIL, holds_loop=True)

    assert place == only(found(side_effect_in_request, story.trace(method="POST"))).place


@pytest.mark.parametrize(
    ("shape", "verb"),
    [
        ("UPDATE users SET last_seen = ? WHERE id = ?", "UPDATE"),
        ("INSERT INTO audit VALUES (?)", "INSERT"),
        ("DELETE FROM carts WHERE id = ?", "DELETE"),
        ("WITH old AS (SELECT ? FROM carts FOR UPDATE) DELETE FROM carts", "DELETE"),
        ("WITH gone AS (DELETE FROM carts) SELECT ?", "DELETE"),
        ("copy audit FROM STDIN", "COPY"),
    ],
)
def test_a_get_that_writes_fires_at_the_line_that_sends_it(shape: str, verb: str) -> None:
    finding = only(found(side_effect_in_request, writing(shape)))

    assert LINE == finding.place
    assert f"GET writes: {verb}, 2.0 ms before the response." == finding.says
    assert pytest.approx(2) == finding.could_save_ms
    assert 1 == finding.round_trips
    assert {"kind": "write", "requests": 1} == finding.evidence


def test_half_of_the_gets_have_to_write() -> None:
    writes, reads = writing("UPDATE users SET x = ?"), Story().sends(listing(5)).trace()

    assert found(side_effect_in_request, writes, reads)
    assert [] == judged(side_effect_in_request, writes, reads, reads)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_to_write_is_what_other_methods_are_for(method: str) -> None:
    assert [] == judged(side_effect_in_request, writing("INSERT INTO orders", method=method))


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT * FROM carts FOR UPDATE",
        "COPY (SELECT id FROM carts) TO STDOUT",
        'COPY "carts" ("id") TO STDOUT WITH (FORMAT CSV)',
        "SET LOCAL statement_timeout = ?",
        "SAVEPOINT ?",
        "COMMIT",
    ],
)
def test_a_get_that_locks_exports_or_controls_writes_nothing(shape: str) -> None:
    assert [] == judged(side_effect_in_request, writing(shape))


def test_a_get_that_reads_is_fine() -> None:
    story = Story().sends(listing(5)).sends(look_up(1, place=OTHER_LINE)).blocks(BLOCKING, 5, "x")

    assert [] == judged(side_effect_in_request, story.answers().trace())
