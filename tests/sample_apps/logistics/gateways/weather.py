"""Weather and roads: `aiohttp`."""

import aiohttp

PATIENCE = aiohttp.ClientTimeout(total=5)


class WeatherService:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def storm_level(self, depot_id: int) -> int:
        async with self._session.get(f"/weather/{depot_id}") as answer:  # finding: missing-timeout
            return int((await answer.json())["value"])

    async def rain_level(self, depot_id: int) -> int:
        async with self._session.get(f"/weather/{depot_id}/rain", timeout=PATIENCE) as answer:
            return int((await answer.json())["value"])


async def jam_level(address: str, depot_id: int) -> int:
    asked = f"{address}/traffic/{depot_id}"
    session = aiohttp.ClientSession(timeout=PATIENCE)
    async with session, session.get(asked) as answer:  # finding: client-per-request
        return int((await answer.json())["value"])
