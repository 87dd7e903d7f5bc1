"""Conditions on variables (APISIX's ``vars``, lua-resty-expr), compiled once into closures.

An expression is a list of rules, all of which must hold, or a logical operator and its rules. A rule is
``[variable, operator, value]``, ``[variable, "!", operator, value]`` for its negation, or ``[variable, value]`` for
equality. ``null`` as a value stands for an absent variable; a number as a value is compared as a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headgate.expressions.operators import OPERATORS, Test
from headgate.expressions.variables import Variable, VariableSource, compile_variable, needs_form

MAX_DEPTH = 32
"""Deepest nesting of logical operators accepted."""

_Check = Callable[[VariableSource], bool]

_LOGIC: dict[str, Callable[[tuple[_Check, ...]], _Check]] = {
    "AND": lambda checks: lambda source: all(check(source) for check in checks),
    "OR": lambda checks: lambda source: any(check(source) for check in checks),
    "!AND": lambda checks: lambda source: not all(check(source) for check in checks),
    "!OR": lambda checks: lambda source: not any(check(source) for check in checks),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression. ``needs_form``: it can be decided only when ``source.form`` has been read."""

    matches: _Check
    needs_form: bool


def compile_condition(expression: object) -> Condition:
    """Compile an expression as decoded from JSON; an empty list always holds.

    ValueError with lua-resty-expr's texts: ``rule should be wrapped inside brackets``, ``rule too short``,
    ``invalid expression``, ``invalid operator '='``, ``bad 'not' expression``; or with what is wrong about a value.
    """
    if not isinstance(expression, list):
        raise ValueError("rule should be wrapped inside brackets")
    if not expression:
        return Condition(lambda _source: True, needs_form=False)
    if not isinstance(expression[0], list) and _logic_of(expression[0]) is None:
        raise ValueError("rule should be wrapped inside brackets")
    names: list[str] = []
    check = _compile(expression, names, MAX_DEPTH)
    return Condition(check, needs_form=any(needs_form(name) for name in names))


def _logic_of(word: object) -> Callable[[tuple[_Check, ...]], _Check] | None:
    return _LOGIC.get(word.upper()) if isinstance(word, str) else None


def _compile(rule: object, names: list[str], depth: int) -> _Check:
    """Compile a rule or a list of rules, noting the names of the variables in it."""
    if not isinstance(rule, list):
        raise ValueError("rule should be wrapped inside brackets")
    if not rule:
        raise ValueError("rule too short")
    if depth == 0:
        raise ValueError(f"rule too deep, expected at most {MAX_DEPTH} levels")
    if isinstance(rule[0], list):
        return _LOGIC["AND"](tuple(_compile(item, names, depth - 1) for item in rule))
    logic = _logic_of(rule[0])
    if logic is None:
        return _compile_rule(rule, names)
    if len(rule) <= 2:
        raise ValueError("rule too short")
    return logic(tuple(_compile(item, names, depth - 1) for item in rule[1:]))


def _compile_rule(rule: Sequence[object], names: list[str]) -> _Check:
    name, *rest = rule
    if not isinstance(name, str) or not name:
        raise ValueError("invalid expression")
    operator, value, negated = _parts(rest)
    make = OPERATORS.get(operator.lower()) if isinstance(operator, str) else None
    if make is None:
        raise ValueError(f"invalid operator '{operator}'")
    names.append(name)
    return _bind(compile_variable(name), make(value), negated=negated)


def _parts(rest: list[object]) -> tuple[object, object, bool]:
    """Split what follows the variable into operator, value and negation."""
    match rest:
        case [str() as operator] if operator.lower() in OPERATORS:
            return operator, None, False
        case [value]:
            return "==", value, False
        case [operator, value]:
            return operator, value, False
        case ["!", operator, value]:
            return operator, value, True
        case [_, _, _]:
            raise ValueError("bad 'not' expression")
        case _:
            raise ValueError("invalid expression")


def _bind(variable: Variable, test: Test, *, negated: bool) -> _Check:
    if negated:
        return lambda source: not test(variable(source))
    return lambda source: test(variable(source))
