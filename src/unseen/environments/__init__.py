"""Environments: what can be seen, and what is hidden. `unseen.make(name)` builds one; `names()` lists them."""

from unseen._lazy import lazy

_HOMES = {
    "Environment": "unseen.environments.contract",
    "Step": "unseen.environments.contract",
    "References": "unseen.environments.contract",
    "Score": "unseen.environments.contract",
    "make": "unseen.environments.registry",
    "names": "unseen.environments.registry",
    "register": "unseen.environments.registry",
    "NoisySignals": "unseen.environments.noisy",
    "check_environment": "unseen.environments.check",
    "tabular": "",
    "navigation": "",
    "adapters": "",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
