"""One file an engine: its plan, as values."""
