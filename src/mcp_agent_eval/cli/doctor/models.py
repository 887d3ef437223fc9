"""Checks which model plays which role, and whether its provider answers: it is asked for its list of models, which
is free."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby
from typing import get_args

from mcp_agent_eval.backend.checkup import OFFLINE, model_of, offered_models
from mcp_agent_eval.cli.doctor.findings import Finding, fail, ok, warn
from mcp_agent_eval.errors import EvalError, FailureKind, ModelError, NotConfigured
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import ModelRole

_ABOUT, _PROVIDER = "models", "provider"
_ROLES: tuple[ModelRole, ...] = get_args(ModelRole)
_HARMLESS: tuple[FailureKind, ...] = ("malformed", "refused", "rate_limit", "overloaded")
"""Failures that are still answers; whether the key is valid stays unknown."""


async def check_models(settings: Settings, *, ask: bool) -> AsyncIterator[Finding]:
    """The model of each role and, if `ask` allows it, what the providers say about it."""
    roles = _ROLES if settings.backend == "embedded" else _judging_here(settings)
    models: set[str] = set()
    for role in roles:
        finding, model = _role(settings, role)
        yield finding
        if model and model != OFFLINE:
            models.add(model)
    for provider, group in groupby(sorted(models), key=_provider) if ask else ():
        for finding in await _ask(settings, provider, list(group)):
            yield finding


def _judging_here(settings: Settings) -> Sequence[ModelRole]:
    """With the hosted API only our own judge matters, if its judge is a stub; all other models are the API's."""
    return ("judge",) if settings.judge_model else ()


def _role(settings: Settings, role: ModelRole) -> tuple[Finding, str | None]:
    try:
        model = model_of(settings, role)
    except NotConfigured as exc:
        say = warn if role == "judge" else fail
        needed = "" if role != "judge" else " Only cases with custom_llm_judge need one."
        return say(_ABOUT, exc.message + needed, exc.hint or "See docs/models.md."), None
    remark = ": deterministic, not an LLM" if model == OFFLINE else ""
    return ok(_ABOUT, f"{role}: {model}{remark}"), model


async def _ask(settings: Settings, provider: str, models: Sequence[str]) -> list[Finding]:
    try:
        where, offered = await offered_models(settings, models[0])
    except ModelError as exc:
        return [_unanswered(settings, provider, exc)]
    except EvalError as exc:
        return [fail(_PROVIDER, exc.message, exc.hint or "Correct the setting.")]
    return [_listed(model, where, offered) for model in models]


def _listed(model: str, where: str, offered: Sequence[str]) -> Finding:
    """Compare names. Providers list a model under longer names than they accept: with a date, a tag or a path."""
    name = model.partition(":")[2]
    if any(name in _endings(one) or one.startswith(name) for one in offered):
        return ok(_PROVIDER, f"{where} accepts the key and lists {name}.")
    near = get_close_matches(name, offered, n=3, cutoff=0.4)
    fix = f"Choose one that it lists{': ' + ', '.join(near) if near else ''}."
    return warn(_PROVIDER, f"{where} accepts the key but does not list {name}.", fix)


def _endings(listed: str) -> Iterator[str]:
    parts = listed.split("/")
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _unanswered(settings: Settings, provider: str, exc: ModelError) -> Finding:
    own = settings.openai_base_url if provider == "openai" else settings.anthropic_base_url
    where = settings.model_base_url or own
    message = f"{exc.message}, at {where}." if where else f"{exc.message}."
    if exc.kind in _HARMLESS:
        return warn(_PROVIDER, message, "Only the first run will show whether the key is valid.")
    if exc.kind == "auth":
        return fail(_PROVIDER, message, f"Set {provider.upper()}_API_KEY to a key that is valid there.")
    return fail(_PROVIDER, message, "Check the base URL, the network and the provider's account.")


def _provider(model: str) -> str:
    return model.partition(":")[0]
