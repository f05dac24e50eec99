"""Leads: people who may become customers."""

from typing import Any

import httpx
from fastapi import APIRouter, HTTPException
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import Lead
from ..schemas import LeadIn, LeadOut
from ..services import REMOTE_TIMEOUT_S, AsyncDatabaseSession, DatabaseSession, OpenServices

router = APIRouter(prefix="/leads", tags=["leads"])


@router.post("", status_code=201, response_model=LeadOut)
async def create_lead(lead_in: LeadIn, session: AsyncDatabaseSession) -> Lead:
    """Stores what a visitor typed into the contact form."""
    lead = Lead(**lead_in.model_dump())
    session.add(lead)
    await session.commit()
    return lead


@router.get("/{lead_id}", response_model=LeadOut)
def get_lead(lead_id: int, session: DatabaseSession) -> Lead:
    """One lead by key."""
    lead = session.get(Lead, lead_id)
    if lead is None:
        raise HTTPException(404, "No such lead")
    return lead


@router.get("/{lead_id}/score")
async def score_lead(
    lead_id: int, session: AsyncDatabaseSession, services: OpenServices
) -> dict[str, Any]:
    """How promising a lead is, by the scoring service."""
    lead = await session.get(Lead, lead_id)
    if lead is None:
        raise HTTPException(404, "No such lead")
    answer = await services.remote.get(f"/score/{lead.id}")
    return {"lead_id": lead.id, "company": lead.company, "score": answer.json()["value"]}


@router.get("/{lead_id}/company")
async def get_lead_company(lead_id: int, services: OpenServices) -> dict[str, Any]:
    """What the company register knows about a lead's company."""
    async with AsyncSession(services.async_engine) as session:
        lead = await session.get(Lead, lead_id)
    if lead is None:
        raise HTTPException(404, "No such lead")
    async with httpx.AsyncClient(
        base_url=services.stub_url, timeout=REMOTE_TIMEOUT_S, trust_env=False
    ) as client:
        answer = await client.get(f"/companies/{lead.id}")
    return {"lead_id": lead.id, "company": lead.company, "employees": answer.json()["value"]}
