"""Samples of the machine: what is read, what it costs, what a driver that hangs may not do."""
