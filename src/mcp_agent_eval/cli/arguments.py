"""Checks of arguments that several commands share."""

from __future__ import annotations

import math
from typing import TypeVar

import click

T = TypeVar("T", str, tuple[str, ...], "str | None")


def given(context: click.Context, parameter: click.Parameter, value: T) -> T:
    """One or more non-empty texts. An empty one is usually a build variable that was never set.

    Raises:
        click.UsageError: one of them is empty.
    """
    texts = (value,) if isinstance(value, str) else value or ()
    if not all(text.strip() for text in texts):
        name = parameter.get_error_hint(context)
        raise click.UsageError(f"{name} is empty; leave it out if there is none.", context)
    return value


def a_number(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Refuse NaN, which passes every range check: it is neither below nor above any number."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("'nan' is not a number.")
    return value
