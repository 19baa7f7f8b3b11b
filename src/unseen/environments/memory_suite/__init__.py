"""The memory suite: thirteen tasks with levels to train on and levels held out, compact and first-person."""
