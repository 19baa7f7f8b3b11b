"""The command line: a thin shell over the Python API."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from unseen.errors import UserError, unknown
from unseen.experiments.settings import Experiment
from unseen.learning.settings import A2C, PPO, VTrace

_ALGORITHMS = {"a2c": A2C, "ppo": PPO, "vtrace": VTrace}


@dataclass(frozen=True)
class Train:
    """Train an agent, or go on with an interrupted run. First argument: an environment, a .pomdp or .toml file, or a run directory."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    out: Path | None = None
    """Run directory; default: runs/ENVIRONMENT-…, named by the settings."""
    extend: int | None = None
    """A larger budget of environment steps for the run directory given first."""
    sinks: tuple[Literal["tensorboard"], ...] = ()
    """Further places for the metrics."""
    trust: bool = False
    """Let the environment "gym:module:ID" of a run directory or .toml file import its module."""


@dataclass(frozen=True)
class Evaluate:
    """Play whole episodes with the trained agents of a run."""

    run: Annotated[Path, tyro.conf.Positional]
    level: tuple[str, ...] = ()
    """Levels of the environment; default: train, and those held out where there are any."""
    episodes: int = 1_000
    """Episodes for each seed and level."""
    greedy: bool = False
    """The most probable actions instead of draws."""
    save: Path | None = None
    """Write the first seed's episodes on the first of these levels to this Parquet file."""
    trust: bool = False
    """Let the environment "gym:module:ID" of the run import its module."""


@dataclass(frozen=True)
class Report:
    """One page about one or more runs."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    out: Path = Path("report.html")
    """Where to write the page."""
    trust: bool = False
    """Let the environments "gym:module:ID" of the runs import their modules."""


@dataclass(frozen=True)
class Signals:
    """Which privileged signals are worth telling a critic: tested before any training. First argument: an environment or .parquet file."""

    source: Annotated[str, tyro.conf.Positional]
    signals: tuple[str, ...] = ()
    """Only these; default: all."""
    methods: tuple[Literal["kci", "standardised", "plain", "hscic", "prediction"], ...] = ("kci", "prediction")
    """Criterion A (kci, standardised, plain, hscic) and B (prediction), in order."""
    regressor: Literal["forest", "extra-trees", "linear"] = "forest"
    """Of criterion A, plain and standardised; extra-trees is about five times as fast."""
    episodes: int | None = None
    """To record and test on; default: 250, for prediction 500."""
    steps: int = 25
    """Longest recorded episode; raise it where rewards come late."""
    draws: int = 1_000
    """Permutations."""
    discount: float = 0.99
    """Of the returns."""
    alpha: float = 0.05
    """False-discovery rate among the sets tested."""
    seed: int = 0
    """Of everything drawn."""
    leaks: bool = False
    """Test too whether a signal knows the action that follows it."""
    out: Path | None = None
    """Write a page here."""
    environment_options: dict[str, Any] = field(default_factory=dict)
    """Options for the environment's constructor."""


@dataclass(frozen=True)
class Outcomes:
    """What would have happened, from a table of logged decisions: unseen outcomes fit|compare|report|check|simulate."""


@dataclass(frozen=True)
class Plan:
    """How often should an agent plan, and what was it worth? unseen plan evaluate|sweep|worth|collect|sft|rl|steer|obey."""


@dataclass(frozen=True)
class Reproduce:
    """Published experiments again: reproduce informed|memory|outcomes|planning --scale smoke|laptop|paper. Interrupted, it goes on."""

    name: Annotated[Literal["informed", "memory", "outcomes", "planning"], tyro.conf.Positional]
    """informed: critics that are told signals; memory: which memory helps when; outcomes: estimates of Q from logged
    decisions; planning: how often an agent should plan."""
    scale: Literal["smoke", "laptop", "paper", "paper-first-person"] = "smoke"
    """smoke: under 3 minutes; laptop: under 90 on two cores (memory: 4 hours, outcomes: 45, planning: 60); paper: for a GPU (outcomes: 50
    data sets)."""
    out: Path | None = None
    """Directory for everything; default: reproduce/NAME-SCALE."""
    minutes: float | None = None
    """Another time limit than the scale's own; cells that do not fit read "not run"."""


@dataclass(frozen=True)
class Quickstart:
    """All four kinds of critic on one environment, compared on one page; a few minutes on a CPU."""

    out: Path = Path("quickstart")
    """Directory for the runs and report.html."""
    env_steps: int = 120_000
    """Environment steps of each seed."""
    seeds: int = 6
    """Seeds of each critic."""


@dataclass(frozen=True)
class List:
    """Environments by name, with what a critic may be told about each."""

    matching: Annotated[str, tyro.conf.Positional] = ""
    """Only names that contain this."""


@dataclass(frozen=True)
class Play:
    """Play an environment yourself, in the browser, on what an agent sees; episodes are recorded and scored."""

    environment: Annotated[str, tyro.conf.Positional]
    level: str = "train"
    """A level of the environment."""
    seed: int = 0
    """With an episode's number, it decides what is drawn in it; a folder gives each number once."""
    out: Path | None = None
    """Folder of the recorded episodes; default: runs/play/ENVIRONMENT."""
    port: int = 8_000
    """Of the page, on this machine only; 0: any free one."""
    episodes: int | None = None
    """End after so many; default: with Ctrl-C."""
    player: str = ""
    """Recorded with every episode."""
    frames_per_second: float | None = None
    """Let time run at this rate; 0: a step at each key; default: the environment's own."""
    reveal: bool = False
    """Show the state beside the observation."""
    browser: bool = True
    """Open it."""
    environment_options: dict[str, Any] = field(default_factory=dict)
    """Options for the environment's constructor."""


@dataclass(frozen=True)
class Doctor:
    """What this installation can do: versions, devices, extras, the compilation cache, and a short self-test."""

    test: bool = field(default=True)
    """Compile and run a small update, twice, and compare the results bit for bit."""


def train(command: Train) -> int:
    from unseen.environments.adapters.gymnasium_ids import module_imports

    given = Path(command.experiment.environment)
    typed = given.suffix != ".toml" and not _is_run(given)
    with module_imports(typed or command.trust):
        return _train(given, command)


def _train(given: Path, command: Train) -> int:
    import unseen
    from unseen.commands.progress import progress
    from unseen.experiments.names import directory_name

    if not command.experiment.environment:
        raise UserError("unseen train needs an environment, a .pomdp or .toml file, or a run directory; unseen list shows what there is")
    if _is_run(given):
        run = _resumed(given, command)
    else:
        if given.suffix == ".toml":
            command = replace(command, experiment=_from_file(given))
        if command.extend is not None:
            raise UserError(f"--extend goes with a run directory, and {str(given)!r} is none; for a new run use --env-steps")
        out = command.out or Path("runs") / directory_name(command.experiment)
        print(f"training {command.experiment.environment} into {out}")
        with progress(command.experiment) as show:
            run = unseen.train(command.experiment, out, callbacks=[show], sinks=command.sinks)
    path = unseen.report([run], run.directory / "report.html")
    print(f"report: {path}")
    return 0


def _is_run(given: Path) -> bool:
    return os.path.exists(given / "experiment.toml")  # unlike Path.exists, it takes a name that no file can have


def _from_file(path: Path) -> Experiment:
    """The experiment a TOML file describes."""
    from unseen.experiments.toml import from_toml

    try:
        return from_toml(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; write the path of an experiment.toml") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error


def _refuse_settings(environment: str, arguments: list[str]) -> None:
    """A run directory and a TOML file are complete: no setting goes with them, and a run stays in its directory."""
    given = Path(environment)
    a_run = _is_run(given)
    if not a_run and given.suffix != ".toml":
        return
    allowed = {"--environment", "--extend", "--sinks", "--trust"} | (set() if a_run else {"--out"})
    for flag in (a.partition("=")[0] for a in arguments if a.startswith("--")):
        if flag == "--out" and a_run:
            raise UserError(f"--out does not go with {given}, a run directory, which is trained where it is: leave it out")
        if flag not in allowed:
            raise UserError(f"{given} has settings of its own: leave {flag} out, or name an environment to start from")


def _resumed(directory: Path, command: Train) -> Any:
    import unseen
    from unseen.commands.progress import progress
    from unseen.experiments.train import extend

    experiment = unseen.load(directory).experiment
    wanted = replace(experiment, env_steps=command.extend) if command.extend else experiment
    with progress(wanted) as show:
        if command.extend is not None:
            # What may be imported was settled before: inside, trust can only be taken away.
            return extend(directory, command.extend, trust=True, callbacks=[show], sinks=command.sinks)
        return unseen.train(experiment, directory, callbacks=[show], sinks=command.sinks)


def evaluate(command: Evaluate) -> int:
    import polars as pl
    from rich.console import Console

    import unseen
    from unseen.commands.table import as_table
    from unseen.experiments.generalisation import levels_of

    run = unseen.load(command.run, trust=command.trust)
    levels = command.level or levels_of(run)
    played = pl.concat([run.evaluate(level, command.episodes, greedy=command.greedy) for level in levels], how="diagonal")
    Console().print(as_table(played))
    if command.save is not None:
        run.episodes(command.episodes, level=levels[0], greedy=command.greedy).write(command.save)
        print(f"episodes: {command.save}")
    return 0


def report(command: Report) -> int:
    import unseen

    if not command.runs:
        raise UserError("unseen report needs at least one run directory")
    print(f"report: {unseen.report([unseen.load(path, trust=command.trust) for path in command.runs], command.out)}")
    return 0


def signals(command: Signals) -> int:
    from unseen.commands.signals import signals
    from unseen.environments.adapters.gymnasium_ids import module_imports

    with module_imports(True):  # typed by the user, as for training
        signals(
            command.source,
            command.methods,
            names=command.signals,
            regressor=command.regressor,
            draws=command.draws,
            leaks=command.leaks,
            out=command.out,
            options=command.environment_options,
            episodes=command.episodes,
            steps=command.steps,
            discount=command.discount,
            alpha=command.alpha,
            seed=command.seed,
        )
    return 0


def reproduce(command: Reproduce) -> int:
    from unseen.commands.reproduce import reproduce

    out = command.out or Path("reproduce") / f"{command.name}-{command.scale}"
    print(f"report: {reproduce(command.name, command.scale, out, command.minutes)}")
    return 0


def quickstart(command: Quickstart) -> int:
    from unseen.commands.quickstart import quickstart

    print(f"report: {quickstart(command.out, env_steps=command.env_steps, seeds=command.seeds)}")
    return 0


def list_(command: List) -> int:
    from rich.console import Console
    from rich.table import Column, Table

    import unseen

    matching = [name for name in unseen.environments.names() if command.matching in name] or [command.matching]
    whole = Column("environment", no_wrap=True, min_width=max(map(len, matching)))  # a name that is cut cannot be typed
    told = Column("signals a critic may be told", overflow="fold")
    table = Table(whole, "observation", "action", told, "levels")
    for name in matching:
        environment = unseen.make(name)
        params = environment.levels["train"][0][1]
        seen, act = environment.observation_space(params), environment.action_space(params)
        table.add_row(name, _short(seen), _short(act), ", ".join(environment.signal_spaces(params)), ", ".join(environment.levels))
    Console().print(table)
    print('also: other sizes, as in heavenhell-1 and shopping-3, a path to a .pomdp file, "gymnax:NAME",')
    print('and "gym:ID" for any Gymnasium environment; in words, for unseen plan: graph-search, crafter, minigrid/LEVEL')
    return 0


def _short(space: Any) -> str:
    kind = type(space).__name__
    if kind == "Discrete":
        return f"Discrete({space.n})"
    return f"{kind}{tuple(space.shape)}" if space.shape is not None else kind


def play(command: Play) -> int:
    from unseen.commands.play.command import play
    from unseen.commands.play.session import Settings

    settings = Settings(command.level, command.seed, command.player, command.episodes, command.frames_per_second, command.reveal)
    out, options = command.out, command.environment_options
    play(command.environment, settings, out=out, port=command.port, browser=command.browser, options=options)
    return 0


def doctor(command: Doctor) -> int:
    from unseen.commands.doctor import doctor

    return doctor(test=command.test)


_COMMANDS: dict[str, tuple[type, Callable[[Any], int]]] = {
    "quickstart": (Quickstart, quickstart),
    "list": (List, list_),
    "signals": (Signals, signals),
    "outcomes": (Outcomes, lambda command: 0),
    "plan": (Plan, lambda command: 0),
    "train": (Train, train),
    "evaluate": (Evaluate, evaluate),
    "report": (Report, report),
    "reproduce": (Reproduce, reproduce),
    "play": (Play, play),
    "doctor": (Doctor, doctor),
}


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a user's mistake is one line on standard error and exit code 2, an interrupt is 130."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = _dispatch(list(arguments))
        sys.stdout.flush()
    except UserError as error:
        print(f"unseen: {error}", file=sys.stderr)
        code = 2
    except RuntimeError as error:
        if type(error).__name__ != "EnvironmentCrash":
            raise
        print(f"unseen: {error}", file=sys.stderr)  # somebody else's environment failed: its own traceback is part of the message
        code = 1
    except BrokenPipeError:  # as in `unseen list | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
        code = 141
    except KeyboardInterrupt as interrupt:
        print(f"unseen: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        code = 130
    sys.exit(code)


def _dispatch(arguments: list[str]) -> int:
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        return _usage("unseen", _COMMANDS)
    if name == "--version":
        import unseen

        print(f"unseen {unseen.__version__}")
        return 0
    if name not in _COMMANDS:
        raise unknown("command", name, _COMMANDS)
    kind, run = _COMMANDS[name]
    if kind is Outcomes or kind is Plan:
        return _family(name, rest)
    if kind is Train:
        return run(_parsed_train(rest))
    from unseen.commands.words import registry

    return run(_parsed(kind, rest, prog=f"unseen {name}", registry=registry))


def _usage(program: str, commands: Mapping[str, tuple[type, Callable[[Any], int]]]) -> int:
    print(f"usage: {program} COMMAND [OPTIONS]     ({program} COMMAND --help tells more)\n")
    for command, (kind, _) in commands.items():
        print(f"  {command:12s}{(kind.__doc__ or '').splitlines()[0]}")
    return 0


def _family(family: str, arguments: list[str]) -> int:
    """A family of commands; which settings there are is known when one is chosen."""
    from unseen.commands.words import registry

    if family == "plan":
        from unseen.commands.planning import COMMANDS as commands
    else:
        from unseen.commands.outcomes import COMMANDS as commands
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        return _usage(f"unseen {family}", commands)
    if name not in commands:
        raise unknown(f"command of unseen {family}", name, commands)
    kind, run = commands[name]
    return run(_parsed(kind, rest, prog=f"unseen {family} {name}", registry=registry))


def _parsed(kind: type, arguments: list[str], **options: Any) -> Any:
    """The command that the arguments spell; what tyro says in a box about a mistake becomes one line."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=arguments, **options)
    except SystemExit as stop:
        if not stop.code:
            sys.stdout.flush()
            raise
        raise UserError(_one_line(said.getvalue())) from None


def _one_line(box: str) -> str:
    """The message in a box, with the nearest flag, or the flag's form, which its further parts tell."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip(" │╭╮╰╯") for line in box.splitlines()]
    parts: list[list[str]] = [[]]
    for line in lines[1:]:  # after the title
        if line.strip("─-"):
            parts[-1].append(line)
        elif parts[-1]:
            parts.append([])  # a rule
    message = " ".join(parts[0]).removeprefix("Error parsing ")
    if choice := re.fullmatch(r"invalid choice '(.*)' for argument '(--\S+)'\. Expected one of \((.*)\)\.", message):
        return str(unknown(f"value of {choice[2]}", choice[1], re.findall(r"'([^']*)'", choice[3])))
    for title, *told in filter(None, parts[1:]):
        if title == "Perhaps you meant:" and told:
            message += f"; did you mean {told[0].split()[0]}?"
        if title == "Argument helptext:" and told and "; " not in message:
            message += f"; write {told[0]}"
    return message or "these arguments are not understood; --help tells which there are"


def _parsed_train(arguments: list[str]) -> Train:
    """`--algorithm NAME` chooses which settings there are; memories and environment options are written in one word each."""
    from unseen.commands.words import registry

    given, chosen = arguments, "a2c"
    arguments = [word for a in given for word in (a.split("=", 1) if a.startswith("--algorithm=") else [a])]
    if "--algorithm" in arguments:
        k = arguments.index("--algorithm")
        chosen = arguments[k + 1] if k + 1 < len(arguments) else ""
        if chosen not in _ALGORITHMS:
            raise unknown("algorithm", chosen, _ALGORITHMS)
        del arguments[k : k + 2]
    arguments = ["--agent." + a[2:] if a.startswith("--critic.") else a for a in arguments]
    if "--trust" in arguments:  # a switch, among settings that all take a value
        k = arguments.index("--trust") + 1
        arguments[k:k] = [] if arguments[k : k + 1] in (["True"], ["False"]) else ["True"]
    if arguments and not arguments[0].startswith("-"):
        arguments = ["--environment", *arguments]
    default = Train(Experiment("", algorithm=_ALGORITHMS[chosen]()))
    config = (tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff)
    prog = "unseen train ENVIRONMENT [--algorithm a2c|ppo|vtrace]"
    command = _parsed(Train, arguments, prog=prog, default=default, config=config, registry=registry)
    _refuse_settings(command.experiment.environment, given)
    return command


if __name__ == "__main__":
    main()
