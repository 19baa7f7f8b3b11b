"""Which privileged signal is worth telling a critic: two criteria, a search over sets of signals, and a test for leaks."""

from unseen._lazy import lazy

_HOMES = {
    "rank": "unseen.signals.procedure",
    "leak_test": "unseen.signals.leaks",
    "record": "unseen.signals.play",
    "Recording": "unseen.signals.play",
    "Ranking": "unseen.signals.ranking",
    "Residual": "unseen.signals.residual",
    "Prediction": "unseen.signals.prediction",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
