import shlex
import shutil
import subprocess
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unslow.prove.workload.request_file import RequestFileError
from unslow.prove.workload.shell_words import words


def texts(script: str) -> list[str]:
    return [word.text for word in words(script, "x.sh") if not word.is_operator]


@pytest.mark.parametrize(
    ("script", "read"),
    [
        ('a \'b c\' "d \\" e" f\\ g', ["a", "b c", 'd " e', "f g"]),
        ("a \\\n  b # c\nd#e", ["a", "b", "d#e"]),
        ("a \\\r\n  b\r\n", ["a", "b"]),
        ("'a'\"b\"c", ["abc"]),
        ("''", [""]),
        (r"$'a\'b\nc\u0021\x41\101\\'", ["a'b\nc!AA\\"]),
        (r"$'\xc3\xa4\xff'", ["ä\udcff"]),
        (r"$'\ud83d\ude00\U0001F600'", ["😀😀"]),
        (r"$'\ud83d\UFFFFFFFF\q\cA'", ["\ufffd\ufffd\\q\x01"]),
        ('"a \\\nb"', ["a b"]),
        ("a'\n'b", ["a\nb"]),
        ("5$ '$x' \"\\$x\"", ["5$", "$x", "$x"]),
        ('$"a"', ["a"]),
    ],
)
def test_words_are_read_as_a_shell_reads_them(script: str, read: list[str]) -> None:
    assert read == texts(script)


def test_what_ends_a_command_is_an_operator_with_its_line() -> None:
    found = [(word.text, word.line) for word in words("a;b\nc |\nd & e", "x") if word.is_operator]

    assert [(";", 1), ("\n", 1), ("|", 2), ("\n", 2), ("&", 3)] == found


def test_a_word_has_the_line_that_it_begins_at() -> None:
    found = [(word.text, word.line) for word in words("a \\\n 'b\nc' d", "x")]

    assert [("a", 1), ("b\nc", 2), ("d", 3)] == found


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("a\n'b", "x.sh:2: got a quote ' that stays open"),
        ("$'b", "x.sh:1: got a quote $' that stays open"),
        ("a $TOKEN", "x.sh:1: got $TOKEN, which only your shell can fill in; wanted the value"),
        ('"Bearer ${TOKEN}"', "x.sh:1: got ${TOKEN}"),
        ('\n"\\$A $(cat x)"', "x.sh:2: got $("),
        ("`cat x`", "x.sh:1: got `"),
    ],
)
def test_what_only_a_shell_can_fill_in_is_refused(script: str, says: str) -> None:
    with pytest.raises(RequestFileError) as error:
        texts(script)

    assert str(error.value).startswith(says)


@given(st.lists(st.text()))
def test_quoted_words_are_read_as_they_were(given_words: list[str]) -> None:
    assert given_words == texts(" ".join(map(shlex.quote, given_words)))


PIECES = st.sampled_from(
    ["a", "ä", " ", "\n", "'", '"', "\\", "$'", "\\n", "\\x41", "\\u00e4", "#", "-", "=", "\\\n"]
)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to compare with")
@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_words_are_those_of_bash(script: str) -> None:
    # With an end of line: of a backslash that ends the text bash makes one thing or another.
    script += "\n"
    done = subprocess.run(
        ["bash", "-c", 'show() { printf "%s\\0" "$@"; }\nshow ' + script],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8"},
        check=False,
    )

    try:
        read = list(words(script, "x.sh"))
    except RequestFileError:
        assert done.stderr
        return
    first_command = [word.text for word in takewhile(lambda word: not word.is_operator, read)]
    shown = done.stdout.decode(errors="surrogateescape").split("\0")[:-1]
    # Without a word, `printf` shows an empty one.
    assert shown == (first_command or [""])


@given(st.text("ab '\"\\$#\n;|&`{("))
def test_any_script_is_either_read_or_refused_in_words(script: str) -> None:
    try:
        read = list(words(script, "x.sh"))
    except RequestFileError:
        return
    assert sum(word.text == "\n" for word in read if word.is_operator) <= script.count("\n")
