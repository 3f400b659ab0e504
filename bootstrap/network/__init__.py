"""How this node reaches the others: its interface, their names and addresses, and the words they exchange."""
