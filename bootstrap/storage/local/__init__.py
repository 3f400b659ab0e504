"""Directories of this machine as stores, and how a file comes to be whole or not at all."""
