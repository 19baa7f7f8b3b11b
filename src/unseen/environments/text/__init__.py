"""Environments in words: an observation is a text, an action is one of the environment's words."""

from unseen._lazy import lazy

_HOMES = {
    "make": "unseen.environments.text.registry",
    "names": "unseen.environments.text.registry",
    "register": "unseen.environments.text.registry",
    "TextEnvironment": "unseen.environments.text.contract",
    "TextObservation": "unseen.environments.text.contract",
    "TextStep": "unseen.environments.text.contract",
    "GraphSearch": "unseen.environments.text.graph_search",
    "Crafter": "unseen.environments.text.crafter",
    "GymnasiumText": "unseen.environments.text.gymnasium",
    "GymnasiumTurn": "unseen.environments.text.gymnasium",
    "minigrid_text": "unseen.environments.text.minigrid",
    "check_text_environment": "unseen.environments.text.check",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
