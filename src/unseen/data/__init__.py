"""The one form every recording takes: `Episodes`, and `Transitions`, its one-step view for estimators."""

from unseen._lazy import lazy

_HOMES = {
    "Episode": "unseen.data.episodes",
    "Episodes": "unseen.data.episodes",
    "Finding": "unseen.data.findings",
    "Findings": "unseen.data.findings",
    "check_table": "unseen.data.findings",
    "Ragged": "unseen.data.columns",
    "Schema": "unseen.data.schema",
    "StateColumn": "unseen.data.schema",
    "Transitions": "unseen.data.transitions",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
