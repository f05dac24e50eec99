"""The rules, by area and name."""

from __future__ import annotations

from typing import Final

from .rule import Rule
from .rules.blocking_call import blocking_call
from .rules.cartesian_join import cartesian_join
from .rules.client_per_request import client_per_request
from .rules.connection_per_request import connection_per_request
from .rules.deep_offset import deep_offset
from .rules.discarded_rows import discarded_rows
from .rules.double_validation import double_validation
from .rules.duplicate_query import duplicate_query
from .rules.entity_response import entity_response
from .rules.held_connection import held_connection
from .rules.large_response import large_response
from .rules.lazy_load_loop import lazy_load_loop
from .rules.literal_in_sql import literal_in_sql
from .rules.long_step import long_step
from .rules.missing_timeout import missing_timeout
from .rules.pool_settings import pool_settings
from .rules.pool_wait import pool_wait
from .rules.repeatable_response import repeatable_response
from .rules.repeated_query import repeated_query
from .rules.repeated_remote_call import repeated_remote_call
from .rules.serial_awaits import serial_awaits
from .rules.side_effect_in_request import side_effect_in_request
from .rules.slow_serialization import slow_serialization
from .rules.slow_statement import slow_statement
from .rules.thread_starvation import thread_starvation
from .rules.unbounded_list import unbounded_list
from .rules.uncompressed_response import uncompressed_response
from .rules.unused_columns import unused_columns
from .rules.unused_relationship import unused_relationship

RULES: Final[tuple[Rule, ...]] = (
    lazy_load_loop,
    repeated_query,
    duplicate_query,
    unused_relationship,
    unused_columns,
    discarded_rows,
    unbounded_list,
    deep_offset,
    slow_statement,
    cartesian_join,
    literal_in_sql,
    pool_wait,
    held_connection,
    connection_per_request,
    pool_settings,
    blocking_call,
    long_step,
    thread_starvation,
    serial_awaits,
    missing_timeout,
    client_per_request,
    repeated_remote_call,
    side_effect_in_request,
    slow_serialization,
    large_response,
    uncompressed_response,
    entity_response,
    double_validation,
    repeatable_response,
)
