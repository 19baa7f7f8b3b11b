"""From a table of treatments to a decision: what would chemotherapy, radiation or both have brought, and for whom?

The table is simulated, so that the answer can be compared with the truth; everything before the last step would be the same with
a table of your own.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from unseen.data import check_table
from unseen.experiments.logged import logged
from unseen.outcomes import DRQLearner, Transitions, recommend

log = logged("tumour", 1_500, seed=1, coef=4.0, epsilon_b=0.3)
log.table.drop("propensity").write_parquet("treatments.parquet")

# 1. What is in the table?
columns = {
    "id": "id",
    "time": "time",
    "state": ["log_volume", "concentration", "alpha", "rho", "beta_c"],
    "action": "action",
    "reward": "reward",
    "terminated": "terminated",
}
print(pl.read_parquet("treatments.parquet"))
print(check_table("treatments.parquet", **columns), "\n")
data = Transitions.from_table("treatments.parquet", **columns)

# 2. Judge a rule: treat by size, mostly.
learner = DRQLearner(discount=0.9, features="splines").fit(data, log.policy)
value = learner.value()
print(f"the rule is worth {value.estimate:.2f}, 95 % interval {value.interval()[0]:.2f} to {value.interval()[1]:.2f}")
print(f"verdict: {learner.diagnostics.verdict}\n")

# 3. What would one action bring instead of another, for small, middling and large tumours?
by_size = {
    "below 2 cm": lambda states: diameter(states) < 2,
    "2 to 4 cm": lambda states: (diameter(states) >= 2) & (diameter(states) < 4),
    "4 cm or more": lambda states: diameter(states) >= 4,
}


def diameter(states):
    """In centimetres, of a ball of that volume."""
    return 2 * (3 * np.exp(states["log_volume"].to_numpy()) / (4 * np.pi)) ** (1 / 3)


both = learner.contrast(by_size, "both", "none")
print(both.table().select("name", "estimate", "low", "high"))

# 4. A recommendation, or none where the data do not say.
advice = recommend(learner, by_size)
print(advice.table())

# 5. The truth, which only a simulator knows.
known, error = log.truth_value()
print(f"\nthe rule is truly worth {known:.2f} (standard error {error:.2f})")
rng = np.random.default_rng(0)
states = data.decode_states(data.states)
for name, inside in by_size.items():
    gains = []
    for k in range(20):  # batches of patients and of chance: within one, all patients meet the same chance
        chance = replace(log.truth, rollouts=400, seed=k)
        some = states[rng.choice(np.flatnonzero(inside(states)), 20, replace=False).tolist()]
        gains.append((chance.q(some, "both")[0] - chance.q(some, "none")[0]).mean())
    print(f"{name}: both instead of none truly brings {np.mean(gains):.2f} (standard error {np.std(gains, ddof=1) / 20**0.5:.2f})")
