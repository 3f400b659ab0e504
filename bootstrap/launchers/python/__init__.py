"""The command's Python: environments without a shell, and the code's requirements."""
