"""The seven steps, a file each. A step takes values and gives values; :mod:`bootstrap.lifecycle` is their order."""
