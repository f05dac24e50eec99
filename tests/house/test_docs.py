"""The docs say what the program says."""

import re
from pathlib import Path

import pytest

from tools import ROOT
from tools.blocks import Block, blocks, output, pages, write
from tools.docs import SETTINGS_PAGE, settings_page

LINK = re.compile(r"\]\(([^)#][^)]*)\)")
BLOCKS = [block for page in pages() for block in blocks(page)]


def test_the_page_of_settings_is_what_the_table_makes() -> None:
    assert settings_page() == SETTINGS_PAGE.read_text(), "run `make docs`"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page.name}: {block.command}")
def test_a_block_of_output_is_what_its_command_printed(block: Block) -> None:
    printed = output(block.command) if block.is_quick else block.file.read_text()

    assert block.shown(printed) == block.text, "run `make docs`"


def test_a_block_is_found_by_its_marker_and_rewritten_in_its_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    around = (
        "a\n\n<!-- made by: unslow x --help | head -2 -->\n```text\n{}```\n\nb\n```\nmine\n```\n"
    )
    page.write_text(around.format("old\n"))

    (found,) = blocks(page)
    write(page, {"unslow x --help": "1\n2\n3\n"})

    assert Block(page, "unslow x --help", lines=2, text="old\n") == found
    assert around.format("1\n2\n") == page.read_text()


def test_what_a_long_command_printed_is_kept_in_a_file_named_after_it() -> None:
    block = Block(Path("README.md"), "python bench/overhead.py --quick", None, "")

    assert not block.is_quick
    assert "python-bench-overhead-py-quick.txt" == block.file.name


def test_a_command_is_run_without_colour_and_gives_its_lines_without_blanks_at_their_ends() -> None:
    command = "python -c \"import os; print(os.environ['NO_COLOR'], 'a  ', '', sep=chr(10))\""

    assert "1\na\n" == output(command)


def test_every_page_is_reached_from_the_first_one() -> None:
    reached, ahead = set(), [ROOT / "docs" / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = LINK.findall(page.read_text())
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links]

    assert set() == set(pages()) - {ROOT / "README.md"} - reached


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_link_to_a_file_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]

    assert [] == [link for link in links if not (page.parent / link.partition("#")[0]).exists()]
