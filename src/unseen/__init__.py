"""unseen: reinforcement learning for what the agent cannot see."""

from unseen._lazy import lazy

__version__ = "0.1.0"

_HOMES = {
    "UserError": "unseen.errors",
    "make": "unseen.environments.registry",
    "environments": "",
    "data": "",
    "agents": "",
    "learning": "",
    "signals": "",
    "outcomes": "",
    "runs": "",
    "experiments": "",
    "reports": "",
    "Agent": "unseen.agents.settings",
    "Critic": "unseen.agents.settings",
    "GRU": "unseen.agents.settings",
    "LSTM": "unseen.agents.settings",
    "LRU": "unseen.agents.settings",
    "MEM": "unseen.agents.settings",
    "FeedForward": "unseen.agents.settings",
    "Memax": "unseen.agents.settings",
    "GTrXL": "unseen.agents.settings",
    "Residual": "unseen.agents.settings",
    "CPC": "unseen.agents.settings",
    "Reconstruction": "unseen.agents.settings",
    "A2C": "unseen.learning.settings",
    "PPO": "unseen.learning.settings",
    "VTrace": "unseen.learning.settings",
    "Experiment": "unseen.experiments.settings",
    "train": "unseen.experiments.train",
    "load": "unseen.experiments.run",
    "report": "unseen.reports.page",
    "Episodes": "unseen.data.episodes",
    "Transitions": "unseen.data.transitions",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)

from unseen.environments.adapters.registration import register_on_import  # noqa: E402

register_on_import()  # gymnasium.make("unseen/NAME"); imports neither Gymnasium nor JAX
