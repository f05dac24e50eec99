"""A gallery: FastAPI with compressed answers and an async ORM."""
