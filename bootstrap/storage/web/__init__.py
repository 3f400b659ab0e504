"""``https://`` and ``http://``: one file of a web server, over connections that are kept."""
