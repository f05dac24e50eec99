import subprocess
import sys

from unslow.demo import app as app_module
from unslow.demo.app import create_app
from unslow.demo.planted import PLANTED, RIGHT
from unslow.demo.traffic import VISITS

IMPORT = """
import sys
import unslow.demo.app
print(*(name for name in sys.modules if name.startswith("unslow.")))
"""
RULES = {
    "lazy-load-loop",
    "unbounded-list",
    "large-response",
    "slow-serialization",
    "blocking-call",
    "missing-timeout",
    "pool-wait",
    "held-connection",
    "client-per-request",
}


def operations() -> dict[tuple[str, str], str]:
    """The function behind each method and route, by what the app says of itself."""
    return {
        (method.upper(), route): operation["summary"].lower().replace(" ", "_")
        for route, methods in create_app().openapi()["paths"].items()
        for method, operation in methods.items()
    }


def test_every_endpoint_is_either_planted_or_right() -> None:
    planted = {(each.method, each.route) for each in PLANTED}

    assert planted | set(RIGHT) == set(operations())
    assert not planted & set(RIGHT)


def test_each_planted_mistake_names_the_function_of_its_endpoint() -> None:
    functions = operations()

    assert [each.function for each in PLANTED] == [
        functions[each.method, each.route] for each in PLANTED
    ]


def test_planted_are_the_mistakes_that_were_promised() -> None:
    assert {each.rule for each in PLANTED} == RULES


def test_the_table_in_the_app_says_the_same() -> None:
    table = app_module.__doc__ or ""
    rows = [line for line in table.splitlines() if line.startswith(("| GET", "| POST"))]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]

    assert {tuple(route.split(" ")): function for route, function, _ in cells} == operations()
    right = {tuple(route.split(" ")) for route, _, wrong in cells if wrong.startswith("nothing")}
    assert right == set(RIGHT)


def test_the_traffic_visits_every_endpoint() -> None:
    assert {(visit.method, visit.route) for visit in VISITS} == set(operations())


def test_the_app_imports_nothing_of_the_tool_and_needs_no_environment() -> None:
    seen = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True, env={}
    )

    assert all(
        name == "unslow.demo" or name.startswith("unslow.demo.") for name in seen.stdout.split()
    )
