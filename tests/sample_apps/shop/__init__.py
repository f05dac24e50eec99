"""An online shop: FastAPI with async SQLAlchemy, routers, services and repositories."""
