"""The services of others, each with the client that its team chose."""
