"""What flows between the packages: frozen data, nothing else."""
