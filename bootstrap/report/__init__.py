"""One page that shows a whole run: what ran, why it ended, what the machine did meanwhile, what was delivered.

- :mod:`.gather` what a log directory or a run dir holds -> :class:`.model.NodeRun`, a value a node, masked;
- :mod:`.outputs` the manifests of what was delivered;
- :mod:`.series` samples -> a few hundred numbers for each line of a plot;
- :mod:`.markup` text -> HTML, escaped by construction; :mod:`.words` what is said, in two languages;
- :mod:`.sections`, :mod:`.plots`, :mod:`.log_lines` the parts of the page; :mod:`.page` the whole, within a bound.

Plots are drawn by uPlot in the reader's browser (``assets/``): no package is needed where a job runs, the numbers are
a few kilobytes where pictures of them would be a hundred, and a reader can zoom.
"""
