"""The page of `reproduce outcomes`: what came out beside what is known of the paper, sweeps, nuisances, values, and sepsis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from unseen.experiments.reproduce.outcomes import Outcome, Results
from unseen.experiments.reproduce.outcomes_grid import (
    ALL_TRUE,
    ASKED,
    DRQ,
    FITTED,
    FOLDS,
    FOUR,
    GROUPS,
    INITIAL,
    NEAREST,
    NO_SPLIT,
    OF_SEPSIS,
    PLUG_IN,
    ROLLOUTS,
    SEPSIS,
    SLOW,
    TOYS,
    TRUE_RATIOS,
    TUMOUR,
    Setting,
    nuisance,
)
from unseen.reports.blocks import Block, Cell, Figure, Section, Table, Text
from unseen.reports.outcomes_shapes import claims
from unseen.reports.outcomes_summaries import NOT_RUN, cell, failures, scale_of, shown, spread, value_of
from unseen.reports.page import Page
from unseen.reports.panels import Panel, Spread, panels
from unseen.reports.text import number

NAMES = {"n": "transitions", "horizon": "effective horizon", "epsilon_e": "evaluation epsilon", "epsilon_b": "behaviour epsilon"}
CLASSES = {"saturated": "saturated second stage", "linear": "linear second stage"}
ERROR = "relative squared error"
SPREADS = "Medians over data sets; bars and brackets from the 2.5 to the 97.5 percentile over data sets"


def page(results: Results) -> Page:
    """The whole report."""
    done, of = sum(o.seeds for o in results.outcomes), sum(o.cell.seeds for o in results.outcomes)
    lead = (
        f"Individualized outcomes by the DRQ-learner and others, scale {results.scale}: {done:,} of {of:,} data sets estimated. Truth is "
        "exact. What did not fit into the time reads “not run”."
    )
    return Page("Orthogonal learning of outcomes, reproduced", sections(results), lead)


def sections(results: Results) -> list[Section]:
    """All of them; those of which nothing was run say so."""
    return [
        method_section(results),
        identity_section(results),
        shapes_section(results),
        sweeps_section(results),
        default_section(results),
        nuisance_section(results),
        value_section(results),
        flexible_section(results),
        sepsis_section(results),
        tumour_section(results),
        progress_section(results),
    ]


def method_section(results: Results) -> Section:
    """What was done, and what the source is."""
    d = scale_of(results).default
    sweeps = "; ".join(f"{NAMES[name]} {', '.join(map(str, scale_of(results).swept(name)))}" for name in scale_of(results).sweeps)
    return Section(
        "What was done",
        [
            Text(
                "Javurek et al. (2026) could not be read beyond its abstract; its experiments are known from second-hand notes, and its "
                "numbers are not known at all. So shapes are compared with those notes, marked “second hand”, and no figure here stands "
                "beside a published one."
            ),
            Text(
                f"One thing at a time departs from {d.n:,} transitions, effective horizon h = {d.horizon} (discount {d.discount:.3g}), "
                f"evaluation epsilon {d.epsilon_e} and behaviour epsilon {d.epsilon_b}, the last of which is our choice: {sweeps}. Both "
                "policies are epsilon-greedy around the best action at the setting's discount. Data are whole episodes with restarts, "
                "the last one cut. Taxi is deterministic, as in Gymnasium; with a fixed destination it has 125 states."
            ),
            Text(
                f"The {ERROR} is ||Q-hat - Q||² / ||Q||² over every action in every non-terminal state that behaviour can get to. A "
                "pair (s, a) that the data do not hold counts too: saturated learners give it the mean over the rows of its state, or "
                "of all rows where the state has none, by one rule for all of them; other learners extrapolate. “Visited” leaves "
                "those pairs out; “weighted” weighs all of them by p_b(s) pi_e(a|s), p_b exact."
            ),
            Text(
                "Linear: indicators of row, column, passenger and destination as far as there are, and of the action, without "
                "interactions; DRQ then starts from the linear FQE. Nuisances are cross-fitted on five folds of trajectories and cells "
                "weighed by their own frequency (self-normalised) unless said otherwise. The linear MQL uses 500 landmarks. No output is "
                "clipped.",
                "soft",
            ),
        ],
    )


def identity_section(results: Results) -> Section:
    """Where FQE and DRQ cannot differ."""
    rows: list[list[Cell]] = []
    for task in TOYS:
        some = [o for o in results.outcomes if o.cell.task == task and o.cell.group == "main" and o.seeds]
        nuisances = cell(results, task, "nuisances")
        rows.append(
            [
                TOYS[task],
                _largest(some, [f"saturated: {NO_SPLIT}"]),
                _largest([nuisances] if nuisances else [], [f"saturated: {nuisance(q, 1)}" for q in INITIAL if q != "linear"]),
                shown(spread(cell(results, task), f"saturated: {DRQ}", "from_fqe")),
                shown(spread(cell(results, task), f"saturated: {FITTED}")),
            ]
        )
    columns = ("task", "DRQ without splitting, largest", "the same from poor Q1, largest", "DRQ, five folds", "FQE's own error")
    return Section(
        "Where FQE and DRQ are the same",
        [
            Text(
                "With a saturated class, nuisances that come from the same rows and cells weighed by their own frequency, DRQ is "
                "converged tabular FQE exactly, whatever initial Q it starts from: an identity, so no benchmark of that kind can show "
                "a difference. With cross-fitting from a converged Q1 the two nearly coincide. An advantage of DRQ can only come from "
                "a restricted class, an initial Q that is under-fitted or misspecified, or nuisances from elsewhere.",
                "verdict",
            ),
            Table(columns, rows, "Squared distance from FQE, divided by ||Q||²; initial Q by 0, 1, 3 or 10 sweeps, or converged"),
            Text(
                "The same holds for the model-based estimate, which is converged tabular FQE by another name. A linear initial Q is "
                "left out of the second column: it fills pairs without data differently.",
                "soft",
            ),
        ],
    )


def _largest(outcomes: Sequence[Outcome], methods: Sequence[str]) -> str:
    found = [o.rows.filter(pl.col("method").is_in(methods))["from_fqe"].max() for o in outcomes]
    known = [value for value in found if isinstance(value, float)]
    return number(max(known)) if known else NOT_RUN


def shapes_section(results: Results) -> Section:
    """What the notes say of the paper's figures, and what is seen here."""
    blocks: list[Block] = []
    tasks = [task for task in TOYS if cell(results, task)]
    for family, title in CLASSES.items():
        rows: list[list[Cell]] = [[claim, said, *[measured(results, task, family) for task in tasks]] for claim, said, measured in claims()]
        columns = ("here", "published shape, second hand", *[TOYS[task] for task in tasks])
        blocks.append(Table(columns, rows, f"{title[0].upper()}{title[1:]}; errors are medians over data sets"))
    note = (
        "“Of the four” compares medians, so where two methods all but coincide the order is chance. Nothing is known about how the "
        "published FQE was trained; one that is converged cannot be beaten in the saturated class."
    )
    return Section("Beside the published shapes", [*blocks, Text(note, "soft")] if tasks else [Text(NOT_RUN)])


def sweeps_section(results: Results) -> Section:
    """A figure for each task and class."""
    blocks: list[Block] = []
    for task in TOYS:
        for family, title in CLASSES.items():
            if cell(results, task) is not None:
                caption = f"{TOYS[task]}, {title}. {SPREADS}."
                blocks.append(Figure(panels(sweep_panels(results, task, family), ERROR), caption, _described(results, task, family)))
    return Section("Sweeps", blocks or [Text(NOT_RUN)])


def sweep_panels(results: Results, task: str, family: str) -> list[Panel]:
    """The four published methods along every sweep; with a linear class the nearest linear function too."""
    found = []
    for name in scale_of(results).sweeps:
        along = scale_of(results).swept(name)
        cells = [cell(results, task, "main", setting) for setting in along.values()]
        lines = {label: [spread(one, f"{family}: {label}") for one in cells] for label in FOUR}
        if family == "linear":
            lines[NEAREST] = [spread(one, f"linear: {NEAREST}") for one in cells]
        found.append(Panel(NAMES[name], [f"{value:,g}" for value in along], lines))
    return found


def _described(results: Results, task: str, family: str) -> str:
    each = "; ".join(f"{label} {shown(spread(cell(results, task), f'{family}: {label}'))}" for label in FOUR)
    return f"Errors along four sweeps on {TOYS[task]}. At the default setting: {each}."


def default_section(results: Results) -> Section:
    """All methods at the default setting."""
    blocks: list[Block] = []
    for task in TOYS:
        outcome = cell(results, task)
        if outcome is None:
            continue
        rows: list[list[Cell]] = [_row(outcome, method.name, method.name) for method in outcome.cell.methods if method.family != "value"]
        blocks.append(Table(COLUMNS, rows, TOYS[task]))
    text = (
        f"“{TRUE_RATIOS}” has the true behaviour policy and density ratio, “{ALL_TRUE}” the true initial Q as well, both with raw "
        f"weights: estimated frequencies can be the better weights. “{NEAREST}” is the linear function with the least error over all pairs."
    )
    return Section("All methods at the default setting", [Text(text), *blocks] if blocks else [Text(NOT_RUN)])


COLUMNS = ("class: method", "mean", "median", "2.5 %", "97.5 %", "median, visited", "median, weighted", "data sets")


def _row(outcome: Outcome, name: str, title: str) -> list[Cell]:
    found, visited, weighted = (spread(outcome, name, measure) for measure in ("rmse", "visited", "weighted"))
    if found is None or weighted is None:
        failed = failures(outcome, name)
        return [title, *[None] * 6, f"failed on {failed}" if failed else NOT_RUN]
    return [title, found.mean, found.median, found.low, found.high, visited and visited.median, weighted.median, found.seeds]


def nuisance_section(results: Results) -> Section:
    """What the initial Q, splitting, weights, smoothing and row weights change."""
    blocks: list[Block] = []
    for task in TOYS:
        outcome = cell(results, task, "nuisances")
        if outcome is None:
            continue
        caption = f"{TOYS[task]}: error by initial Q, left saturated, right linear second stage. {SPREADS}."
        described = "; ".join(f"Q1 {q}: {shown(spread(outcome, f'saturated: {nuisance(q, 5)}'))}" for q in INITIAL)
        blocks.append(Figure(panels(nuisance_panels(outcome), ERROR), caption, f"DRQ on five folds, saturated. {described}."))
        plain_names = {nuisance(q, k) for q in INITIAL for k in FOLDS}
        rows = [_row(outcome, m.name, m.name) for m in outcome.cell.methods if m.label not in plain_names]
        blocks.append(Table(COLUMNS, rows, f"{TOYS[task]}: plug-ins, raw weights, smoothing, row weights"))
    text = (
        "Q1 is tabular FQE after so many sweeps, the linear FQE, or 0; K folds, 1: none. Cross-fitted from a Q1 that is far off, DRQ "
        "leaves uncorrected what a fold never visits, so the fewer rows a fold has, the more of Q1's error stays. Smoothed: every "
        "visited pair's transitions get one visit spread over all states, for Q1 and ratio alike. Policy-weighted rows: the published "
        "risk, pi_e instead of uniform."
    )
    return Section("Nuisances at the default setting", [Text(text), *blocks] if blocks else [Text(NOT_RUN)])


def nuisance_panels(outcome: Outcome) -> list[Panel]:
    """Error by initial Q: its own, and DRQ's by number of folds."""
    ticks = ["0", *[q.replace(" sweeps", "").replace(" sweep", "") for q in INITIAL if "sweep" in q], "∞", "lin."]
    found = []
    for family in CLASSES:
        lines: dict[str, Sequence[Spread | None]] = {}
        own = [spread(outcome, f"{'linear' if q == 'linear' else 'saturated'}: {nuisance(q, 1, PLUG_IN)}") for q in INITIAL]
        lines["Q1 alone (FQE)"] = own
        for k in FOLDS:
            lines[f"DRQ, K = {k}"] = [spread(outcome, f"{family}: {nuisance(q, k)}") for q in INITIAL]
        found.append(Panel("sweeps of Q1", ticks, lines, CLASSES[family]))
    return found


def value_section(results: Results) -> Section:
    """Errors of the value, and how often intervals hold it."""
    blocks: list[Block] = []
    columns = ("class: method", "mean error", "root mean squared", "95 % intervals that hold V", "over all settings", "median width")
    for task in TOYS:
        outcome = cell(results, task)
        if outcome is None:
            continue
        everywhere = [o for o in results.outcomes if o.cell.task == task and o.cell.group == "main"]
        rows = [_value_row(outcome, m.name, everywhere) for m in outcome.cell.methods if m.learner != "Nearest"]
        truth, episodes = outcome.rows["true_value"][0], outcome.rows["episodes"]
        caption = (
            f"{TOYS[task]}: V = {number(truth)}, from {outcome.cell.setting.n:,} transitions in {episodes.min():g} to {episodes.max():g} "
            "episodes; averaged over the data's first states"
        )
        blocks.append(Table(columns, rows, caption))
    text = (
        "Learners with intervals sum the influence within episodes. Episodes of Taxi under near-uniform behaviour are long, so there "
        "are few of them: below a hundred, intervals cannot be trusted, and the package's verdict is amber at best. "
        "Values of double reinforcement learning and of the saturated DRQ are the same number. Learners without intervals are plug-ins."
    )
    return Section("Values of the policy", [Text(text), *blocks] if blocks else [Text(NOT_RUN)])


def _value_row(outcome: Outcome, name: str, everywhere: Sequence[Outcome]) -> list[Cell]:
    found = value_of(outcome, name)
    if found is None:
        return [name, None, None, NOT_RUN, None, None]
    if found.intervals == 0:
        return [name, found.bias, found.rmse, "no interval", None, None]
    each = [value for o in everywhere if (value := value_of(o, name)) is not None]
    total = f"{sum(v.covered for v in each)} of {sum(v.intervals for v in each)}"
    return [name, found.bias, found.rmse, f"{found.covered} of {found.intervals}", total, found.width]


def flexible_section(results: Results) -> Section:
    """Networks and trees."""
    rows: list[list[Cell]] = []
    for task in TOYS:
        for group in SLOW:
            outcome = cell(results, task, group)
            if outcome is None:
                rows.append([f"{TOYS[task]}, {group}", *[None] * 6, NOT_RUN])
            else:
                rows += [_row(outcome, m.name, f"{TOYS[task]}, {m.name}") for m in GROUPS[group]]
    text = (
        "Second stage and initial Q of one kind: two hidden layers of 64 units by 6,000 gradient steps, or LightGBM with 50 trees of 15 "
        "leaves and 40 sweeps; two folds. Both see indicators of every column, so both can tell any two states apart."
    )
    return Section(
        "Networks and trees at the default setting",
        [Text(text), Table(("task, " + COLUMNS[0], *COLUMNS[1:]), rows, "Relative squared errors")],
    )


def sepsis_section(results: Results) -> Section:
    """What is lost when something of the state is hidden."""
    blocks: list[Block] = []
    columns = (*COLUMNS[:3], "median, visited", "median, weighted", "mean error of V", "intervals that hold V", "data sets")
    for task, title in SEPSIS.items():
        outcome = cell(results, task, "sepsis")
        if outcome is None:
            blocks.append(Text(f"{title}: {NOT_RUN}."))
            continue
        rows: list[list[Cell]] = []
        for method in OF_SEPSIS:
            whole, value = _row(outcome, method.name, method.name), value_of(outcome, method.name)
            held = None if value is None or value.intervals == 0 else f"{value.covered} of {value.intervals}"
            rows.append([*whole[:3], *whole[5:7], None if value is None else value.bias, held, outcome.seeds])
        blocks.append(Table(columns, rows, f"Sepsis, {title}; V = {number(outcome.rows['true_value'][0])}"))
    setting = next((o.cell.setting for o in results.outcomes if o.cell.group == "sepsis"), Setting())
    text = (
        f"{setting.n:,} transitions of at most 20 steps an episode, discount {setting.discount:.3g}, epsilon {setting.epsilon_b} for "
        f"behaviour and {setting.epsilon_e} for the policy judged. Behaviour looks at everything but glucose, the policy judged neither "
        "at glucose nor at diabetes, so it and its value are the same at all three levels: with everything seen all assumptions hold, "
        "without diabetes actions are confounded, without glucose they are not but the state is not Markov. Truth for what is seen is "
        "the mean of the exact Q over the data's distribution of what is hidden. Most pairs of the full state have no data: read the "
        "weighted column."
    )
    return Section("Sepsis: what hiding part of the state costs", [Text(text), *blocks])


def tumour_section(results: Results) -> Section:
    """Continuous states, with the response observed or hidden."""
    blocks: list[Block] = []
    columns = (*COLUMNS[:5], "median, weighted", "mean error of V", "intervals that hold V", "data sets")
    for task, title in TUMOUR.items():
        rows: list[list[Cell]] = []
        for group in ("tumour", *[f"tumour-{kind}" for kind in SLOW]):
            outcome = cell(results, task, group)
            if outcome is None:
                rows.append([group, *[None] * 7, NOT_RUN])
                continue
            for method in outcome.cell.methods:
                whole, value = _row(outcome, method.name, method.name), value_of(outcome, method.name)
                held = None if value is None or value.intervals == 0 else f"{value.covered} of {value.intervals}"
                rows.append([*whole[:5], whole[6], None if value is None else value.bias, held, outcome.seeds])
        blocks.append(Table(columns, rows, f"Tumour, {title}"))
    setting = next((o.cell.setting for o in results.outcomes if o.cell.task in TUMOUR), Setting())
    text = (
        f"{setting.n} patients of at most 60 days, dosed by the size of the tumour; discount {setting.discount:.3g}, epsilon "
        f"{setting.epsilon_b} for behaviour and {setting.epsilon_e} for the policy judged, a rule on the diameter. Errors are over all "
        f"four doses on {ASKED} days of other patients, against {ROLLOUTS:,} rollouts each; weighted: by pi_e. The truth is the patient's "
        "own, so where only the type is seen part of the error cannot be avoided, and the assumptions fail: for sensitivity only. "
        "Behaviour is estimated (logistic) unless said otherwise; linear: standardised numbers, coefficients for each action."
    )
    return Section("Tumour: continuous states", [Text(text), *blocks])


def progress_section(results: Results) -> Section:
    """How much was run, and what failed."""
    rows: list[list[Cell]] = []
    for outcome in results.outcomes:
        mine = outcome.cell
        failed = outcome.rows.filter(pl.col("failure") != "").height
        seconds = float(outcome.rows["seconds"].sum()) / outcome.seeds if outcome.seeds else None
        state = f"{outcome.seeds} of {mine.seeds}" if outcome.seeds else NOT_RUN
        rows.append([f"{mine.task}: {mine.group}, {mine.setting.name}", state, failed, seconds])
    notes = list(dict.fromkeys(_failed(results)))
    columns = ("task: methods, setting", "data sets", "fits that failed", "seconds a data set")
    return Section("All cells", [*[Text(note, "soft") for note in notes[:10]], Table(columns, rows)])


def _failed(results: Results) -> Iterator[str]:
    for outcome in results.outcomes:
        for name, failure in outcome.rows.filter(pl.col("failure") != "").select("method", "failure").unique().rows():
            yield f"{outcome.cell.task}: {name}: {failure}"
