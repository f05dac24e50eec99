"""Whether a request is answered the same with a fix as without it.

What varies without the fix is left out of the comparison, but for its type: a time, a random id, a
counter, at its path in the JSON (`items[].updated_at`: the same for all elements of a list). What
differs with the fix alone is a difference, so the last bit of a number is one too, unless the app
itself varies it. "Not compared" is not "same": so is an answer of which everything varies, one
that is larger than `MOST_BYTES` unless each byte is equal, and a value that stood still at first
and changed while the fix was tried. That last may be the fix's own doing, by what it left behind
in the app; only a value that goes on changing without it, as a clock does, is taken for one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

from ..model.workload import Exchange, Request
from .answer_document import NOTHING, Raw, compared_headers, document
from .differences import (
    LENGTH,
    ORDER,
    TYPE,
    UNREAD,
    VALUE,
    Changes,
    Path,
    Spot,
    body_differences,
    described,
    header_differences,
    leaf_paths,
    written,
)

FEWEST_BASELINES: Final = 5
"""Answers to one request before the fix is first switched on, to learn what varies anyway."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""The largest body that is read; a larger one is only known to be equal in every byte, or not."""

_DIGEST_BYTES: Final = 16
_KEEPS_CHANGING: Final = 3
"""Different values without the fix: one change could have been caused, this is a habit."""
_MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What is kept of a good answer; its values are the user's own, and `repr` shows none."""

    headers: tuple[tuple[str, str], ...]
    """Those that are compared, with what is compared of them."""
    content_type: str
    digest: str
    bytes_count: int
    body: bytes | None
    """None where it was not kept, as it is too large."""

    def document(self) -> object:
        """The values in the body."""
        if self.body is None:
            whole = Raw(self.digest, self.bytes_count, is_kept=False)
            return whole if self.bytes_count else NOTHING
        return document(self.content_type, self.body, self.digest)


class Sameness(NamedTuple):
    """Whether the answers stayed the same."""

    same: bool | None
    """None where they could not be compared."""
    why: str
    """Where they differ and how, why they were not compared, or what was left out as it varies
    anyway; no value of them."""


def keep_answer(headers: Mapping[str, str], body: bytes) -> Answer:
    """What to keep of an answer so that it can be compared; nothing is parsed yet."""
    return Answer(
        compared_headers(headers),
        headers.get("content-type", ""),
        blake2b(body, digest_size=_DIGEST_BYTES).hexdigest(),
        len(body),
        body if len(body) <= MOST_BYTES else None,
    )


class SameAnswer:
    """Compares the answers to the same requests, without a fix and with it, as they come in.

    Each is worked through at once, and nothing of it kept but where it differs from the first:
    give it when no request is being measured.
    """

    def __init__(self, *, may_reorder: bool = False) -> None:
        """Begins with no answers.

        Args:
            may_reorder: The statement has no ORDER BY, so lists whose order varies without the fix
                may come in any. Without, such a list in another order is "not compared".
        """
        self._may_reorder = may_reorder
        self._answers: dict[Request, _Answers] = {}

    def before(self, exchange: Exchange) -> None:
        """Takes an answer without the fix; also those among the others and after them."""
        self._of(exchange.request).before(exchange)

    def after(self, exchange: Exchange) -> None:
        """Takes an answer with the fix."""
        self._of(exchange.request).after(exchange)

    def judged(self) -> Sameness:
        """The judgement on all requests that were sent with the fix.

        They are the same if those of every request are, and differ if those of any do.
        """
        tried = [one for one in self._answers.values() if one.is_tried]
        judged = [one.judged(self._may_reorder) for one in tried]
        if not tried:
            return _not_compared("no answer came with the fix switched on")
        for same in (False, None):
            first = next((one for one in judged if one.same is same), None)
            if first:
                return first
        return Sameness(True, _left_out([path for one in tried for path in one.left_out()]))

    def _of(self, request: Request) -> _Answers:
        return self._answers.setdefault(request, _Answers())


class _Answers:
    """All that is known of the answers to one request."""

    def __init__(self) -> None:
        self.is_tried = False
        self._reference: _Reference | None = None
        self._reference_outcome = ""
        self._first_count = 0
        self._outcomes: set[str] = set()
        self._other_outcomes: dict[str, None] = {}
        # What was found at each spot without the fix: before it was tried, and since then.
        self._varies: dict[Spot, set[int]] = {}
        self._varies_late: dict[Spot, set[int]] = {}
        self._changes: Changes = {}

    def before(self, exchange: Exchange) -> None:
        outcome = _outcome(exchange)
        self._outcomes.add(outcome)
        if exchange.error:
            return
        if self._reference is None:
            self._reference, self._reference_outcome = _Reference(_answer(exchange)), outcome
        if outcome == self._reference_outcome:
            self._first_count += not self.is_tried
            varies = self._varies_late if self.is_tried else self._varies
            for spot, change in self._reference.differences(_answer(exchange)).items():
                varies.setdefault(spot, set()).add(change.fingerprint)

    def after(self, exchange: Exchange) -> None:
        self.is_tried = True
        outcome = _outcome(exchange)
        if self._reference is None or outcome != self._reference_outcome:
            self._other_outcomes[outcome] = None
        else:
            changes = self._reference.differences(_answer(exchange))
            self._changes = {**changes, **self._changes}

    def judged(self, may_reorder: bool) -> Sameness:
        if self._reference is None or self._first_count < FEWEST_BASELINES:
            return _not_compared(
                f"{self._first_count} whole answers to a request before the fix was switched on,"
                f" at least {FEWEST_BASELINES} are wanted"
            )
        return self._judged_outcomes() or self._judged_changes(self._reference, may_reorder)

    def left_out(self) -> Iterable[Path]:
        """What varies without the fix."""
        return dict.fromkeys(spot.path for spot in (*self._varies, *self._varies_late))

    def _judged_outcomes(self) -> Sameness | None:
        """By the statuses and errors; None where they say nothing."""
        new = [outcome for outcome in self._other_outcomes if outcome not in self._outcomes]
        if new:
            return Sameness(False, f"{new[0]} in place of {self._reference_outcome}")
        if self._other_outcomes:
            return _not_compared(f"{next(iter(self._other_outcomes))} comes without the fix too")
        return None

    def _judged_changes(self, reference: _Reference, may_reorder: bool) -> Sameness:
        weighed = {spot: self._is_excused(spot, may_reorder) for spot in self._changes}
        # A missing element moves all that come after it.
        different = sorted(
            (spot for spot, is_excused in weighed.items() if is_excused is False),
            key=lambda spot: spot.how != LENGTH,
        )
        if different:
            more = len({spot.path for spot in different}) - 1
            first = described(different[0], self._changes[different[0]])
            why = f"{first}, and {more} more" if more else first
            if may_reorder and all(spot.how == ORDER for spot in different):
                why += "; a statement of the route has no ORDER BY"
            return Sameness(False, why)
        for spot, is_excused in weighed.items():
            if is_excused is None:
                return _not_compared(self._doubt(spot))
        if weighed and self._all_varies(reference.leaf_paths()):
            return _not_compared("all of the body varies without the fix too")
        return Sameness(True, "")

    def _is_excused(self, spot: Spot, may_reorder: bool) -> bool | None:
        """Whether a difference is none, as it comes without the fix too; None where in doubt."""
        if spot.how == UNREAD:
            return None
        if spot not in self._varies and spot not in self._varies_late:
            return False
        if spot.how == ORDER:
            return may_reorder or None
        # The value of the first answer is one of them.
        found = len(self._varies_late.get(spot, ())) + 1
        keeps_changing = spot.how == VALUE and found >= _KEEPS_CHANGING
        return spot in self._varies or keeps_changing or None

    def _doubt(self, spot: Spot) -> str:
        if spot.how == UNREAD:
            return described(spot, self._changes[spot])
        if spot.how == ORDER:
            return f"{written(spot.path)}: the order varies without the fix too"
        return f"{written(spot.path)}: changed while the fix was tried, without it too"

    def _all_varies(self, leaves: Collection[Path]) -> bool:
        spots = (*self._varies, *self._varies_late)
        within = {spot.path for spot in spots if spot.how == TYPE}
        at = {spot.path for spot in spots if spot.how in (VALUE, LENGTH)}
        return bool(leaves) and all(
            leaf in at or any(leaf[:length] in within for length in range(len(leaf) + 1))
            for leaf in leaves
        )


class _Reference:
    """The answer that the others are compared with."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._headers = dict(answer.headers)
        self._document: object = None
        self._is_parsed = False
        self._found: dict[str, Changes] = {answer.digest: {}}

    def differences(self, answer: Answer) -> Changes:
        """Where another answer differs; no body of the same bytes is looked at twice."""
        in_body = self._found.get(answer.digest)
        if in_body is None:
            in_body = body_differences(self._parsed(), answer.document())
            self._found[answer.digest] = in_body
        if answer.headers == self._answer.headers:
            return in_body
        return {**in_body, **header_differences(self._headers, dict(answer.headers))}

    def leaf_paths(self) -> Collection[Path]:
        return leaf_paths(self._parsed())

    def _parsed(self) -> object:
        if not self._is_parsed:
            self._document, self._is_parsed = self._answer.document(), True
        return self._document


def _answer(exchange: Exchange) -> Answer:
    """What was kept of an answer; of one that is not 2xx that is its hash."""
    if isinstance(exchange.kept, Answer):
        return exchange.kept
    headers = (("content-type", exchange.content_type),)
    return Answer(headers, exchange.content_type, exchange.digest, exchange.body_bytes, None)


def _outcome(exchange: Exchange) -> str:
    return exchange.error or f"status {exchange.status}"


def _not_compared(why: str) -> Sameness:
    return Sameness(None, f"not compared: {why}")


def _left_out(paths: Iterable[Path]) -> str:
    names = list(dict.fromkeys(map(written, paths)))
    if not names:
        return ""
    named, more = ", ".join(names[:_MOST_NAMED]), len(names) - _MOST_NAMED
    return f"left out, as it varies anyway: {named}" + (f", and {more} more" if more > 0 else "")
