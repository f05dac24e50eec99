"""Paths that say that they do something: a made workload leaves them out."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from .names import words_of

_WORDS: Final = frozenset(
    [
        "abort",
        "activate",
        "approve",
        "callback",
        "cancel",
        "charge",
        "clear",
        "confirm",
        "cron",
        "deactivate",
        "delete",
        "destroy",
        "disable",
        "disconnect",
        "drop",
        "enable",
        "impersonate",
        "invite",
        "kill",
        "logout",
        "notify",
        "pay",
        "purge",
        "refund",
        "reject",
        "remind",
        "remove",
        "resend",
        "reset",
        "restart",
        "revoke",
        "send",
        "shutdown",
        "signout",
        "stop",
        "subscribe",
        "terminate",
        "trigger",
        "truncate",
        "unsubscribe",
        "verify",
        "webhook",
        "webhooks",
        "wipe",
    ]
)
_PAIRS: Final = frozenset({("log", "out"), ("sign", "out"), ("web", "hook"), ("web", "hooks")})
_MAIL: Final = frozenset({"email", "mail"})
_SENDS_OUT: Final = frozenset({"export", "forward", "share", "to"})


def why_it_stays_out(route: str) -> str:
    """Why an operation with this path is not sent unless a file names it; empty if it may be."""
    for segment in re.sub(r"\{[^}]*\}", "", route).split("/"):
        found = _what_it_does(words_of(segment))
        if found:
            return (
                f'its path says "{found}", so it may do something;'
                " a file for --requests can name it"
            )
    return ""


def _what_it_does(words: list[str]) -> str:
    for word in words:
        if word in _WORDS:
            return word
    for pair in pairwise(words):
        if pair in _PAIRS:
            return "-".join(pair)
    if _MAIL & set(words) and _SENDS_OUT & set(words):
        return "-".join(words)
    return ""
