"""The fast path: plain sockets and HTTP/1.1 for the requests of a transfer. See README.md beside this file."""
