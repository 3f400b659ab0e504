"""Where a run is told: the console, run.json, and the languages they speak."""
