"""The words of storage: a URL, an entry, what every store can do. No I/O."""
