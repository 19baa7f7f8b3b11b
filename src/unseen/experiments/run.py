"""A run: what training left on disk, as metrics, policies, scores, episodes and pictures."""

from __future__ import annotations

import math
import os
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unseen.errors import UserError
from unseen.experiments.settings import Experiment
from unseen.experiments.toml import from_toml
from unseen.runs import RunDirectory, sources

if TYPE_CHECKING:
    import polars

    from unseen.data import Episodes
    from unseen.environments import References, Score
    from unseen.environments.tabular import TabularPOMDP
    from unseen.experiments.policy import Policy
    from unseen.experiments.watched import Watched

MOST_EPISODES = 10_000_000
EVALUATION = 0xE7A1  # folded into the key of a seed, so that no episode of evaluation is one of training


def load(directory: str | os.PathLike[str], environment: Any = None, trust: bool = False) -> Run:
    """The run in a directory.

    Args:
        directory: where it lies.
        environment: the environment itself, where it is not registered under the run's name for it.
        trust: let an environment "gym:module:ID" import its module, which runs the module's code; otherwise import it yourself.

    Raises:
        UserError: when there is none.
    """
    return Run(Path(directory), environment=environment, trust=trust)


def make_environment(experiment: Experiment, directory: str | os.PathLike[str]) -> Any:
    """The environment of the run in a directory; one made of a file, as the file was when the run began."""
    from unseen.environments.registry import make

    name, options = experiment.environment, experiment.environment_options
    if not sources.is_file(name):
        return make(name, **options)
    path = sources.usable(directory, name)
    made = make(str(path), **options)
    return made if path == Path(name) else replace(made, name=Path(name).stem)


class Run:
    """Attributes:

    directory: where it lies.
    experiment: the settings it was trained with.
    """

    def __init__(self, directory: Path, environment: Any = None, trust: bool = True) -> None:
        self.directory = Path(directory)
        self._folder = RunDirectory.open(directory)
        self.experiment: Experiment = from_toml(self._folder.experiment_toml, str(self.directory / "experiment.toml"))
        self._given = environment
        self._trust = trust

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
        if self._given is not None:
            return self._given
        with self._imports():
            return make_environment(self.experiment, self.directory)

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

        An external environment is reset with seeds of its own; its episodes are cut after 10,000 steps, or its longer time limit.

        Args:
            level: a level of the environment; an external one has only "train".
            episodes: how many for each seed.
            seed: one seed, or None for all.
            greedy: the most probable actions instead of draws.

        Returns:
            One row per seed: level, episodes, return and its standard error, discounted return, length, terminated (a fraction); and
            where reference players of the level were measured, the return normalised (0 the random player, 100 perfect memory).
        """
        import polars as pl

        marks = None if self._external else self.environment.references(level)
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
            if marks is not None and not math.isnan(marks.normalised(0.0)):
                rows[-1]["normalised"] = marks.normalised(rows[-1]["return"])
        return pl.DataFrame(rows)

    def episodes(self, n: int, *, level: str = "train", seed: int = 0, greedy: bool = False) -> Episodes:
        """`n` recorded episodes of a trained agent: observations, actions, rewards, flags, log-probabilities, all signals, reads.

        Of an agent whose memory recalls (MEM), `reads` holds "step" (N, K), the step of the episode at which each thing read was written
        (-1: nothing there), and its "weight" (N, K); see `unseen.experiments.recalled.with_recalled`.

        There are no log-probabilities where there are none to give: of greedy actions, and of `box_policy="clipped"`.

        Raises:
            UserError: a number, level or seed that does not exist.
        """
        from unseen.experiments import recording

        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST_EPISODES:
            raise UserError(f"episodes = {n!r}; it must be a whole number from 1 to {MOST_EPISODES:,}")
        if self._external:
            from unseen.experiments.host import refuse_level

            refuse_level(self.experiment, level)
            policy = self.policy(seed)
            with self._imports():
                return recording.external_episodes(self.experiment, policy, n, greedy=greedy)
        return recording.episodes(self.environment, self.agent(seed), n, level=level, key=self.evaluation_key(seed), greedy=greedy)

    def frames(self, seed: int = 0, most: int = 60) -> list[tuple[np.ndarray, str]]:
        """Pictures of one episode, each with a caption: the step, the action taken in it and its reward."""
        from unseen.experiments import recording

        if (watched := self.watched(seed)) is not None:
            return watched.frames(most)
        policy = self.policy(seed)
        with self._imports():
            return recording.external_frames(self.experiment, policy, most)

    def watched(self, seed: int = 0) -> Watched | None:
        """One episode on the training level with what stood behind every step; None where the environment is an external one."""
        from unseen.experiments.watching import watch

        if self._external:
            return None
        key, scale = self.evaluation_key(seed), self._value_scale(seed)
        return watch(self.environment, self.agent(seed), key, level=self.experiment.level, value_scale=scale)

    def references(self) -> dict[str, float | tuple[float, float]]:
        """Scores of reference players on the training level: name -> (mean, standard error).

        Under "random" and so on the undiscounted return; under "discounted/random" and so on the return under this run's
        discount, where it is known: from the environment's tables, or measured under the same discount.
        """
        if self._external:
            return {}
        scores: References = self.environment.references(self.experiment.level)
        players = ("random", "memoryless", "perfect_memory", "oracle")
        discount = self.experiment.algorithm.discount
        known = {n: getattr(scores, n) for n in players}
        known |= {f"discounted/{n}": s for n, (gamma, s) in scores.discounted.items() if n in players and math.isclose(gamma, discount)}
        known |= {f"discounted/{n}": value for n, value in self._ends().items()}
        return {n.replace("_", " "): (s.mean, s.standard_error) for n, s in known.items() if s is not None}

    def bounds(self) -> tuple[float, float] | None:
        """Bounds on the best that a player without the state can get on average, where the environment has tables.

        They are on what `evaluate` and the report call the discounted return: under this run's discount, whatever discount a
        file declares, and with episodes cut at the environment's horizon.
        """
        if self._table is None:
            return None
        ends = self._ends()
        return self._table.optimal_value_bounds(
            seconds=20.0,
            gap=max(1e-4 * (ends["oracle"].mean - ends["random"].mean), 1e-9),  # finer than a report can show
            discount=self.experiment.algorithm.discount,
            horizon=self._horizon,
        )

    def notes(self) -> list[str]:
        """What a reader of the results must know."""
        notes = []
        if self._external:
            notes.append(
                "Stepped outside the compiler: unless it can be saved, a resumed PPO run starts new episodes and is not bitwise the same."
            )
        agent = self.experiment.agent
        if not agent.critic.history:
            notes.append("The critic does not see the history: its bootstrapped targets bias the policy gradient.")
        if not self._external and (note := self._forgotten()):
            notes.append(note)
        if type(agent.memory).__name__ == "FeedForward":
            notes.append("The agent has no memory: right only where the observation is the state.")
        return notes

    def _value_scale(self, seed: int) -> float:
        """What rewards were divided by before the critic learned from them."""
        import equinox as eqx

        from unseen.agents.normalise import ReturnScale
        from unseen.experiments.arrays import from_arrays

        algorithm: Any = self.experiment.algorithm
        if not getattr(algorithm, "normalise_returns", False):
            return 1.0
        template = eqx.filter_eval_shape(lambda: ReturnScale.fresh(algorithm.environments))
        arrays = {
            n.removeprefix("returns."): np.asarray(a[seed]) for n, a in self._folder.load().arrays.items() if n.startswith("returns.")
        }
        return float(from_arrays(template, arrays).deviation)

    def _forgotten(self) -> str | None:
        from unseen.learning.guard import forgotten
        from unseen.learning.levels import mixture

        return forgotten(self.experiment.agent, mixture(self.environment, self.experiment.level).longest, self.experiment.environment)

    def _ends(self) -> dict[str, Score]:
        """The exact discounted returns of random actions and of a player who sees the state; empty without tables."""
        from unseen.environments import Score
        from unseen.environments.tabular import optimal_mdp_value, random_value

        if self._table is None:
            return {}
        discount = self.experiment.algorithm.discount
        players = {"random": random_value, "oracle": optimal_mdp_value}
        return {name: Score(value(self._table, self._horizon, discount).discounted) for name, value in players.items()}

    @cached_property
    def _table(self) -> TabularPOMDP | None:
        from unseen.environments.tabular import table_of

        return None if self._external else table_of(self.environment)

    @property
    def _horizon(self) -> int:
        return self.environment.horizon(self.environment.levels[self.experiment.level][0][1])

    @property
    def _external(self) -> bool:
        return self._given is None and self.experiment.environment.startswith("gym:")

    def _imports(self) -> AbstractContextManager[None]:
        """Building the environment of a run that somebody else may have sent must not run code that the run chose."""
        from unseen.environments.adapters.gymnasium_ids import module_imports

        return module_imports(self._trust)

    def evaluation_key(self, seed: int) -> Any:
        """From which a seed's evaluation episodes are drawn."""
        import jax

        # Training folds small numbers; a key folded with this constant is never one of its keys.
        return jax.random.fold_in(jax.random.key(self.experiment.first_seed + seed), EVALUATION)

    def _spaces(self) -> tuple[Any, Any, dict[str, Any]]:
        if self._external:
            from unseen.experiments.host import spaces

            with self._imports():
                return spaces(self.experiment)
        params = self.environment.levels[self.experiment.level][0][1]
        e = self.environment
        return e.observation_space(params), e.action_space(params), dict(e.signal_spaces(params))
