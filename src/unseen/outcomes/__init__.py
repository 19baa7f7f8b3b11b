"""What would have happened: doubly robust estimates of individualized outcomes from logged decisions, with intervals and a verdict."""

from unseen._lazy import lazy

_ROOM = "unseen.outcomes"
_HOMES = {
    "Transitions": "unseen.data.transitions",
    "DRQLearner": f"{_ROOM}.drq",
    "FQE": f"{_ROOM}.fqe",
    "QRegression": f"{_ROOM}.q_regression",
    "MQL": f"{_ROOM}.mql",
    "ModelBased": f"{_ROOM}.model_based",
    "PointwiseDebias": f"{_ROOM}.pointwise",
    "ImportanceSampling": f"{_ROOM}.importance",
    "DoubleReinforcementLearning": f"{_ROOM}.double_rl",
    "Estimate": f"{_ROOM}.estimates",
    "load": f"{_ROOM}.persist",
    "compare": f"{_ROOM}.comparison",
    "Comparison": f"{_ROOM}.comparison",
    "recommend": f"{_ROOM}.recommendation",
    "Recommendations": f"{_ROOM}.recommendation",
    "value_of_recommendations": f"{_ROOM}.recommendation",
    "Diagnostics": f"{_ROOM}.diagnostics",
    "Verdict": f"{_ROOM}.verdict",
    "Uniform": f"{_ROOM}.policies",
    "Always": f"{_ROOM}.policies",
    "FromFunction": f"{_ROOM}.policies",
    "FromTable": f"{_ROOM}.policies",
    "FromClassifier": f"{_ROOM}.policies",
    "EpsilonGreedy": f"{_ROOM}.policies",
    "Softmax": f"{_ROOM}.policies",
    "Columns": f"{_ROOM}.policies",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
