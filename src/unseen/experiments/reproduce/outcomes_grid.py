"""What `reproduce outcomes` estimates: tasks, sweeps, methods, nuisances, and three scales.

Of the DRQ-learner's paper only its abstract and second-hand notes could be read. Taken from the notes: Taxi and Frozen Lake, both policies
epsilon-greedy, n from 2,000 to 6,000, effective horizons from 3 to 20, overlap by the evaluation policy's epsilon, saturated and linear
second stages, four methods, the relative squared error. Not found there, and ours: epsilon of the behaviour policy (a fourth sweep; 0.8
elsewhere, near-uniform but reaching the goals), the greedy base (the best policy at the setting's own discount), transitions as the unit
of n, slippery ice, the linear features, folds, everything about Taxi's variants, and all methods but those four.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from unseen.errors import unknown

Family = Literal["saturated", "linear", "network", "trees", "value"]
TRUTH = "truth"  # an option that stands for what is really so
QREG, FITTED, MINIMAX, DRQ = "Q-regression", "FQE", "MQL", "DRQ"
FOUR = (QREG, FITTED, MINIMAX, DRQ)  # the published methods, second hand
NO_SPLIT, RAW, TRUE_RATIOS, ALL_TRUE = "DRQ, no splitting", "DRQ, raw weights", "DRQ, true ratios", "DRQ, all true"
NEAREST = "nearest in the class"  # to the true Q, over all pairs: a floor


@dataclass(frozen=True)
class Setting:
    """One data set's size and policies.

    Attributes:
        n: transitions; of the tumour, patients.
        horizon: h = 1 / (1 - discount).
        epsilon_e: of the evaluation policy, around the best action; small: little overlap.
        epsilon_b: of the behaviour policy, around the same action.
    """

    n: int = 4_000
    horizon: int = 10
    epsilon_e: float = 0.3
    epsilon_b: float = 0.8

    @property
    def discount(self) -> float:
        """gamma = 1 - 1 / h."""
        return 1 - 1 / self.horizon

    @property
    def name(self) -> str:
        """Of its files."""
        return f"n{self.n}-h{self.horizon}-e{self.epsilon_e:g}-b{self.epsilon_b:g}"


SWEEPS: Mapping[str, tuple[Any, ...]] = {
    "n": (2_000, 3_000, 4_000, 5_000, 6_000),
    "horizon": (3, 5, 10, 20),
    "epsilon_e": (0.1, 0.3, 0.5, 0.7, 0.9),
    "epsilon_b": (0.5, 0.8, 1.0),
}


@dataclass(frozen=True)
class Method:
    """One learner with its options.

    Attributes:
        label: as the report calls it; once in each family.
        family: class of the second stage, or "value" for what estimates nothing else.
        learner: its name in `unseen.outcomes`.
        options: of the learner; `TRUTH` stands for the true nuisance.
    """

    label: str
    family: Family
    learner: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique among all."""
        return f"{self.family}: {self.label}"


def _saturated() -> Iterator[Method]:
    known = {"ratio": TRUTH, "behaviour": TRUTH}
    for label, learner, options in (
        (QREG, "QRegression", {"model": "tabular"}),
        (FITTED, "FQE", {"model": "tabular"}),
        (MINIMAX, "MQL", {"model": "tabular"}),
        ("model-based", "ModelBased", {}),
        ("pointwise debiasing", "PointwiseDebias", {"folds": 5}),
        (DRQ, "DRQLearner", {}),
        (RAW, "DRQLearner", {"self_normalised": False}),
        (NO_SPLIT, "DRQLearner", {"folds": 1}),
        (TRUE_RATIOS, "DRQLearner", known),
        (ALL_TRUE, "DRQLearner", known | {"initial_q": TRUTH}),
    ):
        yield Method(label, "saturated", learner, options)


def _linear() -> Iterator[Method]:
    known = {"ratio": TRUTH, "behaviour": TRUTH}
    for label, learner, options in (
        (QREG, "QRegression", {"model": "linear"}),
        (FITTED, "FQE", {"model": "linear"}),
        (MINIMAX, "MQL", {"model": "linear", "landmarks": 500}),
        (DRQ, "DRQLearner", {"initial_q": "linear"}),
        ("DRQ, saturated Q1", "DRQLearner", {"initial_q": "tabular"}),
        (RAW, "DRQLearner", {"initial_q": "linear", "self_normalised": False}),
        (NO_SPLIT, "DRQLearner", {"initial_q": "linear", "folds": 1}),
        (TRUE_RATIOS, "DRQLearner", {"initial_q": "linear"} | known),
        (ALL_TRUE, "DRQLearner", {"initial_q": TRUTH} | known),
        (NEAREST, "Nearest", {}),
    ):
        final = {"final": "linear"} if learner == "DRQLearner" else {}
        yield Method(label, "linear", learner, {"actions": "additive"} | final | options)


MAIN = (
    *_saturated(),
    *_linear(),
    Method("per-decision importance sampling", "value", "ImportanceSampling"),
    Method("the same, weighted", "value", "ImportanceSampling", {"method": "weighted-per-decision"}),
    Method("double reinforcement learning", "value", "DoubleReinforcementLearning"),
)
# Sweeps of fitted Q evaluation with trees never settle: 40 leave 1.5 % of the first error at h = 10.
_NETWORK, _TREES = {"folds": 2}, {"actions": "additive", "sweeps": 40}
NETWORKS = (
    Method(FITTED, "network", "FQE", {"model": "neural"}),
    Method(DRQ, "network", "DRQLearner", {"final": "neural", "initial_q": "neural"} | _NETWORK),
)
TREES = (
    Method(QREG, "trees", "QRegression", {"model": "trees", "actions": "additive"}),
    Method(FITTED, "trees", "FQE", {"model": "trees"} | _TREES),
    Method(DRQ, "trees", "DRQLearner", {"final": "lightgbm", "initial_q": "trees", "folds": 2} | _TREES),
    Method("DRQ, linear second stage", "trees", "DRQLearner", {"final": "linear", "initial_q": "trees", "folds": 2} | _TREES),
)

INITIAL: Mapping[str, Mapping[str, Any]] = {
    "zero": {"initial_q": "zero"},
    "1 sweep": {"initial_q": "tabular", "sweeps": 1},
    "3 sweeps": {"initial_q": "tabular", "sweeps": 3},
    "10 sweeps": {"initial_q": "tabular", "sweeps": 10},
    "converged": {"initial_q": "tabular"},
    "linear": {"initial_q": "linear"},
}
FOLDS = (1, 2, 5)
PLUG_IN = "Q1 itself"


def nuisance(initial: str, folds: int, *extra: str) -> str:
    """What a DRQ with these nuisances is called; `extra` of "raw weights", "smoothed", "policy-weighted rows"."""
    return ", ".join([f"Q1 {initial}", f"K={folds}", *extra])


def _nuisances() -> Iterator[Method]:
    stages: tuple[Family, ...] = ("saturated", "linear")
    for initial, options in INITIAL.items():
        if initial != "zero":
            fqe = {"model": options["initial_q"], "sweeps": options.get("sweeps"), "actions": "additive"}
            yield Method(nuisance(initial, 1, PLUG_IN), "linear" if initial == "linear" else "saturated", "FQE", fqe)
    extras: tuple[tuple[str, Mapping[str, Any], tuple[str, ...], tuple[int, ...]], ...] = (
        ("", {}, tuple(INITIAL), FOLDS),
        ("raw weights", {"self_normalised": False}, ("zero", "converged", "linear"), FOLDS),
        ("smoothed", {"smoothing": 1.0}, ("zero", "converged", "linear"), (1, 5)),
        ("policy-weighted rows", {"row_weight": "policy"}, ("zero", "converged", "linear"), (1, 5)),
    )
    for stage in stages:
        for extra, more, some, folds in extras:
            if extra == "policy-weighted rows" and stage == "saturated":
                continue  # cell by cell there is nothing to trade off
            for initial in some:
                for k in folds:
                    options = {"final": "tabular" if stage == "saturated" else "linear", "actions": "additive", "folds": k}
                    label = nuisance(initial, k, *([extra] if extra else []))
                    yield Method(label, stage, "DRQLearner", options | dict(INITIAL[initial]) | dict(more))


NUISANCES = tuple(_nuisances())
TOYS = {"taxi-125": "Taxi, destination fixed", "taxi-500": "Taxi", "frozen-lake": "Frozen Lake, slippery"}
SEPSIS = {
    "sepsis-full": "everything seen",
    "sepsis-no-diabetes": "diabetes hidden: confounding",
    "sepsis-no-glucose": "glucose hidden: aliasing",
}
# Of sepsis little is visited: no counted MQL (a matrix of all visited pairs); and no true nuisances where the state is not a state.
_NOT_OF_SEPSIS = {f"saturated: {MINIMAX}", f"linear: {NEAREST}"}
OF_SEPSIS = tuple(m for m in MAIN if TRUTH not in m.options.values() and m.name not in _NOT_OF_SEPSIS)
TUMOUR = {"tumour": "response observed", "tumour-type-only": "type observed only: not Markov"}


def _tumour() -> Iterator[Method]:
    estimated = {"behaviour": "logistic"}
    for label, learner, options in (
        (QREG, "QRegression", {"model": "linear"} | estimated),
        (FITTED, "FQE", {"model": "linear"}),
        (MINIMAX, "MQL", {"model": "linear", "landmarks": 500}),
        (DRQ, "DRQLearner", {"final": "linear"} | estimated),
        ("DRQ, logged probabilities", "DRQLearner", {"final": "linear"}),
        ("FQE, splines", "FQE", {"model": "linear", "features": "splines"}),
        ("DRQ, splines, logged probabilities", "DRQLearner", {"final": "linear", "features": "splines"}),
    ):
        yield Method(label, "linear", learner, options)
    yield Method("per-decision importance sampling", "value", "ImportanceSampling")
    yield Method("double reinforcement learning", "value", "DoubleReinforcementLearning", {"final": "linear"} | estimated)


def _estimated(methods: tuple[Method, ...]) -> tuple[Method, ...]:
    """The same with an estimated behaviour policy, and with a model of its own for every action."""
    more = {"FQE": {}, "QRegression": {"behaviour": "logistic"}, "DRQLearner": {"behaviour": "logistic"}}
    return tuple(replace(m, options=dict(m.options) | more[m.learner]) for m in methods)


GROUPS: Mapping[str, tuple[Method, ...]] = {
    "main": MAIN,
    "nuisances": NUISANCES,
    "networks": NETWORKS,
    "trees": TREES,
    "sepsis": OF_SEPSIS,
    "tumour": tuple(_tumour()),
    "tumour-networks": _estimated(NETWORKS),
    "tumour-trees": _estimated(TREES),
}
SLOW = ("networks", "trees")  # tens of seconds a data set instead of one
ASKED, ROLLOUTS = 100, 2_000  # days on which tumour estimates are compared with the truth; rollouts for each action on each
TUMOUR_SETTING = Setting(n=100, epsilon_e=0.3, epsilon_b=0.1)  # n patients of at most 60 days
SEPSIS_SETTING = Setting(n=10_000, horizon=10, epsilon_e=0.1, epsilon_b=0.5)


@dataclass(frozen=True)
class Cell:
    """One task at one setting with one group of methods.

    Attributes:
        task: a key of `TOYS`, `SEPSIS` or `TUMOUR`.
        setting: of the data.
        group: a key of `GROUPS`.
        methods: that are fitted on every data set.
        seeds: how many data sets.
    """

    task: str
    setting: Setting
    group: str
    methods: tuple[Method, ...]
    seeds: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.task}-{self.setting.name}-{self.group}"

    @property
    def settings(self) -> str:
        """Everything that its results depend on but the code and the number of seeds."""
        whole = {"task": self.task, "setting": asdict(self.setting), "methods": [asdict(m) for m in self.methods]}
        return json.dumps(whole, indent=1) + "\n"


@dataclass(frozen=True)
class Scale:
    """How much of it.

    Attributes:
        seeds: data sets of every cell of a group.
        minutes: after which no data set is begun; None: no limit.
        default: the setting from which one thing at a time departs.
        sweeps: name of a field -> its values; one of them may be the default's.
        toys, slow, sepsis, tumour: names of tasks; `slow` are those on which networks and trees are fitted.
        sepsis_n, tumour_n: transitions and patients.
    """

    seeds: Mapping[str, int]
    minutes: float | None
    default: Setting = Setting()
    sweeps: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: SWEEPS)
    toys: tuple[str, ...] = tuple(TOYS)
    slow: tuple[str, ...] = tuple(TOYS)
    sepsis: tuple[str, ...] = tuple(SEPSIS)
    tumour: tuple[str, ...] = tuple(TUMOUR)
    sepsis_n: int = SEPSIS_SETTING.n
    tumour_n: int = TUMOUR_SETTING.n

    def swept(self, name: str) -> dict[Any, Setting]:
        """Value -> setting along one sweep."""
        values = sorted({*self.sweeps.get(name, ()), getattr(self.default, name)})
        return {value: replace(self.default, **{name: value}) for value in values}

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All of them, the default first, each once."""
        swept = [setting for name in self.sweeps for setting in self.swept(name).values()]
        return tuple(dict.fromkeys([self.default, *swept]))


_MANY, _FEW = ("main", "nuisances", "sepsis"), ("networks", "trees", "tumour", "tumour-trees")
SCALES: dict[str, Scale] = {
    "smoke": Scale(
        dict.fromkeys(_MANY, 2) | dict.fromkeys(_FEW, 1),
        1.5,
        Setting(n=1_000),
        {"n": (500,), "horizon": (3,), "epsilon_e": (0.1, 0.9), "epsilon_b": (1.0,)},
        toys=("frozen-lake", "taxi-125"),
        slow=("frozen-lake",),
        tumour=("tumour",),
        sepsis_n=2_000,
        tumour_n=30,
    ),
    "laptop": Scale(dict.fromkeys(_MANY, 50) | {"networks": 5, "trees": 5, "tumour": 10, "tumour-networks": 3, "tumour-trees": 3}, 42.0),
    "paper": Scale(dict.fromkeys(GROUPS, 50), None),
}


def scale_named(name: str) -> Scale:
    """The scale called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    return SCALES[name]


def cells(scale: Scale) -> list[Cell]:
    """All cells, in the order of each round: the slow ones last, so that a run that is cut has the others."""
    sepsis, tumour = replace(SEPSIS_SETTING, n=scale.sepsis_n), replace(TUMOUR_SETTING, n=scale.tumour_n)
    found = [(task, setting, "main") for setting in scale.settings for task in scale.toys]
    found += [(task, scale.default, "nuisances") for task in scale.toys]
    found += [(task, sepsis, "sepsis") for task in scale.sepsis]
    found += [(task, scale.default, group) for group in SLOW for task in scale.slow]
    found += [(task, tumour, group) for group in ("tumour", "tumour-trees", "tumour-networks") for task in scale.tumour]
    return [Cell(task, setting, group, GROUPS[group], scale.seeds[group]) for task, setting, group in found if group in scale.seeds]
