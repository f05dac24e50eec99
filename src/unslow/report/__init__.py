"""Shows a report: as text in the terminal, live while an app runs, and as JSON."""
