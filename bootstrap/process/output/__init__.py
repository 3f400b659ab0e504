"""The command's bytes: the pump that copies them to the console and to the log file."""
