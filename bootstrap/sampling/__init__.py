"""What the machine does while the command runs: a sample every some seconds, a line of JSON each.

- :mod:`.background` the thread, which imports nothing before the command has run for a second;
- :mod:`.sampler` one sample after the other, at a pace that costs next to nothing;
- :mod:`.machine`, :mod:`.family` what is read: the machine, its limits; the command's processes;
- :mod:`.accelerators` what :mod:`.device_helper` says, a process of its own: a sick driver hangs who asks it;
- :mod:`.store` the file, which has a bound; :mod:`.reading` reads it again.

Counters are written as they are (bytes since the start of the machine, CPU seconds since that of the command), so that
a line that is left out costs detail and no truth: rates are what a reader makes of two lines.
"""
