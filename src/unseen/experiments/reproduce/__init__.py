"""Published experiments, run again: what is trained at which scale, resumably, and the figures that come out as plain data."""
