"""Agents: encoder, memory, heads; critics; nothing about learning."""

from unseen._lazy import lazy

_SETTINGS = "unseen.agents.settings"
_HOMES = dict.fromkeys(("Agent", "Critic", "FeedForward", "GRU", "LSTM", "LRU", "MEM", "Memax"), _SETTINGS) | {
    "build": "unseen.agents.build",
    "ActorCritic": "unseen.agents.build",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
