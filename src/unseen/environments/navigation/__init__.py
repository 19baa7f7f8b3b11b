"""Navigation under partial observability: heaven-hell, shopping, car-flag and cleaner."""

from unseen._lazy import lazy

_HOMES = {
    "HeavenHell": "unseen.environments.navigation.heavenhell",
    "Shopping": "unseen.environments.navigation.shopping",
    "CarFlag": "unseen.environments.navigation.carflag",
    "Cleaner": "unseen.environments.navigation.cleaner",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
