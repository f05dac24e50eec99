"""The route planner and its neighbours: `httpx`."""

import asyncio
from typing import Any

import httpx


class RoutePlanner:
    """Speaks to the planner through a client that never gives up."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def kilometres(self, code: str) -> int:
        answer = await self._client.get(f"/routes/{code}")  # finding: missing-timeout
        return int(answer.json()["value"])


class Partners:
    """The services of partners, through one client for all."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def number(self, path: str) -> int:
        answer = await self.client.get(path)  # touched: held-connection
        answer.raise_for_status()
        return int(answer.json()["value"])

    async def position(self, code: str) -> int:
        return await self.number(f"/positions/{code}")

    async def arrival(self, code: str) -> int:
        return await self.number(f"/carriers/{code}/arrival")

    async def traffic(self, city: str) -> int:
        return await self.number(f"/traffic/{city}")

    async def weather(self, city: str) -> int:
        return await self.number(f"/weather/{city}")

    async def holidays(self, city: str) -> int:
        return await self.number(f"/holidays/{city}")

    async def check(self, code: str) -> bool:
        answer = await self.client.get(f"/sanctions/{code}")  # finding: repeated-remote-call
        return int(answer.json()["value"]) > 20

    async def check_all(self, codes: list[str]) -> dict[str, bool]:
        answer = await self.client.post("/batch/sanctions", json=codes)
        return {each["id"]: each["value"] > 20 for each in answer.json()}

    async def wait_for_booking(self, booking_id: int) -> str:
        """Asks until the partner has booked."""
        for _ in range(20):
            answer = (await self.client.get(f"/jobs/{booking_id}")).json()
            if answer["status"] == "done":
                return "booked"
            await asyncio.sleep(0.005)
        return "open"

    async def label(self, booking_id: int) -> int:
        """The label's number; the partner often needs a second try."""
        for _ in range(3):
            answer = await self.client.get(f"/flaky/{booking_id}")
            if answer.status_code == 200:
                return int(answer.json()["value"])
        return 0

    async def tariff_of(self, code: str) -> int:
        return await self.number(f"/tariffs/{code}")

    async def price_of(self, tariff: int, grams: int) -> int:
        return await self.number(f"/prices/{tariff}/{grams}")

    async def insure(self, code: str, cents: int) -> int:
        answer = await self.client.post("/insurances", json={"code": code, "cents": cents})
        return int(answer.json()["value"])

    async def count_view(self, code: str) -> None:
        viewed: dict[str, Any] = {"name": "viewed", "code": code}
        await self.client.post("/events", json=viewed)  # finding: side-effect-in-request


async def cheapest(address: str, carrier: str) -> int:
    async with httpx.AsyncClient(base_url=address, timeout=5, trust_env=False) as client:
        answer = await client.get(f"/carriers/{carrier}/quote")  # finding: client-per-request
        return int(answer.json()["value"])
