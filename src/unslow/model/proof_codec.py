"""What was tried as a line of JSON, to be kept beside the check that tried it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from .proof import VERDICTS, AlsoTried, Arm, Comparison, ProvenTotal, Trial


class Tried(NamedTuple):
    """All that a check has tried, as a report takes it."""

    trials: tuple[Trial, ...] = ()
    total: ProvenTotal | None = None
    left: tuple[str, ...] = ()
    """Sentences: what was not tried for want of time."""


def tried_text(tried: Tried) -> str:
    """It as a line of JSON.

    Raises:
        ValueError, TypeError: a number in it is not finite, or a parameter is no plain data.
    """
    plain = {
        "trials": [trial_data(one) for one in tried.trials],
        "total": None if tried.total is None else asdict(tried.total),
        "left": tried.left,
    }
    return json.dumps(plain, allow_nan=False)


def tried_of(text: str) -> Tried:
    """The inverse of `tried_text`.

    Raises:
        ValueError, KeyError, TypeError: the text is damaged, or of another version.
    """
    told: dict[str, Any] = json.loads(text)
    total = told["total"]
    return Tried(
        tuple(trial_of(one) for one in told["trials"]),
        None if total is None else ProvenTotal(**total),
        _texts(told["left"]),
    )


def trial_data(trial: Trial) -> dict[str, Any]:
    """A trial as plain data that JSON can hold."""
    told = asdict(trial)
    told["at_round_trip_ms"] = {str(ms): times for ms, times in trial.at_round_trip_ms.items()}
    return told


def trial_of(data: Mapping[str, Any]) -> Trial:
    """The inverse of `trial_data`, also of what has been JSON meanwhile.

    Raises:
        ValueError, KeyError, TypeError: the data is damaged, or of another version.
    """
    told: dict[str, Any] = dict(data)
    if told["verdict"] not in VERDICTS:
        raise ValueError(f"there is no verdict {told['verdict']!r}")
    told["arm"] = Arm(**told["arm"])
    for name in ("compared", "in_crowd"):
        told[name] = None if told[name] is None else _comparison(told[name])
    trips = dict(told["at_round_trip_ms"])
    told["at_round_trip_ms"] = {int(ms): times for ms, times in trips.items()}
    told["also_tried"] = tuple(AlsoTried(**one) for one in told["also_tried"])
    told["table"] = tuple((setting, brought) for setting, brought in told["table"])
    return Trial(**told)


def _comparison(data: Mapping[str, Any]) -> Comparison:
    least, most = data["interval"]
    return Comparison(**{**data, "interval": (least, most)})


def _texts(data: Any) -> tuple[str, ...]:
    if not isinstance(data, list) or not all(isinstance(one, str) for one in data):
        raise TypeError(f"sentences are a list of texts, not {data!r}")
    return tuple(data)
