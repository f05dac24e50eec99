"""One client for all requests, as it is told."""

import ast

from tests.fixes.patches.told import MARK, advice, says, subject

FIX = "share-client"


def test_the_line_that_makes_the_client_is_named_and_where_it_belongs() -> None:
    text = f"""
    import httpx


    async def show(address):
        async with httpx.AsyncClient(base_url=address, timeout=5) as client:
            return await client.get("/quote")  {MARK}
    """
    about = subject(text)

    told = advice(FIX, about)

    assert says(FIX, about) == "request.app.state.client"
    assert "Line 6 of shop.py, in `show`, calls with a client of this request alone" in told
    assert "it is made on line 5" in told
    assert "keeps cookies" in told
    assert "async with httpx.AsyncClient(...) as app.state.client:" in told
    ast.parse(told.partition("\n")[2])


def test_aiohttp_is_told_in_its_own_words() -> None:
    text = f"""
    import aiohttp


    async def show(url):
        session = aiohttp.ClientSession()
        async with session, session.get(url) as answer:  {MARK}
            return answer.status
    """

    told = advice(FIX, subject(text))

    assert "it is made on line 5" in told
    assert "aiohttp.ClientSession(...) as app.state.client" in told


def test_functions_of_requests_make_a_session_each_time() -> None:
    text = f"import requests\n\n\ndef show(url):\n    requests.get(url, timeout=5)  {MARK}\n"
    about = subject(text)

    told = advice(FIX, about)

    assert says(FIX, about) == "session.get(...)"
    assert "each call of the library's own functions makes one" in told
    assert told.endswith("\nsession = requests.Session()  # once, at the top of the module")


def test_a_client_that_is_not_seen_is_told_of_all_the_same() -> None:
    text = f"def show(sdk):\n    sdk.charge()  {MARK}\n"

    told = advice(FIX, subject(text))

    assert "with a client of this request alone." in told
    assert "lifespan" in told
