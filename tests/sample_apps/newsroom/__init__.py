"""A newspaper: FastAPI, and mostly about what the answers look like."""
