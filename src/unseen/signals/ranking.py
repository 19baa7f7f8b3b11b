"""A ranking of signals: the table, and what it means in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unseen.signals.search import Row, Stage, Subset

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True)
class Ranking:
    """What a criterion says about the signals of a recording.

    Attributes:
        rows: every set of signals that was tested, best first, then those that could not be.
        stages: of the forward selection; the last one's `given` is what it chose.
        chosen: the signals worth telling; empty where nothing helps.
        method: "residual" or "prediction".
        about: what was tested on, in words.
        alpha: the false-discovery rate.
        facts: figures about the recording and the test, by name.
    """

    rows: tuple[Row, ...]
    stages: tuple[Stage, ...]
    chosen: Subset
    method: str
    about: str
    alpha: float
    facts: Mapping[str, float]

    def row(self, *signals: str) -> Row:
        """The row of these signals.

        Raises:
            KeyError: that set was not tested.
        """
        wanted = set(signals)
        for row in self.rows:
            if set(row.signals) == wanted:
                return row
        raise KeyError(f"the set {', '.join(signals)} was not tested")

    def table(self) -> polars.DataFrame:
        """signals, effect, normalised, p, adjusted, verdict: a row for each set."""
        import polars

        columns = {name: [getattr(row, name) for row in self.rows] for name in Row._fields}
        return polars.DataFrame(columns | {"signals": [" + ".join(row.signals) for row in self.rows]})

    @property
    def recommendation(self) -> str:
        """What to tell the critic, in words."""
        return " ".join(_sentences(self))

    def __str__(self) -> str:
        width = max(len(" + ".join(row.signals)) for row in self.rows)
        lines = [self.about, f"{'signals':{width}s}  {'effect':>10s}  {'norm.':>8s}  {'p':>7s}  {'adjusted':>8s}  verdict"]
        for row in self.rows:
            figures = f"{row.effect:10.3g}  {row.normalised:8.4f}  {row.p:7.4f}  {row.adjusted:8.4f}"
            told = row.p == row.p
            lines.append(f"{' + '.join(row.signals):{width}s}  {figures if told else ' ' * len(figures)}  {row.verdict}")
        return "\n".join([*lines, "", self.recommendation])

    __repr__ = __str__


def _sentences(ranking: Ranking) -> list[str]:
    single = {row.signals[0]: row for row in ranking.rows if len(row.signals) == 1}
    said: list[str] = []
    if ranking.chosen:
        said.append(f"Tell the critic {_named(ranking.chosen)}: {_evidence(ranking)}.")
    else:
        tested = [row.adjusted for row in ranking.rows if row.p == row.p]
        informative = [row for row in ranking.rows if row.verdict == "informative"]
        together = [row for row in informative if len(row.signals) > 1]
        if not ranking.stages and informative:
            said.append(f"Informative: {'; '.join(f'{_named(row.signals)} ({_figures(row)})' for row in informative)}.")
        elif together:
            said.append(f"By itself no signal was found to help; together {_named(together[0].signals)} do ({_figures(together[0])}).")
        elif informative:
            said.append(
                f"No single signal was found to help, but {_named(informative[0].signals)} does ({_figures(informative[0])}): what matters "
                "may be in parts of it that have no name."
            )
        elif tested:
            said.append(
                "Nothing here helps, as far as these episodes tell: no signal was found to tell about the return what history and action "
                f"do not (smallest adjusted p {min(tested):.2g}); more episodes see smaller effects."
            )
        else:
            said.append("No signal could be tested.")
    final = ranking.stages[-1] if ranking.stages else None
    for row in final.rows if final is not None and ranking.chosen else ():
        name = row.signals[0]
        if row.verdict == "informative":
            said.append(f"`{name}` adds to that ({_figures(row)}), but no more were asked for.")
        elif single[name].verdict == "informative":
            said.append(f"Beside {_named(ranking.chosen)} nothing was found that `{name}` adds (p {row.p:.2g}).")
        else:
            said.append(f"`{name}`: nothing found that the agent does not already remember (p {single[name].p:.2g}).")
    for name, row in single.items():
        if row.p != row.p:
            said.append(f"`{name}` was {row.verdict}.")
    known = ranking.facts.get("chosen_effect", float("nan"))
    state = single.get("state")
    if state is not None and ranking.chosen and "state" not in ranking.chosen and state.verdict == "informative" and known == known:
        said.append(f"The full state has {'a larger' if state.normalised > known else 'no larger'} effect ({state.normalised:.3g}).")
    return said


def _evidence(ranking: Ranking) -> str:
    parts = []
    for stage, name in zip(ranking.stages, ranking.chosen, strict=False):
        row = next(row for row in stage.rows if row.signals == (name,))
        beside = f" beside {_named(stage.given)}" if stage.given else ""
        parts.append(f"`{name}`{beside} {_figures(row)}")
    return "; ".join(parts)


def _figures(row: Row) -> str:
    return f"effect {row.normalised:.3g}, adjusted p {row.adjusted:.2g}"


def _named(names: Subset) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
