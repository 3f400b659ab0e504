"""One life of the command after the other: started, watched, ended, reaped."""
