"""A training job's way from boot to exit: fetch, launch, deliver, whatever happens.

The story is in :mod:`bootstrap.lifecycle`, the vocabulary in :mod:`bootstrap.job`.
"""

__version__ = "0.1.0"
