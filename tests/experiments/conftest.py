"""Tests share `small.py`, and keep compiled programs away from the user's cache."""

import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
os.environ.setdefault("UNSEEN_CACHE", os.path.join(tempfile.gettempdir(), "unseen-test-cache"))
