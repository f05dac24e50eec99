"""A catalogue is an explicit tuple; it names what its folder holds, no more and no less."""

from collections.abc import Mapping
from pathlib import Path

from tools import ROOT
from unslow.diagnose.catalogue import RULES
from unslow.fixes.catalogue import FIXES, SHOW_ONLY
from unslow.record.catalogue import PROBES

FIXES_FOLDER = ROOT / "src" / "unslow" / "fixes"
SHARED_SWITCHES: Mapping[str, str] = {
    "loader_options": "what a loader option is made of, for fixes of the ORM's loading",
    "orm_statements": "which statement of the ORM is at hand, for all fixes that change one",
}
"""Modules beside the switches, each with what several of them, or one of a page's length, share."""


def names_in(folder: Path) -> set[str]:
    """The modules and packages of a folder."""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


def file_of(fix: str) -> str:
    return fix.replace("-", "_")


def test_the_catalogue_of_probes_names_exactly_the_files_of_its_folder() -> None:
    folder = ROOT / "src" / "unslow" / "record" / "probes"

    assert sorted(names_in(folder)) == sorted(probe.name for probe in PROBES)


def test_the_ids_of_fixes_are_each_there_once() -> None:
    ids = [one.id for one in FIXES]

    assert sorted(ids) == sorted(set(ids))


def test_every_fix_has_its_file_of_patches() -> None:
    there = names_in(FIXES_FOLDER / "patches")

    assert [] == [one.id for one in FIXES if file_of(one.id) not in there]


def test_the_switches_are_exactly_those_of_the_fixes_that_have_one() -> None:
    there = names_in(FIXES_FOLDER / "switches")
    switched = {file_of(one.id) for one in FIXES if one.has_switch}

    assert there == switched | SHARED_SWITCHES.keys()


def test_a_shared_module_of_the_switches_is_used_by_one() -> None:
    folder = FIXES_FOLDER / "switches"
    texts = {path: path.read_text() for path in folder.rglob("*.py")}

    unused = [
        name
        for name in SHARED_SWITCHES
        if not any(f".{name} import" in text for path, text in texts.items() if path.stem != name)
    ]

    assert [] == unused


def test_what_is_only_told_has_no_switch_and_all_else_has_one() -> None:
    assert [] == [one.id for one in FIXES if one.has_switch == (one.risk == SHOW_ONLY)]


def test_every_fix_that_a_rule_names_is_there_and_every_fix_is_named_by_one() -> None:
    named = {fix for rule in RULES for fix in rule.fixes}

    assert named == {one.id for one in FIXES}
