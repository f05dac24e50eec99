"""A clinic: FastAPI with synchronous SQLAlchemy, in worker threads."""
