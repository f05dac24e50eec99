"""`unslow rules`: the catalogue, and the page of one rule."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from typing import Final

import click

from ..diagnose.pages import rule_pages
from ..errors import UnslowError
from ..model.rule_page import RulePage
from ..report.rules_page import list_lines, page_json, page_lines
from .paper import print_lines

_FINDING: Final = re.compile(r"-[0-9a-f]{6}$")
"""What a finding's id has behind that of its rule."""
_NEAREST_COUNT: Final = 3


class UnknownRuleError(UnslowError):
    """There is no rule of that name."""


@click.command()
@click.argument("rule_id", metavar="[ID]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def rules(rule_id: str | None, as_json: bool) -> None:
    """List the rules, or tell what one looks for.

    ID is a rule's, such as lazy-load-loop, or that of a finding.
    """
    pages = rule_pages()
    if rule_id is None:
        if as_json:
            click.echo(json.dumps([page_json(one) for one in pages], indent=2))
        else:
            print_lines(partial(list_lines, pages))
        return
    page = named(rule_id, pages)
    if as_json:
        click.echo(json.dumps(page_json(page), indent=2))
    else:
        print_lines(partial(page_lines, page))


def named(given: str, pages: Sequence[RulePage]) -> RulePage:
    """The rule of an id, or of a finding's id, which begins with it.

    Raises:
        UnknownRuleError: there is none.
    """
    by_id = {one.id: one for one in pages}
    wanted = given.strip().lower().replace("_", "-")
    for name in (wanted, _FINDING.sub("", wanted)):
        if name in by_id:
            return by_id[name]
    near = _nearest(wanted, list(by_id))
    nearest = f"The nearest: {', '.join(near)}. " if near else ""
    raise UnknownRuleError(f"There is no rule {given!r}. {nearest}`unslow rules` lists them all.")


def _nearest(wanted: str, names: Sequence[str]) -> list[str]:
    """Those that hold it, are spelt nearly so, or share a word with it."""
    words = [one for one in wanted.split("-") if one]
    return (
        [name for name in names if words and wanted in name]
        or get_close_matches(wanted, names, n=_NEAREST_COUNT, cutoff=0.5)
        or [name for name in names if any(one in name for one in words)]
    )[:_NEAREST_COUNT]
