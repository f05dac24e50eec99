"""The office: printers, files and queues."""

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from .opened import Open

router = APIRouter()
SETTLING_S = 0.012


class LabelPrinter:
    """The printer wants a moment between two labels."""

    def print_label(self, code: str) -> int:
        time.sleep(SETTLING_S)  # finding: blocking-call
        return len(code)


printer = LabelPrinter()


@router.post("/labels/{code}")
async def print_label(code: str) -> dict[str, int]:
    return {"printed": printer.print_label(code)}


@router.post("/labels/{code}/again")
def print_label_again(code: str) -> dict[str, int]:
    return {"printed": printer.print_label(code)}


def sorted_codes(codes: list[str]) -> list[str]:
    """In the order of the depot's own program."""
    done = subprocess.run(
        ["sort", "-r"], input="\n".join(codes), capture_output=True, text=True, check=True
    )  # finding: blocking-call
    return done.stdout.split()


@router.post("/rounds/sort")
async def sort_round(codes: list[str]) -> list[str]:
    return sorted_codes(codes)


@router.post("/rounds/order")
async def order_round(codes: list[str]) -> list[str]:
    return await asyncio.to_thread(sorted_codes, codes)


def last_line(file: Path) -> str:
    content = file.read_bytes()  # finding: blocking-call
    return content[-120:].decode().splitlines()[-1]


@router.get("/tariffs/{year}/latest")
async def latest_tariff(year: int, opened: Open) -> dict[str, str]:
    return {"tariff": last_line(opened.tariffs / f"{year}.csv")}


@router.get("/tariffs/{year}/newest")
async def newest_tariff(year: int, opened: Open) -> dict[str, str]:
    return {"tariff": await asyncio.to_thread(last_line, opened.tariffs / f"{year}.csv")}


def about(file: Path) -> dict[str, str]:
    lines = file.read_text().splitlines()
    return {name: value for name, _, value in (line.partition(" = ") for line in lines)}


@router.get("/about")
async def show_about(opened: Open) -> dict[str, str]:
    return about(opened.tariffs / "about.ini")


def next_job(redis: Any, queue: str) -> str | None:
    """Waits a little for work."""
    found = redis.blpop([queue], timeout=0.012)  # finding: blocking-call
    return found[1].decode() if found else None


@router.post("/queues/{queue}/next")
async def take_job(queue: str, opened: Open) -> dict[str, str | None]:
    return {"job": next_job(opened.redis, queue)}


@router.post("/queues/{queue}/take")
def take_job_in_thread(queue: str, opened: Open) -> dict[str, str | None]:
    return {"job": next_job(opened.redis, queue)}
