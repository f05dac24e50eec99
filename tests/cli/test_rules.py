import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.injection.running import clean_environment
from unslow.cli import command
from unslow.cli.rules import UnknownRuleError, named
from unslow.diagnose.catalogue import RULES
from unslow.diagnose.pages import rule_pages

PAGES = rule_pages()


def shown(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "100"}).invoke(command, ["rules", *arguments])
    assert (0, "") == (result.exit_code, result.stderr), result.output
    return result.stdout


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(command, ["rules", *arguments])
    assert (2, "") == (result.exit_code, result.stdout), result.output
    (line,) = result.stderr.splitlines()
    return line


def test_all_rules_are_listed_by_area_with_their_titles() -> None:
    text = shown()

    assert text.startswith("queries\n  lazy-load-loop          A relationship is loaded once per")
    assert "\n\nresponse\n  slow-serialization      " in text
    for one in RULES:
        assert f"  {one.id} " in text
        assert one.title in text
    assert f"\n{len(RULES)} rules; unslow rules ID tells" in text


def test_one_rule_is_told_whole() -> None:
    text = shown("lazy-load-loop")

    assert text.startswith("lazy-load-loop · A relationship is loaded once per row\n")
    for head in ("Looks for", "Costs", "Instead", "Misses", "Threshold", "Needs", "Fixes"):
        assert f"\n{head} " in text
    assert "(bench/thresholds.py: lazy-load-loop)" in text


def test_as_json_there_is_one_rule_or_all_of_them() -> None:
    assert [one.id for one in RULES] == [one["id"] for one in json.loads(shown("--json"))]
    assert "pool-wait" == json.loads(shown("pool-wait", "--json"))["id"]


@pytest.mark.parametrize(
    "given", ["lazy-load-loop", "Lazy_Load_Loop", " lazy-load-loop ", "lazy-load-loop-3fa9c1"]
)
def test_a_rule_is_named_by_its_id_or_that_of_a_finding(given: str) -> None:
    assert "lazy-load-loop" == named(given, PAGES).id


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("lazy-lod-lop", "lazy-load-loop"),
        ("timeout", "missing-timeout"),
        ("pool", "pool-wait, pool-settings"),
        ("lazy-load-loop-x", "lazy-load-loop"),
    ],
)
def test_a_rule_that_is_none_is_said_with_the_nearest(given: str, near: str) -> None:
    says = refused(given)

    assert says.startswith(f"unslow: There is no rule {given!r}. The nearest: ")
    assert near in says
    assert says.endswith(". `unslow rules` lists them all.")


@pytest.mark.parametrize("given", ["", "-", "xyzzy"])
def test_where_nothing_is_near_only_the_list_is_named(given: str) -> None:
    with pytest.raises(UnknownRuleError) as caught:
        named(given, PAGES)

    assert f"There is no rule {given!r}. `unslow rules` lists them all." == str(caught.value)


def test_where_only_ascii_is_known_nothing_else_is_written() -> None:
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "COLUMNS": "60"}

    done = subprocess.run(
        [sys.executable, "-m", "unslow", "rules", "lazy-load-loop"],
        env=clean_environment(**plain),
        capture_output=True,
        check=True,
    )

    assert done.stdout.isascii()
    assert 60 >= max(map(len, done.stdout.decode().splitlines()))
