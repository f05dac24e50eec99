from unslow.diagnose.areas import AREAS, rules_with_areas
from unslow.diagnose.catalogue import RULES


def test_every_rule_has_an_area_and_every_area_has_rules() -> None:
    found = list(rules_with_areas())

    assert list(RULES) == [rule for _, rule in found]
    assert [area for area, _ in AREAS] == list(dict.fromkeys(area for area, _ in found))


def test_an_area_goes_on_up_to_the_first_rule_of_the_next() -> None:
    areas = {rule.id: area for area, rule in rules_with_areas()}

    assert "queries" == areas["lazy-load-loop"] == areas["literal-in-sql"]
    assert "connections" == areas["pool-wait"] == areas["pool-settings"]
    assert "response" == areas["repeatable-response"]
