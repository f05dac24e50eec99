"""Fixes as the tool plans and writes them: one file for each, named as the fix is."""
