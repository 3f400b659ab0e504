"""Outputs in the store: kept up to date while the job runs, checkpoints as a whole, and back for the next attempt."""
