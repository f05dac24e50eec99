"""A carrier: FastAPI that mostly speaks to other services."""
