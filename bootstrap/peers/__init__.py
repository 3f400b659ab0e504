"""The job's nodes: how they meet, by a port or through a store, and what they tell each other."""
