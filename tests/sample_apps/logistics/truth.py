"""What is wrong with the carrier's endpoints."""

from ..truth import Planted

CUSTOMS = "gateways/customs.py"
ROUTING = "gateways/routing.py"
WEATHER = "gateways/weather.py"

PLANTED = (
    Planted(
        "GET /parcels/{parcel_id}/declaration", "missing-timeout", CUSTOMS, "Customs.declaration"
    ),
    Planted("GET /parcels/{parcel_id}/fees", "blocking-call", CUSTOMS, "Customs.duty"),
    Planted(
        "GET /parcels/{parcel_id}/route", "missing-timeout", ROUTING, "RoutePlanner.kilometres"
    ),
    Planted("GET /parcels/{parcel_id}/outlook", "serial-awaits", "parcels.py", "show_outlook"),
    Planted(
        "GET /parcels/{parcel_id}/track", "side-effect-in-request", ROUTING, "Partners.count_view"
    ),
    Planted(
        "GET /parcels/{parcel_id}/position",
        "held-connection",
        "parcels.py",
        "show_position",
        touched=(ROUTING, "Partners.number"),
    ),
    Planted(
        "GET /parcels/{parcel_id}/clearance",
        "held-connection",
        "parcels.py",
        "find",
        touched=(CUSTOMS, "Customs.duty"),
    ),
    Planted(
        "GET /depots/{depot_id}/storm", "missing-timeout", WEATHER, "WeatherService.storm_level"
    ),
    Planted("GET /depots/{depot_id}/jam", "client-per-request", WEATHER, "jam_level"),
    Planted("GET /depots/{depot_id}/situation", "serial-awaits", "depots.py", "situation_in"),
    Planted("GET /quotes/{carrier}", "client-per-request", ROUTING, "cheapest"),
    Planted("GET /postcodes/{postcode}", "client-per-request", "depots.py", "postcode_of"),
    Planted("POST /manifests/check", "repeated-remote-call", ROUTING, "Partners.check"),
    Planted("POST /manifests/weigh", "repeated-remote-call", CUSTOMS, "Customs.weigh"),
    Planted("POST /labels/{code}", "blocking-call", "office.py", "LabelPrinter.print_label"),
    Planted("POST /rounds/sort", "blocking-call", "office.py", "sorted_codes"),
    Planted("GET /tariffs/{year}/latest", "blocking-call", "office.py", "last_line"),
    Planted("POST /queues/{queue}/next", "blocking-call", "office.py", "next_job"),
)

ARGUABLE = (
    # Independent calls awaited one behind the other, and also one call in a loop.
    ("POST /manifests/check", "serial-awaits"),
    # Making a client takes tens of milliseconds, most of them for its certificates.
    ("GET /quotes/{carrier}", "long-step"),
)

INNOCENT = (
    "GET /parcels/{parcel_id}/duty",
    "GET /parcels/{parcel_id}/arrival",
    "GET /parcels/{parcel_id}/price",
    "GET /parcels/{parcel_id}/forecast",
    "GET /parcels/{parcel_id}/follow",
    "POST /parcels/{parcel_id}/insure",
    "POST /parcels/{parcel_id}/claims",
    "GET /parcels/{parcel_id}/location",
    "GET /parcels/{parcel_id}/whereabouts",
    "GET /parcels/{parcel_id}/partner",
    "GET /depots/{depot_id}/rain",
    "GET /depots/{depot_id}/briefing",
    "GET /offers/{carrier}",
    "POST /manifests/verify",
    "POST /bookings/{booking_id}/wait",
    "GET /bookings/{booking_id}/label",
    "POST /labels/{code}/again",
    "POST /rounds/order",
    "GET /tariffs/{year}/newest",
    "GET /about",
    "POST /queues/{queue}/take",
)
