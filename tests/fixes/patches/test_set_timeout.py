"""A timeout that bounds the wait for another service, as it is written into the source."""

import pytest

from tests.diagnose.story import Story
from tests.fixes.patches.told import advice, after, at, body, says, subject, written
from unslow.fixes.patches.patch import Subject
from unslow.model.trace import Trace

FIX = "set-timeout"
HOST = "prices.example:443"


def changed(text: str, function: str = "show") -> str:
    return after(FIX, subject(text, function, evidence={"host": HOST}))


def why_not(text: str, function: str = "show") -> str:
    return advice(FIX, subject(text, function, evidence={"host": HOST}))


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("await client.get(url, timeout=None)", "await client.get(url, timeout=5.0)"),
        ("await client.post(url, timeout=None, json={})", None),
        ("requests.get(url)", "requests.get(url, timeout=5.0)"),
        ("requests.get(url, timeout=(3, None))", "requests.get(url, timeout=(3, 5.0))"),
        ("requests.request('GET', url)", "requests.request('GET', url, timeout=5.0)"),
        ("await shared.get(url)", "await shared.get(url, timeout=5.0)"),
        ("await given.get(f'/x/{url}')", "await given.get(f'/x/{url}', timeout=5.0)"),
        (
            "await client.get(url, timeout=httpx.Timeout(None))",
            "await client.get(url, timeout=httpx.Timeout(5.0))",
        ),
        (
            "await client.get(url, timeout=httpx.Timeout(5, read=None))",
            "await client.get(url, timeout=httpx.Timeout(5, read=5.0))",
        ),
        (
            "await session.get(url)",
            "await session.get(url, timeout=aiohttp.ClientTimeout(total=5))",
        ),
        (
            "await session.get(url, timeout=None)",
            "await session.get(url, timeout=aiohttp.ClientTimeout(total=5))",
        ),
        (
            "await session.get(url, timeout=aiohttp.ClientTimeout(total=None))",
            "await session.get(url, timeout=aiohttp.ClientTimeout(total=5))",
        ),
        (
            "await session.get(url, timeout=aiohttp.ClientTimeout(sock_connect=3))",
            "await session.get(url, timeout=aiohttp.ClientTimeout(sock_connect=3, total=5))",
        ),
    ],
)
def test_only_the_timeout_of_the_call_is_written(before: str, line: str | None) -> None:
    text = body(
        f"""
        import aiohttp
        import httpx
        import requests

        shared = httpx.AsyncClient(timeout=None)


        async def show(url, client, given: httpx.AsyncClient, session: aiohttp.ClientSession):
            return {before}  # here
        """
    )
    expected = line or before.replace("timeout=None", "timeout=5.0")

    assert changed(text) == text.replace(before, expected)


def test_a_client_of_the_same_function_gets_it() -> None:
    text = body(
        """
        import httpx


        async def show(url):
            async with httpx.AsyncClient(timeout=None) as client:
                return await client.get(url)  # here
        """
    )

    assert changed(text) == text.replace("timeout=None", "timeout=5.0")


def test_a_session_of_aiohttp_gets_it_where_it_is_made() -> None:
    text = body(
        """
        from aiohttp import ClientSession


        async def show(url):
            session = ClientSession()
            async with session, session.get(url) as answer:  # here
                return await answer.json()
        """
    )

    expected = text.replace("ClientSession()", "ClientSession(timeout=ClientTimeout(total=5))")
    assert changed(text) == expected.replace(
        "import ClientSession", "import ClientSession, ClientTimeout"
    )


def test_a_client_that_the_object_keeps_is_told_by_how_it_was_made() -> None:
    text = body(
        """
        import requests


        class Customs:
            def __init__(self):
                self.session = requests.Session()

            def show(self, url):
                return self.session.get(
                    url,
                    headers={},  # none
                )  # here
        """
    )
    line = text[: text.index("self.session.get")].count("\n") + 1
    text = text.replace("  # here", "").replace("get(\n", "get(  # here\n")

    found = changed(text, "Customs.show")

    assert at(text).line == line
    assert found == text.replace("# none\n", "# none\n            timeout=5.0,\n")


def test_a_parameter_says_of_which_library_a_kept_client_is() -> None:
    text = body(
        """
        import httpx


        class Planner:
            def __init__(self, client: httpx.AsyncClient) -> None:
                self._client = client

            async def show(self, code: str) -> int:
                answer = await self._client.get(f"/routes/{code}")  # here
                return int(answer.json()["value"])
        """
    )

    expected = text.replace('{code}")', '{code}", timeout=5.0)')
    assert changed(text, "Planner.show") == expected


def test_a_connection_for_mail_gets_it_where_it_is_opened() -> None:
    text = body(
        """
        import smtplib


        def show(letter):
            with smtplib.SMTP("localhost", 25) as server:
                server.send_message(letter)  # here
        """
    )

    found = after(FIX, subject(text, evidence={"host": "smtp localhost:25"}))

    assert found == text.replace('"localhost", 25', '"localhost", 25, timeout=5.0')


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("client.get(url)", "it is not seen of which library the client is"),
        ("client.get(url, timeout=patience)", "a `timeout` is given there already"),
        ("requests.get(url, **options)", "the call takes arguments that are not seen"),
        ("one.get(url), two.get(url)", "it is not certain which call sends the request"),
        ("stripe.Charge.create(url)", "it is not certain which call sends the request"),
    ],
)
def test_what_is_not_certain_is_advice(line: str, why: str) -> None:
    text = f"import requests\n\n\ndef show(client, url, options, patience):\n    {line}  # here\n"

    told = why_not(text)

    assert f"No patch was written: {why}" in told
    assert "Line 5 of shop.py, in `show`, waits without end" in told


def test_a_name_that_is_given_two_things_is_not_certain() -> None:
    text = """
    import httpx
    import requests


    def show(url, fast):
        client = requests.Session()
        if fast:
            client = httpx.Client(timeout=None)
        return client.get(url)  # here
    """

    assert "it is not seen of which library the client is" in why_not(text)


def test_without_its_line_or_its_file_there_is_advice() -> None:
    about = subject("import requests\n\n\ndef show(url):\n    requests.get(url)  # here\n")
    unread = Subject(about.finding, (), lambda _: None)

    told = advice(FIX, unread)

    assert "the file cannot be read, or has changed since" in told


def calls(*took_ms: float) -> list[Trace]:
    text = "def show():\n    pass  # here\n"
    return [Story().asks(ms, at(text), host=HOST).answers().trace() for ms in took_ms]


@pytest.mark.parametrize(
    ("took_ms", "seconds"),
    [((20,), 5), ((2_400,), 5), ((2_600,), 10), ((20_000,), 40), ((*[20] * 99, 60_000), 5)],
)
def test_the_seconds_leave_room_above_what_nearly_all_calls_took(
    took_ms: tuple[float, ...], seconds: int
) -> None:
    text = "def show():\n    pass  # here\n"
    about = subject(text, evidence={"host": HOST}, traces=calls(*took_ms))

    assert says(FIX, about) == f"timeout={seconds}.0"


def test_what_the_calls_took_is_told() -> None:
    text = "import requests\n\n\ndef show(url):\n    requests.get(url)  # here\n"
    place = at(text)
    traces = [Story().asks(40, place, host=HOST).answers().trace() for _ in range(20)]
    alone = subject(text, evidence={"host": HOST}, traces=traces[:1])
    many = subject(text, evidence={"host": HOST}, traces=traces)

    assert "in the recording the slowest answer took 40.0 ms" in written(FIX, alone).advice
    assert "95 of 100 answers were there within 40.0 ms" in written(FIX, many).advice


def test_calls_of_other_lines_and_hosts_do_not_count() -> None:
    text = "def show():\n    pass  # here\n\n\ndef other():\n    pass  # there\n"
    other = at(text, "other", "# there")
    trace = Story().asks(9_000, other, host=HOST).asks(9_000, at(text), host="x.example:1")
    about = subject(text, evidence={"host": HOST}, traces=[trace.answers().trace()])

    assert says(FIX, about) == "timeout=5.0"
