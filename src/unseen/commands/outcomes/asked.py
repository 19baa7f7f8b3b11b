"""What a fitted learner is asked for: outcomes and contrasts of everybody and by group, as tables, words and sections of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from unseen.commands.outcomes.policies import label_of
from unseen.data import Transitions
from unseen.data.table import as_frame
from unseen.errors import UserError, unknown

EVERYBODY = "all decisions"
MOST_GROUPS = 12


class Asked:
    """What one fitted learner is asked for: outcomes and contrasts of everybody and by group."""

    def __init__(self, learner: Any, by: Sequence[str], reference: str | None, level: float) -> None:
        self.learner, self.level = learner, level
        self.labels = learner.problem_.data.action_labels
        self.reference = self.labels[0] if reference is None else label_of(reference, self.labels)
        self.groups = {"": {EVERYBODY: _everybody}} | {name: groups(learner.problem_.data, name) for name in by}
        others = [label for label in self.labels if label != self.reference]
        self.estimates = {f"outcome of {label}": (label, None, learner.outcome(None, label)) for label in self.labels}
        for name, regions in self.groups.items():
            for label in others:
                caption = f"{label} instead of {self.reference}{f', by {name}' if name else ''}"
                self.estimates[caption] = (label, self.reference, learner.contrast(dict(regions), label, self.reference))

    def table(self) -> Any:
        """Every estimate in long form."""
        import polars as pl

        frames = [self.learner.value().table(self.level).with_columns(asked=pl.lit("value"))]
        frames += [estimate.table(self.level).with_columns(asked=pl.lit(caption)) for caption, (_, _, estimate) in self.estimates.items()]
        return pl.concat(frames).select("asked", "name", "estimate", "standard_error", "low", "high", "band_low", "band_high")

    def influence(self) -> Any:
        """Every trajectory's influence on every estimate: variances and differences can be made from it."""
        parts = {("value",): self.learner.value()} | {(caption,): estimate for caption, (_, _, estimate) in self.estimates.items()}
        names = [f"{caption}: {name}" for (caption,), estimate in parts.items() for name in estimate.names]
        return influence_frame(self.learner.problem_.data, names, np.concatenate([e.influence for e in parts.values()], axis=1))

    def words(self) -> str:
        """Contrasts of everybody, and what is recommended."""
        lines = [""]
        for caption, (_, control, estimate) in self.estimates.items():
            if control is not None:
                low, high = (np.atleast_1d(end) for end in estimate.interval(self.level))
                who = [""] if estimate.names == (EVERYBODY,) else [f", {name}" for name in estimate.names]
                lines += [
                    f"{caption}{name}, then the policy: {v:.4g} ({a:.4g} to {b:.4g})"
                    for name, v, a, b in zip(who, estimate.value, low, high)
                ]
            lines += [f"caution: {caption}: {words}" for words in estimate.cautions]
        for name, regions in self.groups.items():
            found = self.recommended(regions)
            reasons = [f" ({reason})" if reason else "" for reason in found.reasons]
            lines += [
                f"{name}{'=' if name else ''}{who}: {what}{why}" for who, what, why in zip(found.names, map(str, found.labels), reasons)
            ]
        return "\n".join(lines)

    def recommended(self, regions: Mapping[str, Any]) -> Any:
        from unseen.outcomes import recommend

        return recommend(self.learner, dict(regions), level=self.level)

    def sections(self) -> list[Any]:
        """Of the page."""
        from unseen.outcomes.estimates import stacked
        from unseen.reports.outcomes import outcome_section, recommendation_section

        outcomes = [(str(label), e) for label, control, e in self.estimates.values() if control is None]
        shown: dict[str, Any] = {
            "What each action would bring, averaged over all logged decisions": stacked(
                [e for _, e in outcomes], [name for name, _ in outcomes]
            )
        }
        everybody = [(label, e) for label, control, e in self.estimates.values() if control is not None and e.names == (EVERYBODY,)]
        if everybody:
            shown[f"What each action would bring instead of {self.reference}"] = stacked(
                [e for _, e in everybody], [str(label) for label, _ in everybody]
            )
        for name in [name for name in self.groups if name]:
            parts = [(str(label), e) for c, (label, _, e) in self.estimates.items() if c.endswith(f", by {name}")]
            who = [f"{label}, {group}" for label, e in parts for group in e.names]
            shown[f"What each action would bring instead of {self.reference}, by {name}"] = stacked([e for _, e in parts], who)
        sections = [outcome_section(self.learner, shown, "Outcomes", self.level)]
        if len(self.labels) > 1:
            for name, regions in self.groups.items():
                sections.append(recommendation_section(self.recommended(regions), f"What to do{f', by {name}' if name else ''}"))
        return sections


def _everybody(states: Any) -> Any:
    return np.ones(len(as_frame(states)), np.bool_)


def groups(data: Transitions, name: str) -> dict[str, Callable[[Any], Any]]:
    """Regions by one column of the state or of the modifiers: its levels, or quarters of its numbers."""
    columns = {c.name: (i, c) for i, c in enumerate(data.described.columns)}
    if name not in columns:
        raise unknown("column of --state or --modifiers (--by)", name, columns)
    place, column = columns[name]
    own = len(data.state_columns)
    values = data.states[:, place] if place < own or data.modifiers is None else data.modifiers[:, place - own]
    if column.kind == "categorical":
        present = [level for code, level in enumerate(column.levels) if (values == code).any()]
        if len(present) > MOST_GROUPS:
            raise UserError(f"--by {name} has {len(present)} levels; at most {MOST_GROUPS} groups can be compared on a page")
        return {str(level): _is(name, level) for level in present}
    from unseen.reports.text import number

    edges = np.unique(np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0]))
    if len(edges) < 2:
        raise UserError(f"--by {name} is {edges[0]:g} everywhere; there are no groups to compare")
    return {
        f"{number(low)} to {number(high)}": _between(name, float(low), float(high), bool(high == edges[-1]))
        for low, high in pairwise(edges)
    }


def _is(name: str, level: Any) -> Callable[[Any], Any]:
    return lambda states: np.array([value == level for value in as_frame(states)[name].to_list()], np.bool_)


def _between(name: str, low: float, high: float, last: bool) -> Callable[[Any], Any]:
    def inside(states: Any) -> Any:
        x = np.asarray(as_frame(states)[name].to_numpy(), np.float64)
        return (x >= low) & ((x <= high) if last else (x < high))

    return inside


def influence_frame(data: Transitions, names: Sequence[str], influence: Any) -> Any:
    import polars as pl

    return pl.DataFrame({"id": data.ids.tolist()} | {name: influence[:, k] for k, name in enumerate(names)})
