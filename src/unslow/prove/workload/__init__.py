"""What a check sends: read from the user's files, or made from the description of the API."""
