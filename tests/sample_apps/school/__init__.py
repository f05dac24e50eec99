"""A school: Starlette with class-based endpoints and Jinja2 pages."""
