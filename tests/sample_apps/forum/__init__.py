"""A forum: FastAPI with SQL by hand, over asyncpg."""
