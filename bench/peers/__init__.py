"""The same four endpoints in several stacks, and what loads, checks and weighs them."""
