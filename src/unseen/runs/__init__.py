"""How anything long survives: run directory, metrics, checkpoints, resume. Arrays and JSON only, never code."""

from unseen._lazy import lazy

_HOMES = {
    "checkpoints": "",
    "directory": "",
    "metrics": "",
    "sinks": "",
    "sources": "",
    "versions": "",
    "Checkpoint": "unseen.runs.checkpoints",
    "CheckpointError": "unseen.runs.tensors",
    "DiskFull": "unseen.runs.files",
    "MetricsWriter": "unseen.runs.metrics",
    "RunDirectory": "unseen.runs.directory",
    "Sink": "unseen.runs.sinks",
    "open_sinks": "unseen.runs.sinks",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
