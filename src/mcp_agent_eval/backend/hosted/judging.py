"""Our own judge for an API whose judge is a stub: both verdicts are kept, and ours is labelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakValueDictionary

import anyio

from mcp_agent_eval.engine.limits.billing import NANO, Prices
from mcp_agent_eval.engine.llm.messages import Model, ModelReply, ModelRequest
from mcp_agent_eval.engine.llm.models import Models
from mcp_agent_eval.engine.scoring.assertions import score
from mcp_agent_eval.engine.scoring.judge import Judge
from mcp_agent_eval.engine.tracing.calls import completed
from mcp_agent_eval.errors import EvalError, ModelError, NotConfigured
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import STUB, AssertionResult, Evaluation, Json, Run, Turn

_KEPT = 500


class LocalJudge:
    """Judges what a stub left open, once per run and process, with the judge model of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._models = Models(settings)
        self._name = settings.judge_model
        self._prices = Prices(settings.prices)
        self._judged: dict[str, Json] = {}
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    async def aclose(self) -> None:
        """Close the connections to the model."""
        await self._models.aclose()

    async def judged(self, run: Run, turns: Callable[[], Awaitable[Sequence[Turn]]]) -> Run:
        """The run with `local_evaluation`, if a stub left verdicts open and a judge model is set."""
        if self._name is None or not run.is_final or run.evaluation is None or not run.evaluation.is_open:
            return run
        # A lock lives only while it is held or waited for: one verdict per run, many runs at once.
        async with self._locks.setdefault(run.id, anyio.Lock()):
            fields = self._judged.get(run.id) or await self._judge(run, turns, self._name)
            return run.model_copy(update=fields)

    async def _judge(self, run: Run, turns: Callable[[], Awaitable[Sequence[Turn]]], name: str) -> Json:
        """The fields of a run that our judge decides. Without a key for its model the run is still shown, with the
        reason in place of the verdicts; the next call tries again."""
        try:
            model = self._models.get(self._models.name_for("judge", name))
        except NotConfigured as exc:
            return {"local_evaluation": _unjudged(run, exc)}
        fields = await self._verdicts(run, await turns(), model, name)
        self._keep(run.id, fields)
        return fields

    async def _verdicts(self, run: Run, turns: Sequence[Turn], model: Model, name: str) -> Json:
        """The fields of a run with our judge's verdicts and their cost."""
        bill = _Bill(self._prices)
        judge = Judge(model, bill)
        results = [await self._again(judge, result, turns, name) for result in _results(run)]
        priced = bill.nano_usd is not None
        return {
            "local_evaluation": _added_up(run, results),
            "judge_model": name,
            "judge_input_tokens": bill.input_tokens,
            "judge_output_tokens": bill.output_tokens,
            "cost_usd": run.cost_usd + (bill.nano_usd or 0) / NANO,
            "unpriced_models": run.unpriced_models if priced else [*run.unpriced_models, name],
        }

    async def _again(
        self, judge: Judge, result: AssertionResult, turns: Sequence[Turn], name: str
    ) -> AssertionResult:
        """Replace an open verdict; it stays open if the judge gives none."""
        if not result.is_open:
            return result
        try:
            verdict = await judge.check(result.assertion, turns)
        except ModelError as exc:
            return _left_open(result, exc)
        return verdict.model_copy(update={"judged_by": name, "weight": result.weight})

    def _keep(self, run_id: str, fields: Json) -> None:
        while len(self._judged) >= _KEPT:
            del self._judged[next(iter(self._judged))]
        self._judged[run_id] = fields


def _left_open(result: AssertionResult, exc: EvalError) -> AssertionResult:
    return result.model_copy(update={"reason": f"{STUB}; and it could not be judged here: {exc.message}"})


def _unjudged(run: Run, exc: EvalError) -> Evaluation:
    """The evaluation, with the reason why our judge could not be asked."""
    return Evaluation(
        results=[_left_open(result, exc) if result.is_open else result for result in _results(run)]
    )


def _added_up(run: Run, results: list[AssertionResult]) -> Evaluation:
    """The evaluation with our verdicts; without a score if one is still open."""
    unscored = Evaluation(results=results)
    if unscored.is_open:
        return unscored
    return score(results, run.case.pass_threshold if run.case else 80)


def _results(run: Run) -> list[AssertionResult]:
    return (run.evaluation.results if run.evaluation else None) or []


class _Bill:
    """Passes on requests and adds up their costs. The run belongs to the API, which cannot store our calls."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self.input_tokens = 0
        self.output_tokens = 0
        self.nano_usd: int | None = 0

    async def ask(self, model: Model, request: ModelRequest) -> ModelReply:
        reply = await completed(model, request)
        self.input_tokens += reply.usage.input
        self.output_tokens += reply.usage.output
        cost = self._prices.nano(model.name, reply.usage)
        self.nano_usd = None if cost is None or self.nano_usd is None else self.nano_usd + cost
        return reply
