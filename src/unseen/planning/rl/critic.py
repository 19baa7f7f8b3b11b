"""What a step was expected to bring: a value head on the last hidden state of the last token that was read.

The informed critic reads privileged text behind the actor's own prompt, in a pass or a network of its own; the actor's prompt has no place
for it. Its expectation given the history is the value of the history, so that the actor's gradient keeps its expectation.
Source: Lambrechts et al. (informed asymmetric actor-critic), theorem 3.1, whose conditions are enforced here: the history stays in the
critic's input (its prompt begins with the actor's, token for token), and what it is told is fixed before the output is written.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from unseen.errors import UserError, unknown
from unseen.planning.models.local import LocalModel
from unseen.planning.rl.passes import last_hidden
from unseen.planning.rl.settings import RL

Where = Literal["shared", "pass", "model"]


@dataclass(frozen=True)
class TextCritic:
    """What the critic is told, and with which weights it reads.

    Attributes:
        signals: names of privileged texts of the environment, told to the critic and never to the actor.
        network: shared: the actor's own pass, which the value loss trains too; pass: the actor's weights in a second pass over the critic's
            text, which are left as they are, so that only the head learns; model: a network of its own, which begins as a copy. Default:
            shared, or a model where there are signals.
        history: whether it reads the actor's prompt; it must.

    Raises:
        UserError: signals with a shared pass, or a critic without the history.
    """

    signals: tuple[str, ...] = ()
    network: Where | None = None
    history: bool = True

    def __post_init__(self) -> None:
        if self.network is not None and self.network not in get_args(Where):
            raise unknown("network of a critic", self.network, get_args(Where))
        if not self.history:
            raise UserError(
                "history = False of a critic: without the actor's prompt its values are not those of what the actor knows, and the actor's "
                "gradient is biased; keep history = True"
            )
        if self.signals and self.network == "shared":
            raise UserError(f'signals = {self.signals} of a critic need a pass of its own: give network = "pass" or "model"')

    @property
    def where(self) -> Where:
        """`network`, decided."""
        return self.network or ("model" if self.signals else "shared")


def context(model: LocalModel, prompt: Sequence[int], privileged: Mapping[str, str]) -> tuple[int, ...]:
    """What the critic reads: the actor's prompt, token for token, and behind it what is hidden from the actor."""
    told = "".join(f"\n{name} : {text}" for name, text in privileged.items())
    return (*prompt, *(model.tokens(model.vocabulary.harmless(told)) if told else ()))


def unknown_share(model: LocalModel, privileged: Mapping[str, str]) -> float:
    """The share of the words told to the critic that the model's tokenizer does not know: any two of them look alike to it."""
    tokens = [token for name, text in privileged.items() for token in model.tokens(model.vocabulary.harmless(f"{name} : {text}"))]
    unknown = model.tokenizer.unk_token_id
    return 0.0 if unknown is None or not tokens else tokens.count(unknown) / len(tokens)


class Values:
    """The critic's weights and its passes.

    V = mean + unit · head,  with the mean and the standard deviation (`unit`) of all returns so far, so that one learning rate, one weight
    and one clip of the value loss do for every unit of the reward, and a shared pass is not swamped by large returns. Where they change the
    head is changed with them, so that no value is; but for the first time, at which every value becomes the mean.

    Attributes:
        head: (width → 1), zero at first.
        network: of its own, or None.
        parameters: that the value loss trains, beside the actor's where they are shared.
        returns: how many there were, their sum, and the sum of their squares.

    Source: van Hasselt et al. 2016 (Pop-Art), over all returns instead of the latest.
    """

    def __init__(self, actor: Any, settings: RL, critic: TextCritic):
        import torch

        config = actor.config.get_text_config()
        device = next(actor.parameters()).device
        self.settings, self.critic = settings, critic
        self.returns = (0, 0.0, 0.0)
        self.head = torch.nn.Linear(config.hidden_size, 1).to(device)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        self.network = copy.deepcopy(actor) if critic.where == "model" and settings.critic else None
        trained = [] if self.network is None else [p for p in self.network.parameters() if p.requires_grad]
        self.parameters = [*self.head.parameters(), *trained]

    @property
    def unit(self) -> float:
        """The standard deviation of returns, of the reward as it was scaled; 1 until there was a return other than 0.

        It is no less than a tenth of their root mean square, for returns that hardly differ.
        """
        count, _, squares = self.returns
        return math.sqrt(max(squares / count - self.mean**2, squares / count / 100)) if squares > 0 else 1.0

    @property
    def mean(self) -> float:
        """Of returns; 0 until there was one."""
        count, total, _ = self.returns
        return total / count if count else 0.0

    def take_in(self, count: int, total: float, squares: float) -> None:
        """Count new returns in, and express the head in the units that follow.

        Args:
            count: how many.
            total, squares: the sum of them, and of their squares.
        """
        import torch

        mean, unit, begun = self.mean, self.unit, self.returns[0] > 0
        self.returns = (self.returns[0] + count, self.returns[1] + total, self.returns[2] + squares)
        with torch.no_grad():
            self.head.weight.mul_(unit / self.unit)
            self.head.bias.mul_(unit / self.unit).add_((mean - self.mean) / self.unit if begun else 0.0)

    def of_hidden(self, hidden: Any) -> Any:
        """Values of hidden states, in units of the reward: the last axis goes."""
        return self.mean + self.unit * self.head(hidden.to(self.head.weight.dtype))[..., 0]

    def of_texts(self, actor: Any, contexts: Sequence[Sequence[int]], columns: int = 1) -> Any:
        """Values at the last tokens of what a critic with a pass of its own reads, (rows, columns)."""
        import torch

        if self.network is not None:
            return self.of_hidden(last_hidden(self.network, contexts, columns))
        with torch.no_grad():
            hidden = last_hidden(actor, contexts, columns)
        return self.of_hidden(hidden)

    def tensors(self) -> dict[str, Any]:
        """All of the critic's own weights that are trained, by name."""
        head = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        if self.network is None:
            return head
        return head | {f"network.{name}": p for name, p in self.network.named_parameters() if p.requires_grad}

    def load(self, tensors: Mapping[str, Any]) -> None:
        """Put saved weights in."""
        import torch

        with torch.no_grad():
            for name, value in self.tensors().items():
                value.copy_(tensors[name])
