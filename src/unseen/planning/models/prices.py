"""What tokens cost. No vendor's prices are shipped: they change, and whoever pays knows them."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Iterable
from typing import NamedTuple

from unseen.errors import UserError, unknown
from unseen.planning.models.contract import Usage

TOKENS = 1_000_000  # that a price is for


class Price(NamedTuple):
    """Dollars per million tokens.

    Attributes:
        prompt: of what is read anew.
        cached: of the prompt, what was in the cache.
        output: of what is written, hidden reasoning too.
    """

    prompt: float
    cached: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Dollars for one completion."""
        fresh = usage.prompt - usage.cached
        return (fresh * self.prompt + usage.cached * self.cached + (usage.reasoning + usage.output) * self.output) / TOKENS

    @staticmethod
    def read(path: str | os.PathLike[str] | None = None) -> dict[str, Price]:
        """A table of prices by model, from a TOML file; empty without a path. An example:

        ```toml
        ["my-model"]
        prompt = 1.0
        cached = 0.1    # may be left out: then it is as dear as the rest of the prompt
        output = 4.0
        ```

        Raises:
            UserError: no such file, no TOML, or a price that is none, with the model and the field.
        """
        if path is None:
            return {}
        try:
            with open(path, "rb") as file:
                table = tomllib.load(file)
        except OSError as error:
            raise UserError(f"cannot read prices from {os.fspath(path)}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{os.fspath(path)} is not valid TOML: {error}") from error
        return {model: _price(model, fields) for model, fields in table.items()}


def _price(model: str, fields: object) -> Price:
    if not isinstance(fields, dict):
        raise UserError(f"the price of {model} is {fields!r}; give a table with {_listed(Price._fields)}")
    for field, value in fields.items():
        if field not in Price._fields:
            raise unknown(f"price of {model}", field, Price._fields)
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
            raise UserError(f"{field} of {model} is {value!r}; give dollars per million tokens, 0 or more")
    missing = [field for field in ("prompt", "output") if field not in fields]
    if missing:
        raise UserError(f"the price of {model} has no {_listed(missing)}; give dollars per million tokens")
    return Price(float(fields["prompt"]), float(fields.get("cached", fields["prompt"])), float(fields["output"]))


def _listed(names: Iterable[str]) -> str:
    return " and ".join(names)
