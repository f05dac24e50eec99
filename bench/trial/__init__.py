"""The detection trial: endpoints with one known fault, or with none, put before two tools."""
