"""A public library: FastAPI with SQL by hand, over psycopg and SQLAlchemy Core."""
