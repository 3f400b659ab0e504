"""From local files to a store."""
