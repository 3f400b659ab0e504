"""What this machine gives to a process, and takes from it."""
