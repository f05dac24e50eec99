"""Forms of statements that load users, their posts and the comments on them: the table's rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest
from sqlalchemy import func, insert, lambda_stmt, select, text, union
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import InvalidRequestError, ResourceClosedError
from sqlalchemy.orm import (
    Bundle,
    Session,
    UserDefinedOption,
    aliased,
    contains_eager,
    defer,
    joinedload,
    lazyload,
    load_only,
    noload,
    raiseload,
    selectinload,
    subqueryload,
    undefer,
    with_loader_criteria,
)

from tests.fixes.switches.library import Comment, Post, Team, User

SELECTIN, JOINED, SUBQUERY, MIXED = "selectin", "joined", "subquery", "mixed"
ARMS = {
    SELECTIN: [["selectinload", "posts"], ["selectinload", "comments"]],
    JOINED: [["joinedload", "posts"], ["joinedload", "comments"]],
    SUBQUERY: [["subqueryload", "posts"], ["subqueryload", "comments"]],
    MIXED: [["selectinload", "posts"], ["joinedload", "comments"]],
}
STATEMENTS = {SELECTIN: 3, JOINED: 1, SUBQUERY: 3, MIXED: 2}
"""That a statement becomes."""


class Form(NamedTuple):
    """A piece of an app."""

    work: Callable[[Session], Any]
    acted: int
    """How many of its statements the switch changes."""
    others: int
    """How many more it sends where all of these are changed."""
    is_counted: bool
    """Whether it sends as many however its result is read."""
    refused: dict[str, str]
    """By arm, part of the reason why it does not act (empty: none is given); `*`: in all others."""

    @property
    def name(self) -> str:
        return self.work.__name__

    def why(self, arm: str) -> str | None:
        return self.refused.get(arm, self.refused.get("*"))


FORMS: list[Form] = []


def form(
    acted: int = 1, others: int = 0, is_counted: bool = True, **refused: str
) -> Callable[[Any], Any]:
    def keep(work: Callable[[Session], Any]) -> Callable[[Session], Any]:
        named = {"*" if arm == "everywhere" else arm: why for arm, why in refused.items()}
        FORMS.append(Form(work, acted, others, is_counted, named))
        return work

    return keep


def graph(users: Iterable[Any]) -> list[Any]:
    return [
        (user.id, user.name, [(one.id, [comment.id for comment in one.comments]) for one in posts])
        for user in users
        for posts in [user.posts]
    ]


BY_ID = select(User).order_by(User.id)
JOIN_REFUSED = "a join of its own"
OWN_REFUSED = "own"
STREAM_REFUSED = "streams"
HAND_REFUSED = "from_statement"


@form()
def scalars_all(session: Session) -> Any:
    return graph(session.scalars(BY_ID).all())


@form()
def scalars_iterated(session: Session) -> Any:
    return graph(session.scalars(BY_ID))


@form()
def rows_all(session: Session) -> Any:
    return [(graph(row), len(row), row.User.id) for row in session.execute(BY_ID).all()]


@form()
def rows_iterated(session: Session) -> Any:
    return [graph([user]) for (user,) in session.execute(BY_ID)]


@form()
def limit(session: Session) -> Any:
    return graph(session.scalars(BY_ID.limit(2).offset(1)).all())


@form(subquery="ORDER BY")
def limit_without_order(session: Session) -> Any:
    users = session.scalars(select(User).limit(20)).all()
    return sorted(graph(users))


@form()
def scalar_one(session: Session) -> Any:
    return graph([session.execute(select(User).where(User.id == 2)).scalar_one()])


@form()
def scalar_one_or_none(session: Session) -> Any:
    return graph([session.scalars(select(User).where(User.id == 2)).one_or_none()])


@form()
def session_scalar(session: Session) -> Any:
    return graph([session.scalar(select(User).where(User.id == 3))])


@form(joined=JOIN_REFUSED)
def tuples_of_two_entities(session: Session) -> Any:
    statement = select(User, Team).join(User.team).order_by(User.id)
    return [(graph([user]), team.name) for user, team in session.execute(statement)]


@form(joined=JOIN_REFUSED)
def tuples_that_come_twice(session: Session) -> Any:
    statement = select(User, Post.title).join(User.posts).order_by(Post.id)
    return [(graph([user]), title) for user, title in session.execute(statement).all()]


@form()
def tuples_with_a_column(session: Session) -> Any:
    statement = select(User, func.upper(User.name).label("upper")).order_by(User.id)
    return [(graph([row.User]), row.upper) for row in session.execute(statement)]


@form()
def partitions(session: Session) -> Any:
    return [graph(part) for part in session.scalars(BY_ID).partitions(3)]


@form()
def distinct(session: Session) -> Any:
    return graph(session.scalars(BY_ID.distinct()).all())


@form()
def first(session: Session) -> Any:
    return graph([session.scalars(BY_ID).first()])


@form()
def first_row(session: Session) -> Any:
    row = session.execute(BY_ID).first()
    assert row is not None
    return graph(row)


@form()
def one_by_one(session: Session) -> Any:
    result = session.execute(BY_ID)
    rows = [result.fetchone(), *result.fetchmany(2), *result, result.fetchone()]
    return [None if row is None else graph(row) for row in rows]


@form()
def mappings(session: Session) -> Any:
    return [graph([one["User"]]) for one in session.execute(BY_ID).mappings()]


@form(is_counted=False)
def closed_result(session: Session) -> Any:
    result = session.scalars(BY_ID)
    result.close()
    with pytest.raises(ResourceClosedError) as raised:
        result.all()
    return str(raised.value)


@form(everywhere=STREAM_REFUSED)
def yield_per(session: Session) -> Any:
    return graph(session.scalars(BY_ID.execution_options(yield_per=2)))


@form(everywhere=STREAM_REFUSED)
def yield_per_at_execution(session: Session) -> Any:
    return graph(session.scalars(BY_ID, execution_options={"yield_per": 2}))


@form(everywhere=STREAM_REFUSED)
def stream_results(session: Session) -> Any:
    return graph(session.scalars(BY_ID.execution_options(stream_results=True)))


@form(is_counted=False)
def yield_per_of_the_result(session: Session) -> Any:
    return graph(session.scalars(BY_ID).yield_per(2))


@form(everywhere="aliased")
def alias(session: Session) -> Any:
    other = aliased(User)
    return graph(session.scalars(select(other).where(other.id > 1).order_by(other.id)))


@form(everywhere="columns")
def columns_only(session: Session) -> Any:
    return [tuple(row) for row in session.execute(select(User.id, User.name).order_by(User.id))]


@form(everywhere="no User")
def core(session: Session) -> Any:
    return [tuple(row) for row in session.execute(select(User.__table__).order_by(User.id))]


@form(joined="FOR UPDATE")
def for_update(session: Session) -> Any:
    return graph(session.scalars(BY_ID.with_for_update()))


@form(joined="FOR UPDATE")
def for_share(session: Session) -> Any:
    return graph(session.scalars(BY_ID.limit(3).with_for_update(read=True)))


@form()
def for_update_of_the_entity(session: Session) -> Any:
    return graph(session.scalars(BY_ID.with_for_update(of=User)))


@form(joined=HAND_REFUSED, subquery=HAND_REFUSED)
def from_text(session: Session) -> Any:
    statement = text("SELECT id, name, team_id FROM reader ORDER BY id DESC")
    return graph(session.scalars(select(User).from_statement(statement)).all())


@form(joined=HAND_REFUSED, subquery=HAND_REFUSED)
def from_select(session: Session) -> Any:
    statement = select(User).from_statement(select(User).order_by(User.id.desc()))
    return graph(session.scalars(statement).all())


@form(joined=HAND_REFUSED, subquery=HAND_REFUSED)
def from_union(session: Session) -> Any:
    both = union(select(User).where(User.id < 3), select(User).where(User.id > 1))
    return graph(session.scalars(select(User).from_statement(both.order_by("id"))))


@form(everywhere="aliased")
def union_as_a_subquery(session: Session) -> Any:
    both = union(select(User).where(User.id < 3), select(User).where(User.id > 1)).subquery()
    other = aliased(User, both)
    return graph(session.scalars(select(other).order_by(other.id)))


@form(everywhere="aliased")
def cte(session: Session) -> Any:
    other = aliased(User, select(User).where(User.id > 2).cte())
    return graph(session.scalars(select(other).order_by(other.id)))


@form(joined=JOIN_REFUSED)
def cte_beside(session: Session) -> Any:
    some = select(User.id).where(User.id > 2).cte()
    return graph(session.scalars(BY_ID.where(User.id == some.c.id)))


@form()
def get(session: Session) -> Any:
    return graph([session.get(User, 1), session.get(User, 1)])


@form(joined="FOR UPDATE")
def get_for_update(session: Session) -> Any:
    return graph([session.get(User, 1, with_for_update=True)])


@form(others=1, everywhere="")
def get_of_the_identity_map(session: Session) -> Any:
    kept = _loaded_elsewhere(session)
    return graph([session.get(User, 1)]), len(kept)


def _loaded_elsewhere(session: Session) -> Any:
    return session.scalars(BY_ID).all()


@form(others=1)
def held_parents(session: Session) -> Any:
    kept = _loaded_elsewhere(session)
    return graph(session.scalars(BY_ID)), len(kept)


@form()
def query_all(session: Session) -> Any:
    return graph(session.query(User).order_by(User.id).all())


@form()
def query_first(session: Session) -> Any:
    return graph([session.query(User).order_by(User.id).first()])


@form()
def query_one(session: Session) -> Any:
    return graph([session.query(User).filter_by(id=2).one()])


@form()
def query_in_a_loop(session: Session) -> Any:
    users = []
    for user in session.query(User).order_by(User.id):
        users += graph([user])
    return users


@form()
def query_with_a_limit(session: Session) -> Any:
    return graph(session.query(User).order_by(User.id)[1:3])


@form()
def query_with_a_join(session: Session) -> Any:
    return graph(session.query(User).join(User.posts).order_by(User.id).all())


@form(everywhere="columns")
def query_of_columns(session: Session) -> Any:
    return list(map(tuple, session.query(User.id, User.name).order_by(User.id).all()))


@form(everywhere="no User")
def query_count(session: Session) -> Any:
    return session.query(User).count()


@form(everywhere=STREAM_REFUSED)
def query_yield_per(session: Session) -> Any:
    users = []
    for user in session.query(User).order_by(User.id).yield_per(2):
        users += graph([user])
    return users


@form(others=1, everywhere="refreshes")
def refreshed(session: Session) -> Any:
    (user, *_) = _loaded_elsewhere(session)
    session.refresh(user)
    return user.name


@form(others=1, everywhere="refreshes")
def expired(session: Session) -> Any:
    kept = _loaded_elsewhere(session)
    session.expire_all()
    return kept[0].name, kept[1].name


@form(others=1, everywhere="relationship")
def loaded_by_a_relationship(session: Session) -> Any:
    kept = _loaded_elsewhere(session)
    return len(kept[0].posts), len(kept[1].posts)


@form()
def unique(session: Session) -> Any:
    return graph(session.scalars(BY_ID).unique().all())


@form(joined=JOIN_REFUSED)
def join(session: Session) -> Any:
    return graph(session.scalars(select(User).join(User.posts).order_by(Post.id)))


@form(joined=JOIN_REFUSED)
def join_made_unique(session: Session) -> Any:
    return graph(session.scalars(select(User).join(User.posts).order_by(Post.id)).unique())


@form()
def join_distinct(session: Session) -> Any:
    statement = select(User).join(User.posts).where(Post.id > 2).distinct().order_by(User.id)
    return graph(session.scalars(statement))


@form(joined=JOIN_REFUSED)
def implicit_join(session: Session) -> Any:
    return graph(session.scalars(BY_ID.where(User.id == Post.user_id).order_by(Post.id)))


@form()
def exists(session: Session) -> Any:
    return graph(session.scalars(BY_ID.where(User.posts.any(Post.id > 3))))


@form()
def group_by(session: Session) -> Any:
    return graph(session.scalars(BY_ID.group_by(User.id)))


@form(everywhere=OWN_REFUSED)
def own_lazyload(session: Session) -> Any:
    return graph(session.scalars(BY_ID.options(lazyload(User.posts))))


@form()
def own_lazyload_of_all(session: Session) -> Any:
    return graph(session.scalars(BY_ID.options(lazyload("*"))))


@form(everywhere=OWN_REFUSED)
def own_raiseload(session: Session) -> Any:
    users = session.scalars(BY_ID.options(raiseload(User.posts))).all()
    with pytest.raises(InvalidRequestError):
        graph(users)
    return len(users)


@form(everywhere=OWN_REFUSED)
def own_raiseload_of_all(session: Session) -> Any:
    users = session.scalars(BY_ID.options(raiseload("*"))).all()
    with pytest.raises(InvalidRequestError):
        graph(users)
    return len(users)


@form(everywhere=OWN_REFUSED)
def own_raiseload_deeper(session: Session) -> Any:
    users = session.scalars(BY_ID.options(lazyload(User.posts).raiseload("*"))).all()
    with pytest.raises(InvalidRequestError):
        graph(users)
    return len(users)


@form(everywhere=OWN_REFUSED)
def own_noload(session: Session) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy 2.1 advises against it
        statement = BY_ID.options(noload(User.posts))
    return graph(session.scalars(statement))


@form(joined=OWN_REFUSED, subquery=OWN_REFUSED)
def own_selectinload(session: Session) -> Any:
    return graph(session.scalars(BY_ID.options(selectinload(User.posts))))


@form(joined=OWN_REFUSED, subquery=OWN_REFUSED)
def own_selectinload_with_criteria(session: Session) -> Any:
    option = selectinload(User.posts.and_(Post.id > 3))
    return graph(session.scalars(BY_ID.options(option)))


@form(selectin=OWN_REFUSED, mixed=OWN_REFUSED, subquery=OWN_REFUSED)
def own_joinedload(session: Session) -> Any:
    return graph(session.scalars(BY_ID.options(joinedload(User.posts))).unique())


@form(selectin=OWN_REFUSED, mixed=OWN_REFUSED, joined=OWN_REFUSED)
def own_subqueryload(session: Session) -> Any:
    return graph(session.scalars(BY_ID.options(subqueryload(User.posts))).unique())


@form(selectin=OWN_REFUSED, mixed=OWN_REFUSED, subquery=OWN_REFUSED, joined=JOIN_REFUSED)
def own_contains_eager(session: Session) -> Any:
    statement = select(User).join(User.posts).where(Post.id > 3).order_by(User.id, Post.id)
    return graph(session.scalars(statement.options(contains_eager(User.posts))).unique())


@form(everywhere=OWN_REFUSED)
def own_options_all_the_way(session: Session) -> Any:
    option = selectinload(User.posts).selectinload(Post.comments)
    return graph(session.scalars(BY_ID.options(option)))


@form()
def own_load_only(session: Session) -> Any:
    return graph(session.scalars(BY_ID.options(load_only(User.name))))


@form()
def own_columns(session: Session) -> Any:
    users = session.scalars(BY_ID.options(undefer(User.about), defer(User.team_id))).all()
    return graph(users), [user.about for user in users]


@form()
def loader_criteria(session: Session) -> Any:
    option = with_loader_criteria(Comment, Comment.id > 4)
    return graph(session.scalars(BY_ID.options(option)))


@form()
def loader_criteria_of_the_parents(session: Session) -> Any:
    options = (with_loader_criteria(User, User.id > 1), with_loader_criteria(Post, Post.id > 5))
    return graph(session.scalars(BY_ID.options(*options)))


@form(others=1)
def populated_again(session: Session) -> Any:
    kept = _loaded_elsewhere(session)
    again = session.scalars(BY_ID.execution_options(populate_existing=True)).all()
    return graph(again), again == kept


@form(others=1)
def flushed_by_the_statement(session: Session) -> Any:
    session.add(User(id=100, name="new", team_id=1))
    return graph(session.scalars(BY_ID))


@form(everywhere="no SELECT")
def insert_returning(session: Session) -> Any:
    rows = [{"id": 101, "name": "a", "team_id": 1}]
    return [user.id for user in session.scalars(insert(User).returning(User), rows)]


@form(acted=2)
def frozen_by_the_app(session: Session) -> Any:
    frozen = session.execute(BY_ID).freeze()
    session.expunge_all()
    other = session.execute(BY_ID).freeze()
    return [row[0].id for row in frozen()], graph(other().scalars())


@form(everywhere="no SELECT")
def text_alone(session: Session) -> Any:
    return [tuple(row) for row in session.execute(text("SELECT id FROM reader ORDER BY id"))]


@form(everywhere="lambda_stmt")
def lambda_statement(session: Session) -> Any:
    return graph(session.scalars(lambda_stmt(lambda: select(User).order_by(User.id))))


@form()
def nested_transaction(session: Session) -> Any:
    with session.begin_nested():
        return graph(session.scalars(BY_ID))


@form(joined="FOR UPDATE")
def for_update_of_pages(session: Session) -> Any:
    return graph(session.scalars(BY_ID.limit(2).with_for_update(skip_locked=True)))


@form()
def own_joinedload_of_another(session: Session) -> Any:
    users = session.scalars(BY_ID.options(joinedload(User.team))).all()
    return graph(users), [user.team.name for user in users]


@form()
def own_joined_collection_of_another(session: Session) -> Any:
    users = session.scalars(BY_ID.options(joinedload(User.seen_posts))).unique().all()
    return graph(users), [len(user.seen_posts) for user in users]


@form(everywhere="columns")
def bundle(session: Session) -> Any:
    both: Any = Bundle("user", User.id, User.name)
    return list(map(tuple, session.execute(select(both).order_by(User.id)).all()))


@form(everywhere="aliased")
def alias_and_entity_of_another(session: Session) -> Any:
    other = aliased(User)
    statement = select(Team, other).join(other, other.team_id == Team.id).order_by(other.id)
    return [(team.name, graph([user])) for team, user in session.execute(statement)]


@form(acted=2)
def two_statements(session: Session) -> Any:
    high = session.scalars(BY_ID.where(User.id > 2)).all()
    low = session.scalars(BY_ID.where(User.id <= 2)).all()
    return graph(high), graph(low)


@form(joined=JOIN_REFUSED)
def join_distinct_on_another(session: Session) -> Any:
    joined = select(User).join(User.posts).order_by(Post.id)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy 2.1 has another way to say it
        statement = joined.distinct(Post.id)
    return graph(session.scalars(statement))


@form(joined=JOIN_REFUSED)
def join_distinct_on_another_by_extension(session: Session) -> Any:
    joined = select(User).join(User.posts).order_by(Post.id)
    if not hasattr(postgresql, "distinct_on"):
        return graph(session.scalars(joined))
    return graph(session.scalars(joined.ext(postgresql.distinct_on(Post.id))))


class CacheOption(UserDefinedOption):
    """An option of the app's own, with names that loader options have too."""

    context = ("app",)
    path = "app"


@form()
def option_of_the_app(session: Session) -> Any:
    return graph(session.scalars(BY_ID.options(CacheOption())))


@form(joined=HAND_REFUSED, subquery=HAND_REFUSED, mixed=OWN_REFUSED, selectin=OWN_REFUSED)
def contains_eager_from_text(session: Session) -> Any:
    columns = "reader.id, reader.name, reader.team_id, post.id, post.user_id, post.title"
    joined = text(f"SELECT {columns} FROM reader JOIN post ON reader.id = user_id ORDER BY post.id")
    statement = select(User).from_statement(
        joined.columns(User.id, User.name, User.team_id, Post.id, Post.user_id, Post.title)
    )
    return graph(session.scalars(statement.options(contains_eager(User.posts))).unique())


@form(selectin=OWN_REFUSED, mixed=OWN_REFUSED, subquery=OWN_REFUSED, joined=OWN_REFUSED)
def own_joinedload_of_an_alias(session: Session) -> Any:
    other = aliased(Post)
    option = joinedload(User.posts.of_type(other))
    return graph(session.scalars(BY_ID.options(option)).unique())
