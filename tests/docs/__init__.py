"""Documentation: what it says is what the code does."""
