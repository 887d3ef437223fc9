"""What arguments of several commands have to be."""

from __future__ import annotations

import math
from typing import TypeVar

import click

T = TypeVar("T", str, tuple[str, ...], "str | None")


def given(context: click.Context, parameter: click.Parameter, value: T) -> T:
    """One or more texts with something in them. An empty one is a variable of a build that was never set.

    Raises:
        click.UsageError: there is an empty one.
    """
    texts = (value,) if isinstance(value, str) else value or ()
    if not all(text.strip() for text in texts):
        name = parameter.get_error_hint(context)
        raise click.UsageError(f"{name} is empty; leave it out if there is none.", context)
    return value


def a_number(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """What a range lets through though it is in none: not a number is neither below nor above any other."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("'nan' is not a number.")
    return value
