"""Memory games after POPGym: five with cards, and a cart-pole that sees positions only."""

from unseen._lazy import lazy

_HOMES = {
    "HigherLower": "unseen.environments.cards.higher_lower",
    "RepeatFirst": "unseen.environments.cards.repeat_first",
    "RepeatPrevious": "unseen.environments.cards.repeat_previous",
    "CountRecall": "unseen.environments.cards.count_recall",
    "Concentration": "unseen.environments.cards.concentration",
    "PositionCartPole": "unseen.environments.cards.cartpole",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
