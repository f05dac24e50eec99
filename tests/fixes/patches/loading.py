"""A finding about a small source text, and the patch of an arm for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

from unslow.fixes.patches.eager_load import write
from unslow.fixes.patches.patch import Patch, Subject
from unslow.model.finding import Finding
from unslow.model.proof import Arm
from unslow.model.trace import Place, Trace

APP = "/project/app/users.py"
MODELS = dedent(
    """\
    class User(Base):
        id: Mapped[int] = mapped_column(primary_key=True)
        posts: Mapped[list["Post"]] = relationship()


    class Post(Base):
        id: Mapped[int] = mapped_column(primary_key=True)
        comments: Mapped[list["Comment"]] = relationship()


    class Comment(Base):
        id: Mapped[int] = mapped_column(primary_key=True)
    """
)
FILES = {"/project/app/models.py": MODELS, "/project/ruff.toml": "line-length = 100\n"}
ONE_HOP = "User.posts"
TWO_HOPS = "User.posts -> Post.comments"
SELECT = "selectinload"
JOIN = "joinedload"


def finding(path: str = TWO_HOPS, place: Place | None = None) -> Finding:
    """A lazy load of relationships."""
    return Finding(
        "Every Post loads its comments alone.",
        place,
        evidence={"relationship": path},
        rule="lazy-load-loop",
        fixes=("eager-load",),
    )


def subject(
    text: str,
    line: int,
    function: str,
    path: str = ONE_HOP,
    *,
    files: Mapping[str, str] = FILES,
    traces: Sequence[Trace] = (),
) -> Subject:
    """A finding at a line of a text, which is the app's file."""
    place = Place(APP, line, function)
    return Subject(finding(path, place), traces, {**files, APP: text}.get)


def arm(place: Place, path: str, *loaders: str, **more: object) -> Arm:
    """Loaders for each relationship of a path."""
    names = path.split(" -> ")
    chain = [[how, one.split(".")[1]] for how, one in zip(loaders, names, strict=True)]
    parameters = {
        "path": place.path,
        "line": place.line,
        "function": place.function,
        "entity": names[0].split(".")[0],
        "chain": chain,
        **more,
    }
    codes = [f"{how}({one})" for how, one in zip(loaders, names, strict=True)]
    return Arm("eager-load", ".".join(codes), parameters)


def patched(
    text: str,
    at: str,
    *loaders: str,
    function: str = "read",
    files: Mapping[str, str] = FILES,
    **more: object,
) -> Patch:
    """The patch for the first line that holds a text; one loader is for one hop."""
    lines = text.split("\n")
    line = next(number for number, one in enumerate(lines, 1) if at in one)
    path = (ONE_HOP, TWO_HOPS)[len(loaders) - 1]
    about = subject(text, line, function, path, files=files)
    place = Place(APP, line, function)
    return write(about, arm(place, path, *loaders, **more))


def after(text: str, at: str, *loaders: str, function: str = "read", **more: object) -> str:
    """The text with the patch, which there is."""
    patch = patched(text, at, *loaders, function=function, **more)  # type: ignore[arg-type]  # whatever a test gives
    assert patch.advice == ""
    (edit,) = patch.edits
    assert edit.path == str(Path(APP))
    assert edit.before == text
    return edit.after
