"""Checks the settings: reports every invalid one, not only the first, and those that are never read."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches

from mcp_agent_eval.backend.checkup import SECRET_PREFIX
from mcp_agent_eval.cli.doctor.findings import Finding, fail, ok, warn
from mcp_agent_eval.errors import NotConfigured
from mcp_agent_eval.settings import PREFIX, Settings

_ABOUT = "settings"
_CORRECT = "Correct the variable; docs/settings.md says what it accepts."


def known_variables() -> list[str]:
    """The environment variables that are read, except secrets, whose names the user chooses."""
    return [
        str(field.validation_alias or PREFIX + name.upper()) for name, field in Settings.model_fields.items()
    ]


def read_settings() -> tuple[Settings, list[Finding]]:
    """The valid settings, and the problems with the others."""
    given = _known(os.environ)
    good, problems = _fitting(given)
    with _only(good):
        settings = Settings.read()
    found = [*map(_misfit, problems), *unknown_variables(os.environ, "the environment")]
    return settings, found or [ok(_ABOUT, _all_well(given))]


def misfits(given: Mapping[str, str], where: str) -> Iterator[Finding]:
    """The problems with variables that are set elsewhere, such as in a host's file."""
    for problem in _fitting(_known(given))[1]:
        yield fail(_ABOUT, f"{where}: {problem.message}", _CORRECT)


def unknown_variables(names: Iterable[str], where: str) -> Iterator[Finding]:
    """Variables that look like ours but are never read, with the most similar one that is."""
    for name in sorted(names):
        upper = name.upper()
        if (
            upper.startswith(PREFIX)
            and upper not in known_variables()
            and not upper.startswith(SECRET_PREFIX)
        ):
            yield warn(_ABOUT, f"{name} in {where} is not a setting and is never read.", _nearest(upper))


def _nearest(name: str) -> str:
    """The variable that may be meant. The prefix, the longest part of most names, is ignored."""
    known = {variable.removeprefix(PREFIX): variable for variable in known_variables()}
    near = get_close_matches(name.removeprefix(PREFIX), known, n=1)
    return f"Did you mean {known[near[0]]}?" if near else "See docs/settings.md for all settings."


def _all_well(given: Collection[str]) -> str:
    return (
        f"All are valid. Set: {', '.join(sorted(given))}." if given else "None is set, so the defaults apply."
    )


def _misfit(problem: NotConfigured) -> Finding:
    return fail(_ABOUT, problem.message, _CORRECT)


def _known(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name.upper() in known_variables()}


def _fitting(given: Mapping[str, str]) -> tuple[dict[str, str], list[NotConfigured]]:
    """The valid variables, and the problems with the others: checked first one by one, then together."""
    misfits = {name: problem for name in given if (problem := _problem_with({name: given[name]}))}
    good = {name: value for name, value in given.items() if name not in misfits}
    together = _problem_with(good)
    return ({}, [*misfits.values(), together]) if together else (good, [*misfits.values()])


def _problem_with(given: Mapping[str, str]) -> NotConfigured | None:
    """The problems with these variables, ignoring all others."""
    with _only(given):
        try:
            Settings.read()
        except NotConfigured as exc:
            return exc
    return None


@contextmanager
def _only(given: Mapping[str, str]) -> Generator[None]:
    """The environment with none of our variables except these."""
    ours = _known(os.environ)
    _replace(ours, given)
    try:
        yield
    finally:
        _replace(given, ours)


def _replace(old: Iterable[str], new: Mapping[str, str]) -> None:
    for name in old:
        del os.environ[name]
    os.environ.update(new)
