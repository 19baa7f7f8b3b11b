"""Navigation under partial observability: heaven-hell, shopping, car-flag, cleaner and memory-four-rooms."""

from unseen._lazy import lazy

_HOMES = {
    "HeavenHell": "unseen.environments.navigation.heavenhell",
    "Shopping": "unseen.environments.navigation.shopping",
    "CarFlag": "unseen.environments.navigation.carflag",
    "Cleaner": "unseen.environments.navigation.cleaner",
    "MemoryFourRooms": "unseen.environments.navigation.four_rooms",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
