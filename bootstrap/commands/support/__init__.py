"""What several subcommands share: the parser and its help, completion, where we are, the way to the stores, a log."""
