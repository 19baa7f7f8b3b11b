"""A run: what training left on disk, as metrics, policies, scores, episodes and pictures."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unseen.errors import UserError
from unseen.experiments.settings import Experiment
from unseen.experiments.toml import from_toml
from unseen.runs import RunDirectory

if TYPE_CHECKING:
    import polars

    from unseen.data import Episodes
    from unseen.environments import References
    from unseen.experiments.policy import Policy


def load(directory: str | os.PathLike[str], environment: Any = None) -> Run:
    """The run in a directory.

    Raises:
        UserError: when there is none.
    """
    return Run(Path(directory), environment=environment)


class Run:
    """Attributes:

    directory: where it lies.
    experiment: the settings it was trained with.
    """

    def __init__(self, directory: Path, environment: Any = None) -> None:
        self.directory = Path(directory)
        self._folder = RunDirectory.open(directory)
        self.experiment: Experiment = from_toml(self._folder.experiment_toml, str(self.directory / "experiment.toml"))
        self._given = environment

    @property
    def label(self) -> str:
        """A short name: environment, memory and what the critic is told."""
        critic = self.experiment.agent.critic
        told = ", ".join(critic.signals) or "history only"
        if critic.signals:
            told = f"history + {told}" if critic.history else f"{told} only"
        return f"{self.experiment.environment} · critic: {told}"

    @cached_property
    def environment(self) -> Any:
        """The environment, built anew."""
        from unseen.environments.registry import make

        return self._given if self._given is not None else make(self.experiment.environment, **self.experiment.environment_options)

    def metrics(self) -> polars.DataFrame:
        """All metrics: seed, env_steps, wall_s, metric, value."""
        return self._folder.read_metrics()

    def versions(self) -> dict[str, Any]:
        """What the run was made with."""
        return self._folder.versions

    def agent(self, seed: int = 0) -> Any:
        """The trained modules of one seed (counted from 0)."""
        import equinox as eqx
        import jax

        from unseen.agents.build import build
        from unseen.experiments.arrays import from_arrays

        if not 0 <= seed < self.experiment.seeds:
            raise UserError(f"seed = {seed}; this run has seeds 0 to {self.experiment.seeds - 1}")
        template = eqx.filter_eval_shape(lambda: build(self.experiment.agent, *self._spaces(), jax.random.key(0)))
        prefix = "agent."
        arrays = {n[len(prefix) :]: a[seed] for n, a in self._folder.load().arrays.items() if n.startswith(prefix)}
        return from_arrays(template, arrays)

    def policy(self, seed: int = 0) -> Policy:
        """The trained agent of one seed: `.initial(batch)`, `.act(observation, carry, start, greedy=False)`."""
        from unseen.experiments.policy import Policy

        return Policy(self.agent(seed), seed)

    def evaluate(self, level: str = "train", episodes: int = 1_000, seed: int | None = None, greedy: bool = False) -> polars.DataFrame:
        """Play whole episodes with the trained agents, on keys that training never uses.

        Args:
            level: a level of the environment.
            episodes: how many for each seed.
            seed: one seed, or None for all.
            greedy: the most probable actions instead of draws.

        Returns:
            One row per seed: level, episodes, return and its standard error, discounted return, length, terminated (a fraction).
        """
        import polars as pl

        rows = []
        for k in range(self.experiment.seeds) if seed is None else [seed]:
            played = self.episodes(episodes, level=level, seed=k, greedy=greedy)
            scores = played.returns()
            rows.append(
                {
                    "seed": self.experiment.first_seed + k,
                    "level": level,
                    "episodes": len(played),
                    "return": float(scores.mean()),
                    "standard_error": float(scores.std(ddof=1) / len(played) ** 0.5) if len(played) > 1 else float("nan"),
                    "discounted_return": float(played.returns(self.experiment.algorithm.discount).mean()),
                    "length": float(played.lengths.mean()),
                    "terminated": float(played.terminated.sum() / len(played)),
                }
            )
        return pl.DataFrame(rows)

    def episodes(self, n: int, *, level: str = "train", seed: int = 0, greedy: bool = False) -> Episodes:
        """`n` recorded episodes of a trained agent: observations, actions, rewards, flags, log-probabilities, all signals."""
        from unseen.experiments import recording

        if self._external:
            return recording.external_episodes(self.experiment, self.policy(seed), n, greedy=greedy)
        return recording.episodes(self.environment, self.agent(seed), n, level=level, key=self._evaluation_key(seed), greedy=greedy)

    def frames(self, seed: int = 0, most: int = 60) -> list[tuple[np.ndarray, str]]:
        """Pictures of one episode, each with a caption: the step, the action taken in it and its reward."""
        from unseen.experiments import recording

        if self._external:
            return recording.external_frames(self.experiment, self.policy(seed), most)
        return recording.frames(self.environment, self.agent(seed), self._evaluation_key(seed), most, level=self.experiment.level)

    def references(self) -> dict[str, float | tuple[float, float]]:
        """Undiscounted scores of reference players on the training level: name -> (mean, standard error)."""
        if self._external:
            return {}
        scores: References = self.environment.references(self.experiment.level)
        named = {n.replace("_", " "): getattr(scores, n) for n in ("random", "memoryless", "perfect_memory", "oracle")}
        return {n: (s.mean, s.standard_error) for n, s in named.items() if s is not None}

    def bounds(self) -> tuple[float, float] | None:
        """Bounds on the optimal discounted return, where the environment is a table that can be solved."""
        pomdp = getattr(self.environment, "pomdp", None) if not self._external else None
        discount = self.experiment.algorithm.discount
        return None if pomdp is None or discount >= 1.0 else pomdp.optimal_value_bounds(seconds=20.0, discount=discount)

    def notes(self) -> list[str]:
        """What a reader of the results must know."""
        notes = []
        if self._external:
            notes.append("The environment runs outside the compiler: a resumed run starts new episodes, so it is not bitwise the same.")
        agent = self.experiment.agent
        if not agent.critic.history:
            notes.append("The critic does not see the history: its bootstrapped targets bias the policy gradient.")
        if type(agent.memory).__name__ == "FeedForward":
            notes.append("The agent has no memory: right only where the observation is the state.")
        return notes

    @property
    def _external(self) -> bool:
        return self._given is None and self.experiment.environment.startswith("gym:")

    def _evaluation_key(self, seed: int) -> Any:
        import jax

        # Training folds small numbers; a key folded with this constant is never one of its keys.
        return jax.random.fold_in(jax.random.key(self.experiment.first_seed + seed), 0xE7A1)

    def _spaces(self) -> tuple[Any, Any, dict[str, Any]]:
        if self._external:
            from unseen.experiments.host import spaces

            return spaces(self.experiment)
        params = self.environment.levels[self.experiment.level][0][1]
        e = self.environment
        return e.observation_space(params), e.action_space(params), dict(e.signal_spaces(params))
