"""A stop: the signals that ask for it, the plan of its seconds, and what the command is told."""
