"""By what a fetch verifies the bytes that come: what can be compared, how it is computed, how much of it is."""
