"""The seven steps, a file each; `preflight` is a part of connect, `evidence` and `explaining` are parts of the end.

A step takes values and gives values; :mod:`bootstrap.lifecycle` is their order.
"""
