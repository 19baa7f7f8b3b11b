"""What an agent is made of, as settings: frozen dataclasses that import nothing but the standard library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class FeedForward:
    """No memory: the features are the encoded observation and previous action."""

    size: int | None = None
    """Width of a layer above them, as the ablations of memories have it; None: no layer."""


@dataclass(frozen=True)
class GRU:
    """A gated recurrent unit (Cho et al. 2014)."""

    size: int = 128
    """Width of the hidden state."""


@dataclass(frozen=True)
class LSTM:
    """A long short-term memory (Hochreiter & Schmidhuber 1997)."""

    size: int = 128
    """Width of the hidden and of the cell state."""


@dataclass(frozen=True)
class LRU:
    """A linear recurrent unit (Orvieto et al. 2023): complex diagonal recurrence, unrolled by an associative scan."""

    size: int = 128
    """Width of the complex state and of the output."""


@dataclass(frozen=True)
class Memax:
    """A memory model of the memax package (extra `memax`)."""

    model: str = "FART"
    """Name of the memax model: FART, FWP, DeltaNet, GDN, S6, LinearRNN, MinGRU, GRU, …"""

    size: int = 128
    """Width of its features."""


@dataclass(frozen=True)
class GTrXL:
    """A gated Transformer-XL (Parisotto et al. 2020): attention over the last steps, with gates instead of residual sums."""

    size: int = 128
    """Width of every layer."""

    layers: int = 2
    """Attention layers; each looks `window` steps further back through the one below."""

    heads: int = 4
    """Attention heads; divides `size`."""

    window: int = 64
    """Steps before the current one that a layer attends to."""


Working = FeedForward | GRU | LSTM | LRU


@dataclass(frozen=True)
class MEM:
    """An episodic memory beside a working memory (Fortunato et al. 2019): every step is written into a slot, the nearest are read."""

    working: Working = field(default_factory=LSTM)
    """The memory that reads it: MEM of an LSTM is the paper's."""

    capacity: int = 1024
    """Slots; the oldest write is overwritten. Fewer than an episode has steps (divided by `every`) forget its beginning."""

    neighbours: int = 10
    """K, how many of the nearest slots are read."""

    key_size: int = 256
    """Width of keys and queries."""

    every: int = 1
    """Steps between two writes."""

    recalls: Literal["state", "embedding", "both"] = "state"
    """What is read of a slot: the working memory's output, the embedding it saw, or both."""

    gradient: Literal["jumpy", "query", "through"] = "jumpy"
    """What a read teaches besides the query: the key weights at every slot read, however old (jumpy backpropagation); nothing; or, as
    far back as an unroll goes, the step that wrote, too."""


Memory = FeedForward | GRU | LSTM | LRU | GTrXL | Memax | MEM


@dataclass(frozen=True)
class Residual:
    """A residual network for pictures, as IMPALA has it: sections of a convolution, a pool that halves, and residual blocks."""

    blocks: int = 2
    """Residual blocks of each section: 1 or 2."""

    channels: tuple[int, ...] = (16, 32, 32)
    """Channels of each section."""

    size: int = 256
    """Width of the layer above them."""


@dataclass(frozen=True)
class CPC:
    """Contrastive predictive coding beside the agent's own loss: from the memory now, tell which observation of the sequence comes k
    steps later."""

    steps: int = 10
    """How many steps ahead, at most; beyond an unroll nothing is known."""

    weight: float = 1.0
    """Of the loss."""


@dataclass(frozen=True)
class Reconstruction:
    """Reconstruction beside the agent's own loss: what was seen, from what is written to memory."""

    weight: float = 1.0
    """Of the loss."""

    source: Literal["embedding", "both"] = "embedding"
    """What is decoded: the embedding of the observation, or it and the memory's features."""


Auxiliary = CPC | Reconstruction

# Settings that came later say so: a file leaves them out where they are what they were before, so that older files compare equal.
LATER: dict[str, bool] = {"later": True}


@dataclass(frozen=True)
class Critic:
    """What the critic may see: symmetric (), informed ("heaven",), history and state ("state",), state only with history=False."""

    history: bool = True
    """Whether the critic remembers the history; without it, bootstrapped targets are biased and refused."""

    signals: tuple[str, ...] = ()
    """Privileged signals, by name; embedded and joined after the recurrent part, never shown to the actor."""

    shared_trunk: bool = False
    """Whether encoder and memory are the actor's own (the published agents keep them apart)."""

    allow_biased: bool = False
    """Build a critic whose policy gradient is known to be biased, on purpose."""


@dataclass(frozen=True)
class Agent:
    """Encoder, memory and heads of an actor and its critic."""

    memory: Memory = field(default_factory=GRU)
    """What carries the past."""

    critic: Critic = field(default_factory=Critic)
    """What the critic may see."""

    embedding: int = 64
    """Width of each embedding: observation, previous action, signal."""

    layer: int | None = field(default=None, metadata=LATER)
    """Width of a layer above the observation's parts, which sees them together; None: the memory gets them side by side."""

    head: tuple[int, ...] = (512, 256)
    """Hidden widths of the policy head and of the value head."""

    activation: Literal["relu", "tanh", "leaky_relu", "silu"] = "relu"
    """Nonlinearity of embeddings and heads."""

    previous_action: bool = True
    """Whether the previous action is part of the input."""

    previous_reward: bool = field(default=False, metadata=LATER)
    """Whether the previous reward is part of the input."""

    pictures: Residual | None = None
    """A residual network for pictures; None: three strided convolutions."""

    auxiliary: Auxiliary | None = None
    """A loss beside the agent's own that shapes what is remembered."""

    policy_scale: float = 0.01
    """Scale of the initial weights of the policy's last layer: small starts near uniform; 1.0 is the published agents' choice."""

    box_policy: Literal["clipped", "tanh", "unbounded"] = "clipped"
    """How a Normal becomes an action of a Box space."""

    normalise_observations: bool = False
    """Whether vector observations are divided by running statistics (kept in the checkpoint)."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the matrix products; bfloat16 is for GPUs."""
