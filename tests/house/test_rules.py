"""A rule is one file, one line of the catalogue, one module of tests, and a page that is made."""

import re

import pytest

from tools import ROOT
from tools.rules import FOLDER, made_pages
from unslow.diagnose.catalogue import RULES
from unslow.diagnose.rule import HEADS, Rule
from unslow.diagnose.views import NEEDS

FILES = ROOT / "src" / "unslow" / "diagnose" / "rules"
TESTS = ROOT / "tests" / "diagnose" / "rules"
KEBAB_CASE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def file_of(rule: Rule) -> str:
    return rule.id.replace("-", "_")


def test_the_catalogue_of_rules_names_exactly_the_files_of_its_folder() -> None:
    files = [path.stem for path in FILES.glob("*.py") if path.stem != "__init__"]

    assert sorted(files) == sorted(map(file_of, RULES))


def test_every_rule_has_a_module_of_tests() -> None:
    missing = [one.id for one in RULES if not (TESTS / f"test_{file_of(one)}.py").exists()]

    assert [] == missing


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_id_file_and_function_carry_the_same_words(rule: Rule) -> None:
    assert KEBAB_CASE.fullmatch(rule.id)
    assert f"unslow.diagnose.rules.{file_of(rule)}" == rule.check.__module__
    assert file_of(rule) == getattr(rule.check, "__name__", "")
    assert set(rule.needs) <= NEEDS.keys()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_threshold_names_what_shows_that_it_is_the_right_one(rule: Rule) -> None:
    value, unit, source = rule.threshold

    assert value > 0
    assert unit.strip()
    assert source.strip()
    if source.startswith("bench/"):
        assert source.endswith(f".py: {rule.id}")


def test_the_scripts_behind_the_thresholds_are_there() -> None:
    scripts = {one.threshold.source.partition(": ")[0] for one in RULES}

    assert [] == [one for one in scripts if one.startswith("bench/") and not (ROOT / one).is_file()]


def test_the_pages_of_the_rules_are_what_their_files_make() -> None:
    there = {path.name: path.read_text() for path in FOLDER.iterdir()}

    assert made_pages() == there, "run `make docs`"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_page_has_its_heads_in_order(rule: Rule) -> None:
    heads = re.findall(r"^## (.*)$", (FOLDER / f"{rule.id}.md").read_text(), re.MULTILINE)

    assert [*HEADS, "Threshold", "Needs"] == heads[: len(HEADS) + 2]
    assert set(heads[len(HEADS) + 2 :]) <= {"Fixes"}
