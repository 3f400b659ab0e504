"""One fetch for all nodes of a job: each brings its share from the store, and the rest from the other nodes."""
