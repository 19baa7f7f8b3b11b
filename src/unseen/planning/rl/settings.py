"""Settings of reinforcement learning. Imports the standard library only, so that the command line reads them without torch.

Source: Paglieri et al. 2025 for the algorithm (PPO) and for a price of plan tokens; hardly any number of their training was found, so that
every default here is proposed (the specification's starting values, of which clip, discount and lambda are PPO's and GAE's usual ones).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from unseen.errors import UserError, unknown

Advantages = Literal["turn", "dual", "group"]
Plans = Literal["may", "never"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class RL:
    """How to train by reinforcement.

    Attributes:
        updates: rollouts, each followed by its epochs.
        live: environments that are played at the same time.
        steps: of each environment in a rollout; of no account with group advantages, whose rollouts are whole episodes.
        epochs: passes over a rollout.
        minibatch: steps of environments per step of AdamW, about: a rollout is cut into parts of equal size, give or take one.
        accumulate: pieces of like length that a minibatch is cut into, one in memory at a time; how many changes nothing else. Passes
            without gradients are of pieces of the same size.
        learning_rate: of the weights that write.
        critic_learning_rate: of the value head, and of a critic's own network.
        discount: per step of the environment.
        lambda_: of generalised advantages.
        clip: how far a token's probability may move from that of the rollout before its gradient is cut.
        value_weight: of the value loss, which is in units of the returns' standard deviation so far (see `Values`).
        value_clip: how far a value may move from that of the rollout before its gradient is cut, in the same units; None: as far as it
            likes.
        kl_weight: beta, of the exact divergence from the policy the run started from.
        kl_target: divergence from the rollout's policy, per token, at which the epochs of an update end.
        kl_limit: divergence from the policy the run started from, per token, at which the run stops; its last good weights are kept.
        entropy_weight: of the entropy of an output's first token: whether to plan, or which action.
        decision_weight: of the tokens that decide whether to plan, in the policy loss.
        plan_weight: of the other tokens of plans.
        action_weight: of the tokens that follow.
        plan_price: lambda_c, taken from the reward for every token of a plan, in units of the reward; several: each episode is told one.
        illegal_price: taken from the reward for every illegal action.
        reward_scale: rewards and prices are multiplied by it; it matters only where advantages are not normalised.
        normalise: whether advantages are divided by their standard deviation over the rollout; they are never shifted.
        warmup: updates at the beginning in which only the critic learns.
        advantages: turn: one per step; dual: one per token, not discounted within a step; group: returns against those of the same seed.
        group: episodes of one seed, with group advantages.
        plans: may: the model decides; never: the tag that opens a plan is forbidden.
        add_tags: whether tags that are several tokens each become one token with an embedding of its own.
        lora: rank of adapters, the only weights that are then trained; None: all weights are, or the adapters of a model that has some.
        precision: of passes through the network; weights, optimiser and log-probabilities stay as they are.
        weight_decay: of AdamW.
        max_gradient_norm: of the clipping.
        save_every: updates between two checkpoints.
        first_seed: of the episodes, to which a million is added for each of `seed` (up to 1,000 of them); evaluation begins at 0 and
            teachers at 100,000.
        seed: of the episodes, of what is written in them, of the order of samples, of prices, of new adapters, and of dropout where a model
            has any.

    Raises:
        UserError: a number or a word that is not allowed.
    """

    updates: int = 200
    live: int = 32
    steps: int = 32
    epochs: int = 2
    minibatch: int = 256
    accumulate: int = 8
    learning_rate: float = 2e-4
    critic_learning_rate: float = 1e-3
    discount: float = 0.99
    lambda_: float = 0.95
    clip: float = 0.2
    value_weight: float = 0.5
    value_clip: float | None = 0.2
    kl_weight: float = 0.02
    kl_target: float | None = 0.03
    kl_limit: float | None = 5.0
    entropy_weight: float = 0.003
    decision_weight: float = 1.0
    plan_weight: float = 1.0
    action_weight: float = 1.0
    plan_price: float | tuple[float, ...] = 0.0
    illegal_price: float = 0.0
    reward_scale: float = 1.0
    normalise: bool = True
    warmup: int = 5
    advantages: Advantages = "turn"
    group: int = 8
    plans: Plans = "may"
    add_tags: bool = False
    lora: int | None = None
    precision: Precision = "float32"
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    save_every: int = 10
    first_seed: int = 1_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("updates", "live", "steps", "epochs", "minibatch", "accumulate", "save_every"):
            _at_least(name, getattr(self, name), 1)
        for name in ("warmup", "first_seed", "seed"):
            _at_least(name, getattr(self, name), 0)
        for name in ("learning_rate", "critic_learning_rate", "clip", "reward_scale", "max_gradient_norm"):
            _number(name, getattr(self, name), above=True)
        for name in ("value_weight", "kl_weight", "entropy_weight", "decision_weight", "plan_weight", "action_weight", "weight_decay"):
            _number(name, getattr(self, name))
        for name in ("value_clip", "kl_target", "kl_limit"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), above=True)
        for name in ("discount", "lambda_"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} = {getattr(self, name)} of RL must be from 0 to 1")
        for name, allowed in (("advantages", Advantages), ("plans", Plans), ("precision", Precision)):
            if getattr(self, name) not in get_args(allowed):
                raise unknown(f"{name} of RL", getattr(self, name), get_args(allowed))
        _number("illegal_price", self.illegal_price)
        for price in self.prices:
            _number("plan_price", price)
        if not self.prices or len(set(self.prices)) < len(self.prices):
            raise UserError(f"plan_price = {self.plan_price} of RL must be a number, or several that differ")
        if self.lora is not None:
            _at_least("lora", self.lora, 1)
        if self.advantages == "group" and (self.group < 2 or self.live % self.group):
            raise UserError(f"group = {self.group} of RL must be 2 or more, and live = {self.live} a multiple of it")

    @property
    def prices(self) -> tuple[float, ...]:
        """Every price of a plan's token that there is."""
        return self.plan_price if isinstance(self.plan_price, tuple) else (self.plan_price,)

    @property
    def told(self) -> bool:
        """Whether an episode's price is told in its prompts."""
        return len(self.prices) > 1

    @property
    def rows(self) -> int:
        """Steps of environments in one pass of the network."""
        return -(-self.minibatch // self.accumulate)

    @property
    def critic(self) -> bool:
        """Whether there is a critic at all."""
        return self.advantages != "group"


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UserError(f"{name} = {value} of RL must be {least} or more")


def _number(name: str, value: float, *, above: bool = False) -> None:
    if not (math.isfinite(value) and (value > 0 if above else value >= 0)):
        raise UserError(f"{name} = {value} of RL must be {'above 0' if above else '0 or more'}")
