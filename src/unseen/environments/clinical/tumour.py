"""Dosing a tumour: each day none, chemotherapy, radiotherapy or both, for a patient whose response may be hidden."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.environments import measured, options
from unseen.environments.contract import Params, References, Step

ACTIONS = ("none", "chemo", "radio", "both")  # number = chemo + 2 radio


def volume_of(diameter: Any) -> Any:
    """cm^3 of a ball, from its diameter in cm."""
    return 4 / 3 * math.pi * (diameter / 2) ** 3


def diameter_of(volume: Any) -> Any:
    """cm of a ball, from its volume in cm^3."""
    return 2 * (volume / (4 / 3 * math.pi)) ** (1 / 3)


# ---- the model as published: growth, doses, ends -----------------------------------------------------------------------

CELL = 1 / 5.8e8  # cm^3
MAX_DIAMETER = 13.0  # cm; a patient whose tumour grows beyond it dies
DEATH, CAPACITY = volume_of(MAX_DIAMETER), volume_of(30.0)
CHEMO, RADIO = 5.0, 2.0  # concentration added by a dose; Gy
NOISE = 0.01  # deviation of a day's growth; the public codes' comments say 5 %, their number is this
ALPHA_OVER_BETA = 10.0  # Gy

# ---- patients ----------------------------------------------------------------------------------------------------------

ALPHA, RHO, CORRELATION = (0.0398, 0.168), (7e-5, 7.23e-3), 0.87  # means and deviations before truncation; 1/Gy, 1/day
BETA_C = (0.028, 0.0007)
ALPHA_TYPE_1, BETA_C_TYPE_3 = 0.1 * ALPHA[0], 0.1 * BETA_C[0]  # what these types add
STAGES = {  # log-mean, log-deviation and limits of the diameter in cm; patients
    "I": (1.72, 4.70, 0.3, 5.0, 1432),
    "II": (1.96, 1.63, 0.3, 13.0, 128),
    "IIIA": (1.91, 9.40, 0.3, 13.0, 1306),
    "IIIB": (2.76, 6.87, 0.3, 13.0, 7248),
    "IV": (3.86, 8.82, 0.3, 13.0, 12840),
}

# ---- rewards: proposed, the sources have none --------------------------------------------------------------------------

CAP = 1.0  # most that a day's change in log volume counts
# Doses are worth their cost to some patients only: a course of chemotherapy takes 10 beta_c = 0.28 off the log volume in all, a day
# of radiotherapy 2.4 alpha, 0.38 in the median patient.
CHEMO_COST, RADIO_COST = 0.25, 0.4
PRIZE = 10.0  # at recovery; lost at death

ALIVE, RECOVERED, DEAD = 0, 1, 2
_UNITS = (10.0, 10.0, ALPHA[1], RHO[1], BETA_C_TYPE_3)  # of observations


class TumourState(NamedTuple):
    """A patient.

    Attributes:
        volume: of the tumour, cm^3; 0 after recovery.
        concentration: of chemotherapy left from the days before, 0 to 10.
        alpha, rho, beta_c: response to radiotherapy (1/Gy), growth (1/day), response to chemotherapy (1/concentration).
        kind: patient type 1, 2, 3 as 0, 1, 2.
        status: 0 alive, 1 recovered, 2 dead.
    """

    volume: Float[Array, ""]
    concentration: Float[Array, ""]
    alpha: Float[Array, ""]
    rho: Float[Array, ""]
    beta_c: Float[Array, ""]
    kind: Int[Array, ""]
    status: Int[Array, ""]


def log_volume(volume: Float[Array, "..."]) -> Float[Array, "..."]:
    """ln V, of at least one cell: finite after recovery too."""
    return jnp.log(jnp.maximum(volume, CELL))


def day(
    state: TumourState, action: Int[Array, ""], noise: Float[Array, ""], luck: Float[Array, ""]
) -> tuple[TumourState, Float[Array, ""], Bool[Array, ""]]:
    """One day: the patient after it, the reward, and whether the patient has recovered or died.

    C' = C / 2 + 5 chemo,  V' = max(0, V (1 + rho ln(K / V) - beta_c C' - (alpha d + beta d^2) + e)),  d = 2 radio, beta = alpha / 10;
    death where V' > V(13 cm), recovery where V' is below one cell or with probability exp(-5.8e8 V').

    Args:
        state: before; of a patient who has recovered or died nothing changes, for reward 0.
        action: 0 none, 1 chemo, 2 radio, 3 both.
        noise: e, normal with deviation 0.01.
        luck: uniform on [0, 1); the patient recovers where it lies below the probability.

    Source: Geng, Paganetti & Grassberger 2017, as in the public code of Lim et al. 2018 and Bica et al. 2020. V' >= 0 and the
    recovery below one cell are the specification's; the reward is its proposal.
    """
    chemo, radio = (action & 1).astype(jnp.float32), (action >> 1).astype(jnp.float32)
    concentration = state.concentration / 2 + CHEMO * chemo
    dose = RADIO * radio
    kill = state.alpha * dose + state.alpha / ALPHA_OVER_BETA * dose**2
    before = log_volume(state.volume)
    growth = state.rho * (math.log(CAPACITY) - before)
    volume = jnp.maximum(state.volume * (1 + growth - state.beta_c * concentration - kill + noise), 0.0)

    died = volume > DEATH
    recovered = ~died & ((volume < CELL) | (luck < jnp.exp(-volume / CELL)))
    volume = jnp.where(died, DEATH, jnp.where(recovered, 0.0, volume))
    change = jnp.clip(log_volume(volume) - before, -CAP, CAP)
    ends = PRIZE * (recovered.astype(jnp.float32) - died.astype(jnp.float32))
    reward = ends - change - CHEMO_COST * chemo - RADIO_COST * radio

    status = jnp.where(died, DEAD, jnp.where(recovered, RECOVERED, ALIVE)).astype(jnp.int32)
    after = state._replace(volume=volume, concentration=concentration, status=status)
    over = state.status != ALIVE
    after = jax.tree.map(lambda now, then: jnp.where(over, now, then), state, after)
    return after, jnp.where(over, 0.0, reward), after.status != ALIVE


def draws(key: PRNGKeyArray) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The noise and the luck of a day, from one draw."""
    z = jax.random.normal(key, (2,), jnp.float32)
    return NOISE * z[0], jax.scipy.special.ndtr(z[1])


def patient(key: PRNGKeyArray) -> TumourState:
    """A patient before the first treatment.

    (alpha, rho) is bivariate normal, redrawn until both are positive (46 of 100 are); beta_c is normal, truncated at 0; the
    type is uniform, type 1 adds 0.1 x 0.0398 to alpha and type 3 adds 0.1 x 0.028 to beta_c; the diameter is log-normal by
    stage, truncated, and the stage as frequent as it was among 22,954 patients.
    """
    for_response, for_beta_c, for_kind, for_stage, for_size = jax.random.split(key, 5)

    def redrawn(carry: tuple[PRNGKeyArray, Float[Array, "2"]]) -> tuple[PRNGKeyArray, Float[Array, "2"]]:
        key, now = jax.random.split(carry[0])
        z = jax.random.normal(now, (2,), jnp.float32)
        of_rho = CORRELATION * z[0] + math.sqrt(1 - CORRELATION**2) * z[1]
        return key, jnp.stack([ALPHA[0] + ALPHA[1] * z[0], RHO[0] + RHO[1] * of_rho])

    refused = jnp.full((2,), -1.0, jnp.float32)
    _, (alpha, rho) = jax.lax.while_loop(lambda carry: jnp.any(carry[1] <= 0), redrawn, (for_response, refused))
    # Zero lies forty deviations below the mean of beta_c: the truncation there never bites.
    beta_c = BETA_C[0] + BETA_C[1] * jax.random.normal(for_beta_c, (), jnp.float32)
    kind = jax.random.randint(for_kind, (), 0, 3, jnp.int32)

    mean, deviation, low, high, count = np.array(list(STAGES.values()), np.float32).T
    below = np.cumsum(count)[:-1] / count.sum()
    stage = jnp.sum((jax.random.uniform(for_stage, (), jnp.float32) >= below).astype(jnp.int32))
    standard = [(np.log(limit) - mean) / deviation for limit in (low, high)]
    mean, deviation, low, high = jnp.asarray(np.stack([mean, deviation, *standard]))[:, stage]
    diameter = jnp.exp(mean + deviation * jax.random.truncated_normal(for_size, low, high, (), jnp.float32))
    diameter = jnp.minimum(diameter, MAX_DIAMETER)  # rounding
    return TumourState(
        volume=volume_of(diameter),
        concentration=jnp.float32(0.0),
        alpha=alpha + jnp.where(kind == 0, ALPHA_TYPE_1, 0.0),
        rho=rho,
        beta_c=beta_c + jnp.where(kind == 2, BETA_C_TYPE_3, 0.0),
        kind=kind,
        status=jnp.int32(ALIVE),
    )


@dataclass(frozen=True)
class Tumour:
    """Sixty days of dosing: `day` says what one does, `patient` who comes.

    r = -clip(ln V' - ln V, -1, 1) - 0.25 chemo - 0.4 radio + 10 at recovery - 10 at death; both end the episode.

    Observation: `Box(5)`: ln V / 10, C / 10, alpha / 0.168, rho / 0.00723, (beta_c - 0.028) / 0.0028: everything there is to know. Or
    `Box(5)`: ln V / 10, C / 10, and the type as three indicators: how this patient responds must then be found out. V in cm^3, 10 the
    highest concentration. Actions: none, chemo, radio, both.

    Signals: "parameters" (Box 3: alpha, rho, beta_c, in the observation's units), "type" (3 values), "state" (Box 5: as the first
    observation).

    Args:
        observe_parameters: whether the actor sees the patient's parameters, or the type only.
        time_limit: horizon in days.

    Source: Geng, Paganetti & Grassberger 2017; parameters as in the public code of Lim et al. 2018, Bica et al. 2020 and Melnychuk
    et al. 2022. That it is an MDP, and the reward, are the specification's proposal.
    """

    observe_parameters: bool = True
    time_limit: int = 60

    def __post_init__(self) -> None:
        options.require_boolean("tumour", "observe_parameters", self.observe_parameters)
        options.require_integer("tumour", "time_limit", self.time_limit, 1)

    @property
    def action_names(self) -> tuple[str, ...]:
        return ACTIONS

    @property
    def name(self) -> str:
        return "tumour" if self.observe_parameters else "tumour-type-only"

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        return _full_space() if self.observe_parameters else _box((-2.1, 0.0, 0.0, 0.0, 0.0), (0.8, 1.0, 1.0, 1.0, 1.0))

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(len(ACTIONS))

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        full = _full_space()
        return {"parameters": _box(full.low[2:], full.high[2:]), "type": gymnasium.spaces.Discrete(3), "state": full}

    def horizon(self, params: Params = ()) -> int:
        return self.time_limit

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Float[Array, "5"], TumourState]:
        state = patient(key)
        return self._observe(state), state

    def step(self, key: PRNGKeyArray, state: TumourState, action: Int[Array, ""], params: Params = ()) -> Step:
        after, reward, terminated = day(state, action, *draws(key))
        return Step(self._observe(after), after, reward, terminated)

    def action_mask(self, state: TumourState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: TumourState, params: Params = ()) -> Mapping[str, Array]:
        told = _everything(state)
        return {"parameters": told[2:], "type": state.kind, "state": told}

    def references(self, level: str) -> References:
        """Measured with scripted players; empty for other time limits than the measured one."""
        options.require_train(self.name, level)
        return measured.references("clinical", self.name, self.time_limit)

    def draw(self, state: TumourState, params: Params = ()) -> np.ndarray:
        from unseen.environments.navigation import drawing

        picture = drawing.Board(4, 5)
        for row in range(4):
            for column in range(4):
                picture.tile((row, column), drawing.FLOOR)
        colour = {ALIVE: drawing.DIRT, RECOVERED: drawing.GOOD, DEAD: drawing.BAD}[int(state.status)]
        picture.disc((1.5, 1.5), 0.03 + 1.9 * float(diameter_of(float(state.volume))) / MAX_DIAMETER, colour)
        # The chemotherapy in the blood, as a column that is full at the highest concentration.
        foot, size = 4 * picture.size, picture.size
        top = foot - 4 * size * float(state.concentration) / (2 * CHEMO)
        picture.pen.rectangle((4.2 * size, min(top, foot - 1), 4.8 * size, foot), fill=drawing.HINT)
        return picture.array()

    def _observe(self, state: TumourState) -> Float[Array, "5"]:
        told = _everything(state)
        if self.observe_parameters:
            return told
        return jnp.concatenate([told[:2], (state.kind == jnp.arange(3, dtype=jnp.int32)).astype(jnp.float32)])


def _everything(state: TumourState) -> Float[Array, "5"]:
    """ln V, C, alpha, rho and beta_c, in the observation's units."""
    values = [log_volume(state.volume), state.concentration, state.alpha, state.rho, state.beta_c - BETA_C[0]]
    return jnp.stack(values) / jnp.asarray(_UNITS, jnp.float32)


def _full_space() -> gymnasium.spaces.Box:
    return _box((-2.1, 0.0, 0.0, 0.0, -10.1), (0.8, 1.0, math.inf, math.inf, math.inf))


def _box(low: Any, high: Any) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(np.asarray(low, np.float32), np.asarray(high, np.float32), dtype=np.float32)
