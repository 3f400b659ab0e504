"""A job rehearsed before it is paid for: its job file checked, its nodes played by processes of one machine."""
