"""What the commands do beyond calling the Python API."""
