"""What unslow costs, and the scripts behind every number that decides something."""
