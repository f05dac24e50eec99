"""Whether the app is up."""

from fastapi import APIRouter

router = APIRouter(tags=["health"])


@router.get("/health")
async def get_health() -> dict[str, str]:
    """Says that the process answers."""
    return {"status": "ok"}
