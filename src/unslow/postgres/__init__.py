"""What unslow knows of PostgreSQL: a server of its own, and the only door to the user's."""
