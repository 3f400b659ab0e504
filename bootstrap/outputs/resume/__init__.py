"""The next attempt goes on: the newest complete checkpoint, and the run's other files, back to where they were."""
