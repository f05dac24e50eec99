"""Judges what was recorded: rules go from traces to findings, and touch nothing else."""
