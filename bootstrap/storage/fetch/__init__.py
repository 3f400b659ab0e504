"""From a store to local files."""
