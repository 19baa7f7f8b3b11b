"""The grammar of Cassandra's `.pomdp` format: text in, a list of statements out, nothing interpreted yet.

Layout does not matter to the format: statements end where the next one begins. `T`, `O`, `R`, `states`, ... are keywords only
in front of a colon, so that a state may be called `T` or `reset`. `OO:` (observations that depend on the state one came from)
and `reset` (the episode ends here) are extensions in use by episodic files.

Files hold hundreds of thousands of numbers. What stands between the colons of a `T:`, and a run of numbers, is therefore one
token each, taken apart later: that reads a large file ten times faster than a token per word.

Source: A. R. Cassandra, "POMDP file format" and "POMDP file grammar", pomdp.org.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from unseen.errors import UserError

_GAP = r"(?:\s|#[^\n]*\n)*"
_NAME = r"[A-Za-z_][^\s:*#]*"
_NUMBER = r"(?:[+-][ \t]*)?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.+-])"
_PLACES = rf"{_GAP}:{_GAP}(?:{_NAME}|\d+|\*)(?:{_GAP}:{_GAP}(?:{_NAME}|\d+|\*))*"

GRAMMAR = rf"""
file: statement*
?statement: discount | values | states | actions | observations | start | transition | observation | origin_observation | reward

discount: DISCOUNT ":" NUMBERS
values: VALUES ":" (REWARD | COST)
states: STATES ":" (NUMBERS | NAME+)
actions: ACTIONS ":" (NUMBERS | NAME+)
observations: OBSERVATIONS ":" (NUMBERS | NAME+)
start: START ":" (UNIFORM | NAME | NUMBERS)
     | INCLUDE ":" (NAME | NUMBERS)+ -> include
     | EXCLUDE ":" (NAME | NUMBERS)+ -> exclude
transition: T (UNIFORM | IDENTITY | RESET | NUMBERS)
observation: O (UNIFORM | NUMBERS)
origin_observation: OO (UNIFORM | NUMBERS)
reward: R NUMBERS

DISCOUNT.3: /discount(?=\s*:)/
VALUES.3: /values(?=\s*:)/
STATES.3: /states(?=\s*:)/
ACTIONS.3: /actions(?=\s*:)/
OBSERVATIONS.3: /observations(?=\s*:)/
START.3: /start(?=\s*:)/
INCLUDE.3: /start\s+include(?=\s*:)/
EXCLUDE.3: /start\s+exclude(?=\s*:)/
T.3: /T{_PLACES}/
O.3: /O{_PLACES}/
OO.4: /OO{_PLACES}/
R.3: /R{_PLACES}/
REWARD.2: /rewards?\b/
COST.2: /costs?\b/
UNIFORM.2: /uniform(?![^\s:*#])/
IDENTITY.2: /identity(?![^\s:*#])/
RESET.2: /reset(?![^\s:*#])/
NUMBERS: /{_NUMBER}(?:{_GAP}{_NUMBER})*/
NAME: /{_NAME}/

%ignore /\s+/
%ignore /#[^\n]*/
"""

KINDS = (
    *("discount", "values", "states", "actions", "observations", "start", "include", "exclude"),
    *("transition", "observation", "origin_observation", "reward"),
)

_WORDS = {  # the parser's names for what it expected, in the words of someone who writes such a file
    "COLON": "':'",
    "NUMBERS": "a number",
    "NAME": "a name",
    "REWARD": "'reward'",
    "COST": "'cost'",
    "UNIFORM": "'uniform'",
    "IDENTITY": "'identity'",
    "RESET": "'reset'",
    "DISCOUNT": "a statement such as 'T: action : state : state 0.5'",
}


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        kind: one of `KINDS`.
        where: what stands between the colons of T, O, OO and R: names, numbers, `*`.
        body: what follows: numbers, or names.
        keyword: `UNIFORM`, `IDENTITY`, `RESET`, `REWARD` or `COST` where one stands instead of a body.
        tokens: the pieces of the file it was made of, for positions.
    """

    kind: str
    where: tuple[str, ...]
    body: tuple[str, ...]
    keyword: str | None
    tokens: tuple[Token, ...]

    def position(self, part: str = "head", k: int = 0) -> tuple[int, int]:
        """Line and column of the k-th word of "where" or "body", or of the statement itself ("head")."""
        if part == "head":
            return _after(self.tokens[0], 0)
        words = [(t, m.start()) for t in (self.tokens[:1] if part == "where" else self.tokens[1:]) for m in _WORD.finditer(t) if m[1]]
        return _after(*words[k + (part == "where")])  # the head's first word is the keyword itself


_APART = re.compile(r"#|[+-][ \t]")
_WORD = re.compile(rf"#[^\n]*\n|({_NUMBER}|{_NAME}|\*)")


def _after(token: Token, offset: int) -> tuple[int, int]:
    before = token[:offset]
    line, column = token.line or 1, token.column or 1
    return line + before.count("\n"), offset - before.rfind("\n") if "\n" in before else column + offset


def _split(text: str) -> list[str]:
    # The plain split serves nearly every token; comments and signs that stand apart are rare.
    if _APART.search(text):
        return ["".join(match[1].split()) for match in _WORD.finditer(text) if match[1]]
    return text.split()


class _Statements(Transformer[Token, list[Statement]]):
    """Turns each rule into a `Statement` while parsing, so that no tree of a large file is ever built."""

    def file(self, statements: list[Statement]) -> list[Statement]:
        return statements


def _statement(kind: str) -> Callable[[_Statements, list[Token]], Statement]:
    def make(self: _Statements, tokens: list[Token]) -> Statement:
        head, *rest = tokens
        where = _split(head.replace(":", " "))[1:] if head.type in ("T", "O", "OO", "R") else ()
        keyword = rest[0].type if rest[0].type not in ("NUMBERS", "NAME") else None
        body = () if keyword else tuple(word for token in rest for word in _split(token))
        return Statement(kind, tuple(where), body, keyword, tuple(tokens))

    return make


for _kind in KINDS:  # one method per rule; `__default__` would also catch the grammar's helper rules
    setattr(_Statements, _kind, _statement(_kind))


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, start="file", parser="lalr", lexer="contextual", transformer=_Statements())


def parse(text: str, path: str) -> list[Statement]:
    """The statements of a `.pomdp` text.

    Raises:
        UserError: `path:line:column`, what stands there and what was expected.
    """
    try:
        result: Any = _parser().parse(text)
    except UnexpectedInput as error:
        _explain(error, text, path)
    return result


def _explain(error: UnexpectedInput, text: str, path: str) -> NoReturn:
    if isinstance(error, UnexpectedToken):
        expected, found = set(error.accepts or error.expected), str(error.token).split()[:1]
        if error.token.type == "$END":
            lines = text.rstrip().split("\n")
            raise UserError(f"{path}:{len(lines)}:{len(lines[-1]) + 1}: the file ends early; expected {_words(expected)}") from None
    elif isinstance(error, UnexpectedCharacters):
        expected, found = set(error.allowed or ()), text[error.pos_in_stream : error.pos_in_stream + 200].split()[:1]
    else:
        raise error
    raise UserError(f"{path}:{error.line}:{error.column}: unexpected {''.join(found)[:40]!r}; expected {_words(expected)}") from None


def _words(expected: set[str]) -> str:
    return " or ".join(_WORDS[name] for name in _WORDS if name in expected) or _WORDS["DISCOUNT"]
