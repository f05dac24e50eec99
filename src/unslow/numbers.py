"""Amounts as text: three digits at most where that is enough, and always the same way."""

from __future__ import annotations

from typing import Final

_BYTES_UNITS: Final = ("B", "kB", "MB", "GB")


def number(value: float) -> str:
    """A number with two decimals below 0.1, one below 100 and none above."""
    size = abs(value)
    if size < 0.005:
        return "<0.01" if value > 0 else "0"
    # The bounds are those of rounding: 0.0996 is 0.1 and 99.96 is 100.
    if size < 0.095:
        return f"{value:.2f}"
    return f"{value:.1f}" if size < 99.95 else f"{value:,.0f}"


def milliseconds(ms: float) -> str:
    """A time with its unit: `33.7 ms`, `4.9 s`."""
    return " ".join(time_parts(ms))


def bare_milliseconds(ms: float) -> str:
    """A time where milliseconds are understood: `33.7`, but `4.9 s`."""
    text, unit = time_parts(ms)
    return text if unit == "ms" else f"{text} {unit}"


def interval(least_ms: float, most_ms: float) -> str:
    """A time of which two bounds are known: `12.1-40.3 ms`, or one time where they are equal."""
    if milliseconds(least_ms) == milliseconds(most_ms):
        return milliseconds(most_ms)
    if least_ms < 0.005:
        return f"up to {milliseconds(most_ms)}"
    (least, least_unit), (most, most_unit) = time_parts(least_ms), time_parts(most_ms)
    if least_unit == most_unit:
        return f"{least}-{most} {most_unit}"
    return f"{least} {least_unit}-{most} {most_unit}"


def time_parts(ms: float) -> tuple[str, str]:
    """A time as a number and its unit, milliseconds or seconds."""
    return (number(ms / 1000), "s") if abs(ms) >= 999.5 else (number(ms), "ms")


def size(bytes_count: float) -> str:
    """A number of bytes, in steps of 1000: `312 B`, `20.6 kB`."""
    scaled, unit = float(bytes_count), _BYTES_UNITS[0]
    for larger in _BYTES_UNITS[1:]:
        if scaled < 999.5:
            break
        scaled, unit = scaled / 1000, larger
    return f"{scaled:.0f} B" if unit == "B" else f"{number(scaled)} {unit}"


def counted(count: float, one: str, many: str = "") -> str:
    """A count, or the mean of counts, with its word: `1 request`, `2,000 requests`, `2.8 rows`."""
    text = average(count)
    return f"{text} {one if text == '1' else many or one + 's'}"


def times(count: float) -> str:
    """How often something was done, as a mean: `once`, `2.8 times`."""
    text = average(count)
    return "once" if text == "1" else f"{text} times"


def average(count: float) -> str:
    """A mean count, whole where it is whole: `50`, `1.5`."""
    return f"{round(count):,}" if abs(count - round(count)) < 0.005 else number(count)


def percent(part: float, whole: float = 1.0) -> str:
    """A share in whole percent: `62 %`."""
    if whole <= 0 or part <= 0:
        return "0 %"
    share = 100 * part / whole
    return "<1 %" if share < 0.5 else f"{share:.0f} %"
