"""A scripted model that plays graph search on what it reads: to try everything without weights. Never the source of a published figure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from unseen.environments.text.trees import ways as known_ways
from unseen.planning.grammar import CLOSE, OPEN, render
from unseen.planning.models.contract import Prompt
from unseen.planning.models.scripted import ScriptedModel

LINE = re.compile(r"(?m)^(?:node: )?(?:at )?(\d+)(?:, neighbors: \[| : )([\d, ]*)\]?$")
HERE = re.compile(r"current node: (\d+)|^at (\d+) :", re.MULTILINE)
TARGET = re.compile(r"target node: (\d+)|^target (\d+)", re.MULTILINE)
HELD = re.compile(r"(?:target|explore) (\d+) via ([\d ]+?)(?: later ([\d ]+))?(?:$|\n| later none)")


class Read(NamedTuple):
    """What a prompt says of a graph search."""

    here: int
    target: int
    edges: Mapping[int, set[int]]
    before: set[int]  # nodes of earlier observations in the window
    held: re.Match[str] | None


def reader() -> ScriptedModel:
    """A model that remembers nothing but what stands in its prompt: the window and the plan.

    Asked for a plan, it names a node at the edge of what it sees and the way there, and notes what it leaves behind; held to one, it
    follows it; without one it walks on to where it has not been in its window.
    """
    return ScriptedModel(_write, name="reader")


def _write(prompt: Prompt, force: str | None, forbid: str | None, generator: np.random.Generator) -> str:
    read = _read(prompt)
    if read is None:
        return f"{OPEN}no graph{CLOSE}" if force else "I see no graph"
    ways = {node: way[1:] for node, way in known_ways(read.edges, read.here).items()}
    planned = force is not None or (forbid is None and _outdated(read, ways))
    plan, route = (None, _route(read)) if not planned else _plan(read, ways, generator)
    near = sorted(read.edges.get(read.here, ()))
    if route and route[0] in near:
        return render(plan, str(route[0]))
    fresh = [node for node in near if node not in read.before] or near
    return render(plan, str(generator.choice(fresh)) if fresh else "stay")


def _read(prompt: Prompt) -> Read | None:
    """The last observation, and the plan and the nodes that stand in the rest of the prompt."""
    now = prompt[-1].content.rpartition("Observation:")[2]
    here, target = HERE.search(now), TARGET.search(now)
    if here is None or target is None:
        return None
    earlier = [HERE.search(message.content) for message in prompt[:-1] if message.role == "user"]
    before = {int(found[1] or found[2]) for found in earlier if found}
    return Read(int(here[1] or here[2]), int(target[1] or target[2]), edges_of(now), before, HELD.search(now))


def edges_of(text: str) -> dict[int, set[int]]:
    """The neighbours of every node in an observation, of either form."""
    edges: dict[int, set[int]] = {}
    for line in LINE.finditer(text):
        for near in re.findall(r"\d+", line[2]):
            edges.setdefault(int(line[1]), set()).add(int(near))
            edges.setdefault(int(near), set()).add(int(line[1]))
    return edges


def _route(read: Read) -> list[int]:
    """The nodes that are left of the held plan's route; nothing where there is none from here."""
    if read.held is None:
        return []
    route = [int(word) for word in read.held[2].split()]
    return route[route.index(read.here) + 1 :] if read.here in route else route


def _outdated(read: Read, ways: Mapping[int, tuple[int, ...]]) -> bool:
    """Whether the held plan leads nowhere, or the target has come into view and is not where it leads."""
    route = _route(read)
    return not route or route[0] not in read.edges.get(read.here, ()) or (read.target in ways and route[-1] != read.target)


def _plan(read: Read, ways: Mapping[int, tuple[int, ...]], generator: np.random.Generator) -> tuple[str, list[int]]:
    """A plan and its route: to the target, to the farthest unvisited node in sight, or back to what was left behind."""
    noted = [int(word) for word in (read.held[3] or "").split()] if read.held else []
    if read.target in ways:
        route = list(ways[read.target])
        return f"target {read.target} via {' '.join(map(str, route))} later none", route
    reach = max((len(way) for way in ways.values()), default=0)
    edge = [node for node, way in ways.items() if way and len(way) == reach and way[0] not in read.before]
    back = [node for node in noted if node in ways and node != read.here]
    goal = int(generator.choice(edge or back or [node for node in ways if node != read.here] or [read.here]))
    route = list(ways[goal])
    later = sorted({*(node for node in edge if node != goal), *noted} - {goal, read.here})
    return f"explore {goal} via {' '.join(map(str, route))} later {' '.join(map(str, later)) if later else 'none'}", route
