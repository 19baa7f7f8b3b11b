"""Agents: encoder, memory, heads; critics; nothing about learning."""

from unseen._lazy import lazy

_SETTINGS = "unseen.agents.settings"
_HOMES = dict.fromkeys(("Agent", "Critic", "FeedForward", "GRU", "LSTM", "LRU", "GTrXL", "MEM", "Memax"), _SETTINGS) | {
    "build": "unseen.agents.build",
    "ActorCritic": "unseen.agents.build",
    "matched": "unseen.agents.counting",
    "memory_parameters": "unseen.agents.counting",
    "parameters": "unseen.agents.counting",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
