"""What came of a trial, in words: the same in every form of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ..fixes.catalogue import FIXES, SHOW_ONLY, UNSAFE
from ..model.finding import Finding
from ..model.proof import (
    BROKE,
    CHANGES_ANSWER,
    FASTER,
    NO_DIFFERENCE,
    NOT_TRIED,
    SLOWER,
    AlsoTried,
    Comparison,
    ProvenTotal,
    Trial,
)
from ..model.report import Report
from ..numbers import average, counted, milliseconds, number, percent, time_parts
from .lines import one_line

WITHDRAWN: Final = "withdrawn: its fix was tried and does not pay"
NOTHING_TO_TRY: Final = "No fix was tried: none of what was found has one that can be switched on."
SIGNS: Final[Mapping[str, str]] = {
    FASTER: "✔",
    NO_DIFFERENCE: "=",
    CHANGES_ANSWER: "!",
    SLOWER: "✘",
    BROKE: "✘",
    NOT_TRIED: "·",
}
"""By verdict, before the words that say the same."""

_WHAT_IFS: Final = frozenset(one.id for one in FIXES if one.is_what_if)
"""The fixes that are meant to change the answer: who asks gets a page."""
_FEW_TIMES: Final = 1.5
"""Below it, tenths are too coarse: 1.06 and 1.14 would be the same."""

Quote = Callable[[str], str]
"""What makes the words of others fit for a form of a report."""


def is_what_if(trial: Trial) -> bool:
    """Whether another answer is what the fix is for."""
    return trial.arm.fix in _WHAT_IFS and trial.verdict == CHANGES_ANSWER


def decisive(trial: Trial) -> Comparison | None:
    """The comparison that the verdict is about: that with many where one alone says another."""
    alone, crowd = trial.compared, trial.in_crowd
    if alone is None or (trial.verdict == SLOWER and crowd is not None and alone.times >= 1):
        return crowd or alone
    return alone


def saved_ms(trial: Trial) -> float:
    """What a request takes less by a proof; 0 for what is none."""
    found = decisive(trial)
    return 0.0 if found is None else max(0.0, found.before_ms - found.after_ms)


def ratio(times: float, like: float | None = None) -> str:
    """How many times as fast: `1.06x`, `4.6x`, `120x`; with as many decimals as another has."""
    if abs(times if like is None else like) < _FEW_TIMES:
        return f"{times:,.2f}x"
    return f"{number(times)}x"


def change(before_ms: float, after_ms: float) -> str:
    """Two times: `33.7 → 7.3 ms`, `4.9 s → 280 ms`."""
    (before, before_unit), (after, after_unit) = time_parts(before_ms), time_parts(after_ms)
    unit = "" if before_unit == after_unit else f" {before_unit}"
    return f"{before}{unit} → {after} {after_unit}"


def proven(trial: Trial) -> str:
    """A proof in short: `proven 4.6x, 33.7 → 7.3 ms`."""
    found = decisive(trial)
    if found is None:
        return "proven"
    return f"proven {ratio(found.times)}, {change(found.before_ms, found.after_ms)}"


def verdict_words(trial: Trial, quote: Quote = one_line) -> str:
    """The verdict with its number or its reason, without its sign."""
    if is_what_if(trial):
        return _what_if(trial, quote)
    found = decisive(trial)
    if found is not None and trial.verdict == (SLOWER if found.times < 1 else FASTER):
        return by_how_much(found)
    seen = would_have_been_seen(found) if trial.verdict == NO_DIFFERENCE else ""
    return f"{_name(trial)}{_why(trial, quote)}{seen}"


def trial_words(trial: Trial, quote: Quote = one_line) -> str:
    """A trial in a line: the fix, the verdict, the change and the figures."""
    says = quote(trial.arm.says) if trial.arm.says and not is_what_if(trial) else ""
    named = f"{quote(trial.arm.fix)}{f' with {says}' if says else ''}"
    return f"{named}: {', '.join([verdict_words(trial, quote), *figures(trial)])}"


def further_reason(trial: Trial) -> str:
    """Why it came so, where the words of the verdict leave it out."""
    return trial.why if verdict_words(trial) == verdict_words(replace(trial, why="")) else ""


def _what_if(trial: Trial, quote: Quote) -> str:
    takes = "not measured" if trial.compared is None else by_how_much(trial.compared)
    by = f" with {quote(trial.arm.says)}" if trial.arm.says else ""
    return f"what if: {takes}{by}, another answer by purpose"


def by_how_much(found: Comparison) -> str:
    """The factor with its interval, from 1 on: `4.6x faster [4.1, 5.0]`."""
    is_slower = found.times < 1
    ends = [_inverse(one) if is_slower else one for one in found.interval]
    times = _inverse(found.times) if is_slower else found.times
    least, most = (ratio(one, like=times).removesuffix("x") for one in sorted(ends))
    word = "slower" if is_slower else "faster"
    return f"{ratio(times)} {word}{_users(found)} [{least}, {most}]"


def _inverse(times: float) -> float:
    return 1 / times if times > 0 else 0.0


def _users(found: Comparison) -> str:
    return f" at {counted(found.users_count, 'user')}" if found.users_count > 1 else ""


def would_have_been_seen(found: Comparison | None) -> str:
    """What to add to no difference, so that it says how little it may be; empty for nothing."""
    if found is None or found.smallest <= 1:
        return ""
    gain = found.smallest - 1
    text = percent(gain) if gain < 1 else ratio(found.smallest)
    return f"; a gain of {text} would have been seen"


def _why(trial: Trial, quote: Quote) -> str:
    return f": {quote(trial.why.rstrip('.'))}" if trial.why else ""


def _name(trial: Trial) -> str:
    if trial.verdict == CHANGES_ANSWER:
        return "changes the answer"
    if trial.verdict == NOT_TRIED and trial.risk == SHOW_ONLY:
        return "not tried, to be changed by hand"
    return trial.verdict.replace("-", " ")


def figures(trial: Trial) -> Iterator[str]:
    """What was measured beside it: times, statements, the answer, and the risk of a proof."""
    if trial.verdict in (NOT_TRIED, BROKE):
        return
    found = decisive(trial)
    if found is not None:
        yield change(found.before_ms, found.after_ms)
    before, after = trial.statements_before, trial.statements_after
    if before is not None and after is not None and average(before) != average(after):
        yield f"{average(before)} → {counted(after, 'statement')}"
    if trial.verdict == FASTER:
        yield _ANSWERS[trial.same_answer]
        if trial.risk == UNSAFE:
            yield UNSAFE


_ANSWERS: Final[Mapping[bool | None, str]] = {
    True: "same answer",
    False: "another answer",
    None: "answers not compared",
}


def beside(trial: Trial) -> str:
    """The comparison that its verdict is not about, where there are two; else empty."""
    told = decisive(trial)
    for one in (trial.compared, trial.in_crowd):
        if one is not None and one is not told:
            where = f"with {one.users_count} at once" if one.users_count > 1 else "alone"
            ends = [ratio(end, like=one.times).removesuffix("x") for end in one.interval]
            times = change(one.before_ms, one.after_ms)
            return f"{where} {ratio(one.times)} [{', '.join(ends)}], {times}"
    return ""


def at_round_trips(trial: Trial) -> str:
    """What it brings on slower networks: `at 1 ms round trip 9.8x, at 5 ms 17.0x`."""
    trips = sorted((ms, times) for ms, times in trial.at_round_trip_ms.items() if ms)
    return ", ".join(
        f"at {ms} ms{'' if number else ' round trip'} {ratio(times)}"
        for number, (ms, times) in enumerate(trips)
    )


def variant(one: AlsoTried, quote: Quote = one_line) -> str:
    """A variant that was dropped, with its time or the reason."""
    times = "" if one.times is None else f" {ratio(one.times)}"
    why = f" ({quote(one.why)})" if one.why else ""
    return f"{quote(one.says)}{times}{why}"


def how_measured(trial: Trial) -> str:
    """How often the switch acted, in how many blocks, and what is told from nothing there."""
    found = decisive(trial)
    items = [f"acted {counted(trial.fired_count, 'time')}"] if trial.fired_count else []
    if found is not None:
        items.append(counted(found.blocks_count, "pair block"))
        items.append(f"noise {percent(found.floor - 1)}")
    return ", ".join(items)


def has_patch(trial: Trial) -> bool:
    """Whether `unslow fix` has something to show."""
    return trial.verdict == FASTER and bool(trial.patch)


def total_sentence(total: ProvenTotal) -> str:
    """What all proven fixes bring together."""
    fixes = counted(total.fixes_count, "fix", "fixes")
    times = f"{change(total.before_ms, total.after_ms)} ({ratio(total.times)})"
    if total.fixes_count == 1:
        return f"Proven: {fixes}, its routes' time {times}."
    on = {2: "both", 3: "all three"}.get(total.fixes_count, f"all {total.fixes_count:,}")
    return f"Proven together: {fixes}, all routes' time {times}, measured with {on} on."


def proven_count(report: Report, findings: Sequence[Finding]) -> str:
    """How many have a proven fix: `, 2 with a proven fix`; empty where nothing was tried."""
    if report.trials is None:
        return ""
    count = sum(report.proof_of(one) is not None for one in findings)
    return f", {count or 'none'} with a proven fix"


def withdrawn_words(count: int) -> str:
    """How many findings are withdrawn, and why."""
    its, does = ("its", "does") if count == 1 else ("their", "do")
    was = "fix was" if count == 1 else "fixes were"
    return f"{count} withdrawn: {its} {was} tried and {does} not pay"


def could_save_words(ms: float, who: str = "") -> str:
    """What is not proven: `could save 26.4 ms`."""
    return f"could save {milliseconds(ms)}{who}"
