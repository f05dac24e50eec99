"""Compression, as it is told."""

from dataclasses import replace

from tests.diagnose.story import JSON, Story
from tests.fixes.patches.told import MARK, advice, at, says, subject
from unslow.model.trace import Trace

FIX = "compress"
TEXT = f"from fastapi import FastAPI\n\n\ndef show():  {MARK}\n    return []\n"


def answer(size: int, *, is_compressed: bool = False, text: str = TEXT) -> Trace:
    response = replace(JSON, is_compressed=is_compressed)
    story = Story().answers()
    return story.trace(response_bytes=size, response=response, endpoint=at(text))


def test_the_sizes_are_told_and_both_ways() -> None:
    sizes = [100_000, 700_000, 900_000]

    told = advice(FIX, subject(TEXT, traces=map(answer, sizes)))

    assert "Half of the answers have 700 kB or more, the largest 900 kB" in told
    assert "over loopback it saves no time" in told
    assert told.splitlines()[1:] == [
        "app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)",
        "gzip on; gzip_types application/json;  # nginx",
    ]


def test_what_is_compressed_already_is_not_compressed_again() -> None:
    told = advice(FIX, subject(TEXT, traces=[answer(900_000, is_compressed=True)]))

    assert "they are compressed already" in told
    assert "gzip" not in told


def test_litestar_is_told_in_its_own_words() -> None:
    text = TEXT.replace("fastapi import FastAPI", "litestar import get")

    about = subject(text, traces=[answer(900_000, text=text)])

    assert says(FIX, about) == 'compression_config=CompressionConfig("gzip", gzip_compress_level=5)'


def test_without_requests_it_is_told_all_the_same() -> None:
    assert "The answers are large" in advice(FIX, subject(TEXT))
