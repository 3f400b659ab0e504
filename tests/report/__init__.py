"""The page of a run: what it shows, and that nothing in it can do anything else."""
