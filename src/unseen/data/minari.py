"""Episodes from and to Minari datasets (extra `minari`)."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from unseen.data.build import from_list
from unseen.data.episodes import Episode, Episodes
from unseen.errors import UserError

SIGNAL = "signal."


def _minari() -> Any:
    try:
        import minari
    except ImportError:
        raise UserError('Minari datasets need an extra; fix: pip install "unseen[minari]"') from None
    return minari


def to_minari(
    episodes: Episodes,
    dataset_id: str,
    *,
    observation_space: gymnasium.Space[Any] | None = None,
    action_space: gymnasium.Space[Any] | None = None,
    data_format: str = "arrow",
    **options: Any,
) -> Any:
    """Store as a local Minari dataset: observations, actions, rewards, flags, and `info["seed"]` as seeds.

    Signals go into Minari's `infos` as `signal.NAME`; Minari has no place for the other optional columns, which are left out.

    Args:
        episodes: at least one; images are stored lossless unless `jpeg_encoding=True` is passed.
        dataset_id: as in "tiger/random-v0".
        observation_space: of the environment; when left out, a `Box` without bounds, or `Discrete` for integer scalars.
        action_space: likewise.
        data_format: of Minari's storage; "arrow" needs nothing beyond this package.
        **options: for `minari.create_dataset_from_buffers`, such as `author`.

    Returns:
        The `minari.MinariDataset`.

    Raises:
        UserError: Minari is not installed, no episodes, an unfinished episode, or a dataset of that name exists.
    """
    minari = _minari()
    if len(episodes) == 0:
        raise UserError("to_minari needs at least one episode")
    unfinished = ~(episodes.terminated | episodes.truncated)[episodes.offsets[1:] - 1]
    if unfinished.any():
        raise UserError(
            f"episode {int(np.argmax(unfinished))} is neither terminated nor truncated, as Minari needs; select the finished ones"
        )
    arrays = dict(episodes.observations)
    if observation_space is None:
        spaces = {name: _space(values) for name, values in arrays.items()}
        observation_space = spaces["observation"] if list(spaces) == ["observation"] else gymnasium.spaces.Dict(spaces)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="minari")  # one for each description left out
            return minari.create_dataset_from_buffers(
                dataset_id=dataset_id,
                buffer=[_buffer(minari, e, episode) for e, episode in enumerate(episodes)],
                observation_space=observation_space,
                action_space=_space(episodes.actions) if action_space is None else action_space,
                data_format=data_format,
                **{"jpeg_encoding": False, **options},
            )
    except (ValueError, ImportError, FileExistsError) as error:
        raise UserError(f"Minari refused {dataset_id!r}: {(str(error).splitlines() or [''])[0]}") from None


def _buffer(minari: Any, e: int, episode: Episode) -> Any:
    names = list(episode.observations)
    return minari.data_collector.EpisodeBuffer(
        id=e,
        seed=int(episode.info["seed"]) if "seed" in episode.info else None,
        observations=_plain(episode.observation) if names == ["observation"] else {n: _plain(v) for n, v in episode.observations.items()},
        actions=_plain(episode.actions),
        rewards=list(episode.rewards),
        terminations=list(episode.terminated),
        truncations=list(episode.truncated),
        # flat names, and lists for scalars: Minari's Arrow storage does not read back nested infos or arrays of scalars
        infos={f"{SIGNAL}{n}": list(v) if v.ndim == 1 else v for n, v in episode.signals.items()} or None,
    )


def _plain(values: np.ndarray) -> Any:
    return values.tolist() if values.dtype.kind == "T" else values


def _space(values: np.ndarray) -> gymnasium.Space[Any]:
    if values.dtype.kind == "T":
        characters = frozenset("".join(values.tolist())) or frozenset(" ")
        return gymnasium.spaces.Text(max(1, *(len(v) for v in values.tolist())), min_length=0, charset=characters)
    if values.dtype.kind in "iu" and values.ndim == 1:
        start = int(min(values.min(), 0))
        return gymnasium.spaces.Discrete(int(values.max()) - start + 1, start=start, dtype=values.dtype.type)
    if values.dtype.kind == "b":
        return gymnasium.spaces.MultiBinary(values.shape[1:])
    if values.dtype.kind in "iu":
        bounds = np.iinfo(values.dtype)
        return gymnasium.spaces.Box(bounds.min, bounds.max, values.shape[1:], values.dtype.type)
    return gymnasium.spaces.Box(-np.inf, np.inf, values.shape[1:], values.dtype.type)


def from_minari(dataset: Any) -> Episodes:
    """From a `minari.MinariDataset`, or the id of one that is stored locally.

    Where Minari marks a step both terminated and truncated, it is taken as terminated. Infos named `signal.NAME` become signals;
    seeds become `info["seed"]` when every episode has one.

    Raises:
        UserError: Minari is not installed, no such dataset, tuple spaces, or any broken promise of `Episodes`.
    """
    minari = _minari()
    if isinstance(dataset, str):
        try:
            dataset = minari.load_dataset(dataset)
        except (FileNotFoundError, ValueError) as error:
            raise UserError(
                f"no local Minari dataset {dataset!r}: {(str(error).splitlines() or [''])[0]}; see minari.list_local_datasets()"
            ) from None
    recorded = list(dataset.iterate_episodes())
    seeds = [metadata.get("seed") for metadata in dataset.storage.get_episode_metadata(episode.id for episode in recorded)]
    return from_list(_from_minari(episode, seed if None not in seeds else None) for episode, seed in zip(recorded, seeds))


def _from_minari(episode: Any, seed: Any) -> dict[str, Any]:
    if isinstance(episode.observations, tuple) or isinstance(episode.actions, tuple | dict):
        raise UserError("the dataset has Tuple observations or structured actions; Episodes hold arrays, and named observations")
    terminated = np.asarray(episode.terminations, np.bool_)
    found: dict[str, Any] = {
        "observations": _flatten(episode.observations),
        "actions": episode.actions,
        "rewards": episode.rewards,
        "terminated": terminated,
        "truncated": np.asarray(episode.truncations, np.bool_) & ~terminated,
    }
    infos: Mapping[str, Any] = episode.infos or {}
    found["signals"] = {name.removeprefix(SIGNAL): values for name, values in infos.items() if name.startswith(SIGNAL)}
    if seed is not None:
        found["info"] = {"seed": int(seed)}
    return found


def _flatten(observations: Any, prefix: str = "") -> Any:
    """Nested Dict observations get dotted names."""
    if not isinstance(observations, Mapping):
        return observations if not prefix else {prefix: observations}
    flat: dict[str, Any] = {}
    for name, value in observations.items():
        dotted = f"{prefix}.{name}" if prefix else str(name)
        flat.update(_flatten(value, dotted))
    return flat
