import json
from dataclasses import replace

import pytest

from unslow.diagnose.views import NEEDS as NEEDS_OF_RULES
from unslow.model.rule_page import RulePage
from unslow.report.rules_page import (
    NEEDS,
    areas,
    body_text,
    index_markdown,
    list_lines,
    page_json,
    page_lines,
    page_markdown,
)

LOOP = RulePage(
    id="lazy-load-loop",
    title="A relationship is loaded once per row",
    area="queries",
    summary="A relationship that is loaded row by row",
    parts=(
        ("Looks for", "a relationship that is loaded for one row after the other. Nothing else."),
        ("Costs", "a round trip per row."),
        ("Instead", "`selectinload`, or `joinedload`."),
        ("Misses", "a walk up a tree."),
    ),
    threshold=3,
    threshold_unit="loads per request",
    threshold_source="bench/thresholds.py: lazy-load-loop",
    needs=("statements", "usage"),
    fixes=("eager-load", "batch-by-key"),
)
SIZE = replace(LOOP, id="large-response", title="The answer is large", area="response", fixes=())
OFFSET = replace(LOOP, id="deep-offset", title="A page is far in", threshold=500_000)


def test_the_list_has_a_head_for_each_area_and_aligns_the_titles() -> None:
    lines = [line.plain for line in list_lines((LOOP, OFFSET, SIZE), 100)]

    assert [
        "queries",
        "  lazy-load-loop  A relationship is loaded once per row",
        "  deep-offset     A page is far in",
        "",
        "response",
        "  large-response  The answer is large",
        "",
        "3 rules; unslow rules ID tells what one looks for.",
    ] == lines


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_line_is_wider_than_it_may_be(width: int) -> None:
    lines = [*list_lines((LOOP, OFFSET, SIZE), width), *page_lines(LOOP, width)]

    assert width >= max(line.cell_len for line in lines)


def test_a_page_tells_all_that_there_is_to_say_of_a_rule() -> None:
    text = "\n".join(line.plain for line in page_lines(LOOP, 100))

    assert text.splitlines()[0] == "lazy-load-loop · A relationship is loaded once per row"
    assert "Looks for  a relationship that is loaded for one row after the other. Nothing" in text
    assert "Threshold  3 loads per request (bench/thresholds.py: lazy-load-loop)" in text
    assert "Needs      the statements that a request sends; what is read of the rows" in text
    assert "Fixes      eager-load, batch-by-key" in text
    assert "Fixes" not in "\n".join(line.plain for line in page_lines(SIZE, 100))
    assert "500,000 loads" in "\n".join(line.plain for line in page_lines(OFFSET, 100))


def test_as_markdown_it_has_a_head_for_each_part() -> None:
    text = page_markdown(LOOP)

    assert text.startswith("# lazy-load-loop\n\nA relationship is loaded once per row.\n")
    assert "`src/unslow/diagnose/rules/lazy_load_loop.py`" in text
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert [
        *("## Looks for", "## Costs", "## Instead", "## Misses"),
        *("## Threshold", "## Needs", "## Fixes"),
    ] == heads
    assert "\n## Looks for\n\nA relationship that is loaded for one row after" in text
    assert "\n3 loads per request. Source: bench/thresholds.py: lazy-load-loop.\n" in text
    assert text.endswith("\n`eager-load`, `batch-by-key`\n")
    assert "## Fixes" not in page_markdown(SIZE)


def test_without_any_mark_up_it_has_the_same_parts() -> None:
    assert body_text(LOOP).startswith("Looks for: a relationship that is loaded")
    assert "\n\nFixes: eager-load, batch-by-key" in body_text(LOOP)


def test_the_index_leads_to_each_page() -> None:
    text = index_markdown((LOOP, OFFSET, SIZE))

    assert text.index("## queries") < text.index("## response")
    assert "| [large-response](large-response.md) | The answer is large |\n" in text


def test_as_json_it_has_all_of_it() -> None:
    assert {
        "id": "lazy-load-loop",
        "title": "A relationship is loaded once per row",
        "area": "queries",
        "summary": "A relationship that is loaded row by row",
        "looks_for": ("a relationship that is loaded for one row after the other. Nothing else."),
        "costs": "a round trip per row.",
        "instead": "`selectinload`, or `joinedload`.",
        "misses": "a walk up a tree.",
        "threshold": {
            "value": 3,
            "unit": "loads per request",
            "source": "bench/thresholds.py: lazy-load-loop",
        },
        "needs": ["statements", "usage"],
        "fixes": ["eager-load", "batch-by-key"],
    } == json.loads(json.dumps(page_json(LOOP)))


def test_areas_come_in_the_order_of_their_rules() -> None:
    assert [("queries", [LOOP, OFFSET]), ("response", [SIZE])] == list(areas((LOOP, OFFSET, SIZE)))


def test_everything_that_a_rule_may_need_is_told_in_words() -> None:
    assert NEEDS_OF_RULES.keys() == NEEDS.keys()
