"""Simulated patients with known truth: sepsis as a table."""

from unseen._lazy import lazy

_HOMES = {"sepsis": "unseen.environments.clinical.sepsis_table"}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
