"""The failure bundle: what is in it, how large it may be, what may not be in it."""
