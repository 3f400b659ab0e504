"""What knows no room of ours and that every room may use: one way to wait, to write all, to open our own files."""
