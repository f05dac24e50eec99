"""What the carrier is asked for."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from ..call import Call, calls, spread
from .data import DEPOTS_COUNT, PARCELS_COUNT
from .opened import TARIFF_YEARS

PARCELS = spread(1, PARCELS_COUNT)
DEPOTS = spread(1, DEPOTS_COUNT)
SEEN = (
    "declaration",
    "duty",
    "fees",
    "route",
    "arrival",
    "price",
    "outlook",
    "forecast",
    "track",
    "follow",
    "position",
    "location",
    "whereabouts",
    "clearance",
    "partner",
)
QUEUES = ("north", "south", "east", "west")


def workload() -> list[Call]:
    """All requests."""
    return list(chain(_parcels(), _depots(), _desk(), _office()))


def _parcels() -> Iterator[Call]:
    for name in SEEN:
        yield from calls(f"GET /parcels/{{parcel_id}}/{name}", parcel_id=PARCELS)
    yield from calls("POST /parcels/{parcel_id}/insure", parcel_id=PARCELS)
    yield from calls("POST /parcels/{parcel_id}/claims", parcel_id=PARCELS, status=201)


def _depots() -> Iterator[Call]:
    for name in ("storm", "rain", "jam", "situation", "briefing"):
        yield from calls(f"GET /depots/{{depot_id}}/{name}", depot_id=DEPOTS)
    for name in ("quotes", "offers"):
        yield from calls(f"GET /{name}/{{carrier}}", carrier=("swift", "steady", "cheap"))
    yield from calls("GET /postcodes/{postcode}", postcode=PARCELS)


def _desk() -> Iterator[Call]:
    for name in ("check", "verify", "weigh"):
        yield from calls(f"POST /manifests/{name}", body=_manifest)
    yield from calls("POST /bookings/{booking_id}/wait", booking_id=PARCELS)
    yield from calls("GET /bookings/{booking_id}/label", booking_id=PARCELS)


def _office() -> Iterator[Call]:
    for name in ("", "/again"):
        yield from calls(f"POST /labels/{{code}}{name}", code=PARCELS)
    for name in ("sort", "order"):
        yield from calls(f"POST /rounds/{name}", body=_codes)
    for name in ("latest", "newest"):
        yield from calls(f"GET /tariffs/{{year}}/{name}", year=TARIFF_YEARS)
    yield from calls("GET /about")
    for name in ("next", "take"):
        # The server looks at waiting clients ten times a second.
        yield from calls(f"POST /queues/{{queue}}/{name}", 12, queue=QUEUES)


def _codes(number: int) -> list[str]:
    return [f"P{number * 10 + each}" for each in range((4, 7, 10)[number % 3])]


def _manifest(number: int) -> dict[str, Any]:
    return {"codes": _codes(number)}
