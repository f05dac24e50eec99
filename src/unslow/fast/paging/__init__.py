"""Keyset pagination: cursors, their order, and pages."""
