"""What `make` runs beside the tools that others make."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
