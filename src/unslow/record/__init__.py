"""Recording: from the running app to receipts. Standard library only."""
