"""A bank: FastAPI with several engines and pools, and many users at once."""
