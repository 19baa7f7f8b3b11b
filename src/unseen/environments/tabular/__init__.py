"""POMDPs as tables: the `.pomdp` file reader and writer, exact tools, and any of them as an environment."""

from unseen._lazy import lazy

_ROOM = "unseen.environments.tabular"
_HOMES = {
    "TabularPOMDP": f"{_ROOM}.pomdp",
    "read_pomdp": f"{_ROOM}.reader",
    "parse_pomdp": f"{_ROOM}.reader",
    "write_pomdp": f"{_ROOM}.writer",
    "format_pomdp": f"{_ROOM}.writer",
    "tiger": f"{_ROOM}.problems",
    "heavenhell": f"{_ROOM}.problems",
    "shopping": f"{_ROOM}.problems",
    "table_of": f"{_ROOM}.problems",
    "belief_update": f"{_ROOM}.belief",
    "observation_probabilities": f"{_ROOM}.belief",
    "value_iteration": f"{_ROOM}.upper",
    "qmdp": f"{_ROOM}.upper",
    "fast_informed_bound": f"{_ROOM}.upper",
    "solve": f"{_ROOM}.bounds",
    "bounds_within": f"{_ROOM}.within",
    "AlphaVectorPolicy": f"{_ROOM}.policy",
    "random_value": f"{_ROOM}.finite_horizon",
    "optimal_mdp_value": f"{_ROOM}.finite_horizon",
    "TabularMDP": f"{_ROOM}.mdp",
    "taxi": f"{_ROOM}.toys",
    "frozen_lake": f"{_ROOM}.toys",
    "TabularEnvironment": f"{_ROOM}.environment",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
