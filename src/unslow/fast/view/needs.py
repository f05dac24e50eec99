"""What a response model needs of the mapped classes, worked out once, when a view is declared.

The model is read as pydantic itself sees it (its core schema), so that nothing of it goes unseen: a
kind of schema that is not known here rules out the makes that could answer differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from sqlalchemy import Column, Table, inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import ColumnProperty, InstrumentedAttribute, Mapper, RelationshipProperty
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import (
    ARRAY,
    CHAR,
    JSON,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Time,
    TypeDecorator,
    TypeEngine,
    Uuid,
)

from ..errors import DefinitionError
from ..sessions import is_of_the_app

Schema: TypeAlias = Mapping[str, Any]
"""A part of what `Model.__pydantic_core_schema__` is."""

_FUNCTIONS: Final = frozenset(
    {"function-before", "function-after", "function-wrap", "function-plain"}
)
_HARMLESS_CONFIG: Final = frozenset(
    {
        "from_attributes",
        "frozen",
        "hide_input_in_errors",
        "loc_by_alias",
        "populate_by_name",
        "title",
        "validate_by_alias",
        "validate_by_name",
    }
)
_PLAIN_TYPES: Final = (
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    JSON,
    LargeBinary,
    Numeric,
    String,
    Time,
    Uuid,
)
"""The types whose values are known as the drivers give them."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field that is a column."""

    name: str
    """Of the model."""
    key: str
    """In the JSON."""
    given_as: str
    """Under which name validation takes it."""
    attribute: str
    """Of the mapped class."""
    column: Column[Any]
    schema: Schema
    """What pydantic checks, without default and `None`."""
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Related:
    """A field that is a relationship."""

    name: str
    key: str
    given_as: str
    attribute: str
    relationship: RelationshipProperty[Any]
    node: Node
    is_list: bool
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Other:
    """A field that only Python knows: a property, a hybrid, an expression."""

    name: str
    key: str
    given_as: str
    attribute: str


Field: TypeAlias = Leaf | Related | Other


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a make cannot be sure to give FastAPI's own answer."""

    where: str
    """`UserOut.email`."""
    why: str
    only_orm: bool
    """Whether the ORM alone is sure; otherwise rows are, too."""
    is_check: bool = False
    """Whether it is only that pydantic refuses some values; the database may be trusted with it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A model and the mapped class that it is read from."""

    model: type[BaseModel]
    mapper: Mapper[Any]
    fields: tuple[Field, ...]
    """In the order of the model; computed ones need nothing and are not among them."""
    reasons: tuple[Reason, ...]
    """Those of this node, without those below it."""
    computed_names: tuple[str, ...]
    """The fields that the model works out from its others."""

    @property
    def leaves(self) -> Iterator[Leaf]:
        return (one for one in self.fields if isinstance(one, Leaf))

    @property
    def related(self) -> Iterator[Related]:
        return (one for one in self.fields if isinstance(one, Related))

    def all_reasons(self) -> Iterator[Reason]:
        """Those of this node and of all below it."""
        yield from self.reasons
        for one in self.related:
            yield from one.node.all_reasons()

    def all_nodes(self) -> Iterator[Node]:
        """This one and all below it."""
        yield self
        for one in self.related:
            yield from one.node.all_nodes()


def needs(model: type[BaseModel], entity: type[Any]) -> Node:
    """Reads a model against a mapped class.

    Raises:
        DefinitionError: One of them is not what it must be, or the model has a field that the class
            does not have, or contains itself.
    """
    kind: Any = model
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise DefinitionError(f"got {model!r} as the model of a view; wanted a pydantic BaseModel")
    try:
        mapper = inspect(entity)
    except NoInspectionAvailable as error:
        raise DefinitionError(
            f"got {entity!r} as the class of a view; wanted a mapped class of SQLAlchemy"
        ) from error
    if not isinstance(mapper, Mapper):
        raise DefinitionError(
            f"got {entity!r} as the class of a view; wanted the mapped class itself"
        )
    model.model_rebuild()
    return _Reader(model.__pydantic_core_schema__).node(model.__pydantic_core_schema__, mapper, ())


class _Unwrapped:
    """A schema without the layers that only say what is allowed beside it."""

    def __init__(self, schema: Schema, definitions: Mapping[str, Schema]) -> None:
        self.is_optional = False
        self.functions: list[Any] = []
        self.has_serializer = False
        while True:
            self.has_serializer = self.has_serializer or "serialization" in schema
            kind = schema["type"]
            if kind in _FUNCTIONS:
                self.functions.append(schema["function"]["function"])
            if kind == "definitions":
                schema = schema["schema"]
            elif kind == "definition-ref":
                schema = definitions[schema["schema_ref"]]
            elif kind == "nullable":
                self.is_optional = True
                schema = schema["schema"]
            elif kind == "default" or (kind in _FUNCTIONS and "schema" in schema):
                schema = schema["schema"]
            else:
                self.schema = schema
                return

    @property
    def only_checks(self) -> bool:
        """Whether its functions are those of pydantic's own kinds of text, such as `EmailStr`."""
        return self.schema["type"] == "str" and all(
            str(getattr(one, "__module__", "")).startswith("pydantic.") for one in self.functions
        )


class _Reader:
    def __init__(self, schema: Schema) -> None:
        found = schema.get("definitions", ()) if schema["type"] == "definitions" else ()
        self._definitions = {one["ref"]: one for one in found}

    def node(self, schema: Schema, mapper: Mapper[Any], above: tuple[type, ...]) -> Node:
        unwrapped = _Unwrapped(schema, self._definitions)
        found = unwrapped.schema
        if found["type"] != "model" or found["schema"]["type"] != "model-fields":
            raise DefinitionError(
                f"{_named(above)} has a {found['type']} for {mapper.class_.__name__}; "
                "wanted a model with fields"
            )
        model: type[BaseModel] = found["cls"]
        if model in above:
            raise DefinitionError(
                f"{_named((*above, model))} contains itself, and a view needs "
                "to know how deep it goes; give each level a model of its own"
            )
        fields: list[Field] = []
        reasons = [
            *_reasons_of_model(model, found, unwrapped),
            *_reasons_of_mapper(model, mapper),
        ]
        for name, one in found["schema"]["fields"].items():
            if one.get("serialization_exclude"):
                # It is validated all the same, and may fail.
                reasons.append(
                    Reason(f"{model.__name__}.{name}", "it is checked but left out", False)
                )
            field, of_field = self._field(model, name, one, mapper, (*above, model))
            if field is not None:
                fields.append(field)
            reasons += of_field
        computed = tuple(one["property_name"] for one in found["schema"].get("computed_fields", ()))
        reasons += [
            Reason(f"{model.__name__}.{name}", "it is computed in Python", False)
            for name in computed
        ]
        return Node(model, mapper, tuple(fields), tuple(reasons), computed)

    def _field(
        self,
        model: type[BaseModel],
        name: str,
        field: Schema,
        mapper: Mapper[Any],
        above: tuple[type, ...],
    ) -> tuple[Field, list[Reason]]:
        where = f"{model.__name__}.{name}"
        unwrapped = _Unwrapped(field["schema"], self._definitions)
        key = str(field.get("serialization_alias", name))
        alias: Any = field.get("validation_alias", name)
        reasons = []
        if unwrapped.functions:
            why = "a function of the model validates it"
            reasons.append(Reason(where, why, True, is_check=unwrapped.only_checks))
        if unwrapped.has_serializer or "serialization_exclude_if" in field:
            reasons.append(Reason(where, "a function of the model serializes it", only_orm=False))
        if not isinstance(alias, str):
            reasons.append(Reason(where, "it may come under several names", only_orm=True))
            alias = name
        attribute = _attribute(mapper, alias, name)
        if attribute is None:
            raise DefinitionError(
                f"{where} is read from {mapper.class_.__name__}.{alias}, which is not there; "
                "wanted a column, a relationship or a property of that name"
            )
        if (related := mapper.relationships.get(attribute)) is not None:
            return self._related(where, (name, key, alias), related, unwrapped, above, reasons)
        column = _column(mapper, attribute)
        if column is None:
            why = f"{mapper.class_.__name__}.{attribute} is no plain column"
            return Other(name, key, alias, attribute), [*reasons, Reason(where, why, True)]
        if (unknown := _unknown(column.type)) is not None:
            reasons.append(Reason(where, unknown, only_orm=True))
        leaf = Leaf(name, key, alias, attribute, column, unwrapped.schema, unwrapped.is_optional)
        return leaf, reasons

    def _related(
        self,
        where: str,
        names: tuple[str, str, str],
        relationship: RelationshipProperty[Any],
        unwrapped: _Unwrapped,
        above: tuple[type, ...],
        reasons: list[Reason],
    ) -> tuple[Field, list[Reason]]:
        is_list = unwrapped.schema["type"] == "list"
        said = f"{relationship.parent.class_.__name__}.{relationship.key}"
        if is_list != bool(relationship.uselist):
            wanted = "a list" if relationship.uselist else "one object"
            raise DefinitionError(f"{where} and {said} do not fit: the relationship is {wanted}")
        schema = unwrapped.schema["items_schema"] if is_list else unwrapped.schema
        if is_list and unwrapped.schema.keys() - {"type", "items_schema", "metadata"}:
            reasons.append(Reason(where, "its length is checked", only_orm=False))
        if relationship.lazy in {"dynamic", "write_only"}:
            raise DefinitionError(
                f"{said} is {relationship.lazy} and is never read whole; a view needs lazy='select'"
            )
        order = relationship.order_by or ()
        if any(
            column.table is not relationship.target for one in order for column in _columns(one)
        ):
            reasons.append(Reason(where, f"{said} is ordered by another table", only_orm=True))
        if is_list and relationship.collection_class not in {None, list}:
            reasons.append(Reason(where, f"{said} is no list", only_orm=True))
        node = self.node(schema, relationship.mapper, above)
        field = Related(
            *names[:2],
            names[2],
            relationship.key,
            relationship,
            node,
            is_list,
            unwrapped.is_optional,
        )
        return field, reasons


def _named(models: tuple[type, ...]) -> str:
    return " -> ".join(one.__name__ for one in models) or "the model"


def _attribute(mapper: Mapper[Any], alias: str, name: str) -> str | None:
    """The attribute that validation finds: under the alias, else under the name."""
    for one in (alias, name):
        if hasattr(mapper.class_, one):
            return one
    return None


def _column(mapper: Mapper[Any], attribute: str) -> Column[Any] | None:
    """The table's column behind an attribute, if it is that and nothing else."""
    found = mapper.column_attrs.get(attribute)
    seen = mapper.class_.__dict__.get(attribute, getattr(mapper.class_, attribute, None))
    if not isinstance(found, ColumnProperty) or not isinstance(seen, InstrumentedAttribute):
        return None
    column = found.columns[0]
    return column if isinstance(column, Column) and len(found.columns) == 1 else None


def _columns(expression: Any) -> list[Column[Any]]:
    return [one for one in iterate(expression) if isinstance(one, Column)]


def _unknown(kind: TypeEngine[Any]) -> str | None:
    """Why the values of a column are not as the driver gives them."""
    if isinstance(kind, TypeDecorator):
        return f"{type(kind).__name__} turns what the database holds into something else"
    if isinstance(kind, ARRAY):
        if isinstance(kind.item_type, JSON):
            return "drivers differ in whether they read the JSON in an array"
        return _unknown(kind.item_type)
    if not isinstance(kind, _PLAIN_TYPES):
        return f"{type(kind).__name__} is not known"
    if getattr(kind, "_variant_mapping", None):
        return f"{type(kind).__name__} differs from database to database"
    # Types of the user's own may turn values, too; SQLAlchemy's stand in its own package.
    if not type(kind).__module__.startswith("sqlalchemy."):
        return f"{type(kind).__name__} is a type of its own"
    return None


def _comes_back(kind: TypeEngine[Any]) -> bool:
    """Whether a driver gives a key as it was asked for: by it a row is given to who asked."""
    if _unknown(kind) is not None or isinstance(kind, CHAR | Enum):
        return False
    if isinstance(kind, Uuid):
        return bool(kind.as_uuid)
    return isinstance(kind, Boolean | Date | DateTime | Integer | String | Time)


def _reasons_of_model(
    model: type[BaseModel], schema: Schema, unwrapped: _Unwrapped
) -> Iterator[Reason]:
    name = model.__name__
    if unwrapped.functions:
        yield Reason(name, "a function validates the whole model", only_orm=True)
    if unwrapped.has_serializer or "serialization" in schema:
        yield Reason(name, "a function serializes the whole model", only_orm=False)
    if schema.get("custom_init") or schema.get("post_init"):
        yield Reason(name, "it does something of its own when it is made", only_orm=True)
    config = dict(schema.get("config", {}))
    if config.pop("extra_fields_behavior", "ignore") == "allow":
        yield Reason(name, "it takes fields that it does not name", only_orm=True)
    for setting in sorted(config.keys() - _HARMLESS_CONFIG):
        yield Reason(name, f"its config sets {setting}", only_orm=False)


def _reasons_of_mapper(model: type[BaseModel], mapper: Mapper[Any]) -> Iterator[Reason]:
    name, entity = model.__name__, mapper.class_.__name__
    if mapper.polymorphic_on is not None or mapper.inherits is not None:
        yield Reason(name, f"{entity} is one of several classes in a table", only_orm=True)
    for column in mapper.primary_key:
        if not _comes_back(column.type):
            kind = type(column.type).__name__
            why = f"the key of {entity} is a {kind}, which a driver gives back as another value"
            yield Reason(name, why, only_orm=True)
    if not isinstance(mapper.local_table, Table):
        yield Reason(name, f"{entity} is not mapped to a table", only_orm=True)
    for event in ("load", "refresh"):
        if any(is_of_the_app(one) for one in getattr(mapper.class_manager.dispatch, event)):
            yield Reason(name, f"the app changes each {entity} when it is loaded", only_orm=True)
