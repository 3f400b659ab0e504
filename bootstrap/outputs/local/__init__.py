"""What an output directory holds: which files are whole, and which of them are a checkpoint together."""
