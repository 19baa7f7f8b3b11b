"""Simulated patients with known truth: sepsis as a table, a tumour to be dosed."""

from unseen._lazy import lazy

_HOMES = {
    "sepsis": "unseen.environments.clinical.sepsis_table",
    "Tumour": "unseen.environments.clinical.tumour",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
