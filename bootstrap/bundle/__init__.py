"""The failure bundle: all that explains an end, in one small archive that can be passed on.

- :mod:`.state` what the machine says of itself now: disks, network, memory, limits, accelerators;
- :mod:`.pack` texts and the ends of files -> one ``.tar.gz``, bounded and masked.
"""
