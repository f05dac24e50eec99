"""Makes the pages of the rules, `docs/rules/`, from the files of the rules."""

from unslow.diagnose.pages import rule_pages
from unslow.report.rules_page import index_markdown, page_markdown

from . import ROOT

FOLDER = ROOT / "docs" / "rules"


def made_pages() -> dict[str, str]:
    """The text of each page by the name of its file."""
    pages = rule_pages()
    return {f"{page.id}.md": page_markdown(page) for page in pages} | {
        "README.md": index_markdown(pages)
    }


def main() -> None:
    """Write all pages, and take away those of rules that are no more."""
    made = made_pages()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
