"""Learning: returns, losses, the batch loop, and the compiled collect-and-learn step."""

from unseen._lazy import lazy

_HOMES = {
    "A2C": "unseen.learning.settings",
    "PPO": "unseen.learning.settings",
    "VTrace": "unseen.learning.settings",
    "make_train": "unseen.learning.learner",
    "make_learner": "unseen.learning.learner",
    "returns": "",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
