"""Answers that are computed once for many, and kept for a while."""
