"""Job -> argv and environment for this node: a file an engine. None of them starts the job itself."""
