"""Depots, quotes and what the desk asks the partners for."""

import asyncio
from typing import Any

import requests
from fastapi import APIRouter
from pydantic import BaseModel

from .gateways.routing import Partners, cheapest
from .gateways.weather import jam_level
from .opened import Open

router = APIRouter()
PATIENCE_S = 5


class Manifest(BaseModel):
    codes: list[str]


@router.get("/depots/{depot_id}/storm")
async def storm(depot_id: int, opened: Open) -> dict[str, int]:
    return {"level": await opened.weather.storm_level(depot_id)}


@router.get("/depots/{depot_id}/rain")
async def rain(depot_id: int, opened: Open) -> dict[str, int]:
    return {"level": await opened.weather.rain_level(depot_id)}


@router.get("/depots/{depot_id}/jam")
async def jam(depot_id: int, opened: Open) -> dict[str, int]:
    return {"level": await jam_level(opened.address, depot_id)}


@router.get("/depots/{depot_id}/situation")
async def situation(depot_id: int, opened: Open) -> dict[str, int]:
    return await situation_in(opened.partners, f"city-{depot_id}")


async def situation_in(partners: Partners, city: str) -> dict[str, int]:
    traffic = await partners.traffic(city)
    weather = await partners.weather(city)  # finding: serial-awaits
    holidays = await partners.holidays(city)  # finding: serial-awaits
    return {"traffic": traffic, "weather": weather, "holidays": holidays}


@router.get("/depots/{depot_id}/briefing")
async def briefing(depot_id: int, opened: Open) -> dict[str, int]:
    city = f"city-{depot_id}"
    async with asyncio.TaskGroup() as group:
        traffic = group.create_task(opened.partners.traffic(city))
        weather = group.create_task(opened.partners.weather(city))
        holidays = group.create_task(opened.partners.holidays(city))
    return {
        "traffic": traffic.result(),
        "weather": weather.result(),
        "holidays": holidays.result(),
    }


@router.get("/quotes/{carrier}")
async def quote(carrier: str, opened: Open) -> dict[str, int]:
    return {"cents": await cheapest(opened.address, carrier)}


@router.get("/offers/{carrier}")
async def offer(carrier: str, opened: Open) -> dict[str, int]:
    return {"cents": await opened.partners.number(f"/carriers/{carrier}/quote")}


@router.get("/postcodes/{postcode}")
def postcode_of(postcode: str, opened: Open) -> dict[str, Any]:
    address = f"{opened.address}/postcodes/{postcode}"
    answer = requests.get(address, timeout=PATIENCE_S)  # finding: client-per-request
    return {"postcode": postcode, "zone": answer.json()["value"]}


@router.post("/manifests/check")
async def check_manifest(manifest: Manifest, opened: Open) -> dict[str, bool]:
    return {code: await opened.partners.check(code) for code in manifest.codes}


@router.post("/manifests/verify")
async def verify_manifest(manifest: Manifest, opened: Open) -> dict[str, bool]:
    return await opened.partners.check_all(manifest.codes)


@router.post("/manifests/weigh")
def weigh_manifest(manifest: Manifest, opened: Open) -> dict[str, int]:
    return {"grams": sum(opened.customs.weigh(code) for code in manifest.codes)}


@router.post("/bookings/{booking_id}/wait")
async def wait_for_booking(booking_id: int, opened: Open) -> dict[str, str]:
    return {"state": await opened.partners.wait_for_booking(booking_id)}


@router.get("/bookings/{booking_id}/label")
async def label_of_booking(booking_id: int, opened: Open) -> dict[str, int]:
    return {"label": await opened.partners.label(booking_id)}
