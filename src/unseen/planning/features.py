"""Numbers that an agent could read off what it sees, logged with its decisions: by environment."""

from __future__ import annotations

from collections.abc import Mapping

from unseen.environments.text.graph_search import GraphSearch
from unseen.planning.agent import Features


def graph_search_features(environment: GraphSearch) -> Mapping[str, float]:
    """ "target in sight": whether the target is among the nodes that are seen now."""
    now = environment.snapshot()
    return {"target in sight": float(now.search.visible[now.node] >> now.search.target & 1)}


def features_of(environment: str) -> Features | None:
    """The features of an environment, by its name; None: those of every agent only."""
    return graph_search_features if environment == "graph-search" else None
