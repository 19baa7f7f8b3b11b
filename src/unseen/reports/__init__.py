"""Figures, tables and the self-contained HTML report."""

from unseen._lazy import lazy

_HOMES = {
    "Page": "unseen.reports.page",
    "write": "unseen.reports.page",
    "report": "unseen.reports.page",
    "Text": "unseen.reports.blocks",
    "Table": "unseen.reports.blocks",
    "Figure": "unseen.reports.blocks",
    "Pictures": "unseen.reports.blocks",
    "Player": "unseen.reports.blocks",
    "Code": "unseen.reports.blocks",
    "Details": "unseen.reports.blocks",
    "Section": "unseen.reports.blocks",
    "RunSummary": "unseen.reports.summary",
    "summarise": "unseen.reports.summary",
    "Interval": "unseen.reports.statistics",
    "interquartile_mean": "unseen.reports.statistics",
    "stratified_bootstrap": "unseen.reports.statistics",
    "probability_of_improvement": "unseen.reports.statistics",
    "area_under_curve": "unseen.reports.statistics",
    "performance_profile": "unseen.reports.statistics",
    "learning_curves": "unseen.reports.curves",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
