import pytest

from unslow.diagnose.catalogue import RULES
from unslow.diagnose.pages import page_of, rule_pages
from unslow.diagnose.rule import HEADS
from unslow.diagnose.rules.missing_timeout import missing_timeout
from unslow.model.rule_page import RulePage


def test_there_is_a_page_for_each_rule_in_the_order_of_the_catalogue() -> None:
    assert [one.id for one in RULES] == [page.id for page in rule_pages()]


def test_a_page_is_what_the_rule_and_its_file_say() -> None:
    page = page_of(missing_timeout, "outbound")

    assert ("missing-timeout", "outbound") == (page.id, page.area)
    assert "A call of another service has no timeout" == page.title
    assert "A call without a timeout" == page.summary
    assert "calls of other services whose answer is waited for without a bound." == (
        page.part("Looks for")
    )
    assert "bounds that stand elsewhere, in another process or a proxy." == page.part("Misses")
    assert "" == page.part("Nothing of the kind")
    assert (1, "calls without a bound") == (page.threshold, page.threshold_unit)
    assert (("remote",), ("set-timeout",)) == (page.needs, page.fixes)


@pytest.mark.parametrize("page", rule_pages(), ids=lambda page: page.id)
def test_every_page_has_its_four_heads_in_order_each_with_a_text(page: RulePage) -> None:
    assert HEADS == tuple(head for head, _ in page.parts)
    assert all(text.endswith(".") and "  " not in text for _, text in page.parts)
    assert page.title
    assert page.summary
