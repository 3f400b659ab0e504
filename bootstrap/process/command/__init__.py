"""From the argv that we were given to what is executed, and its environment."""
