"""The vendor's API as far as it is known, put over one of ours: what it leaves out, adds or answers differently.

It knows no extension: it lists none, and ignores `Prefer` and `Idempotency-Key`, so a start blocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

Json = dict[str, Any]

_OURS = {"spoken_turns", "max_turns", "cost_usd", "judge_model", "local_evaluation", "attempts", "end_detail"}
_NOT_ON_AGGREGATES = {"errored", "cost_usd", "unpriced_runs", "agent_overrides", "company_id"}


@dataclass
class Vendor(httpx2.AsyncBaseTransport):
    """A transport in front of an API of ours.

    `flat`: rows come without their case. `stub_judge`: no judge judges. `codes`: errors carry a code.
    `late`: the status of cancelling a run that is over. `lose`: which requests lose their answer, after they were
    carried out, and `drop` which are lost on their way; `garble` which are carried out and answered with a web page.
    """

    app: Any
    flat: bool = False
    stub_judge: bool = True
    codes: bool = False
    late: int = 409
    early_evaluation: int = 200
    agents_are_gone: bool = False
    lose: Callable[[httpx2.Request], bool] = lambda _: False
    drop: Callable[[httpx2.Request], bool] = lambda _: False
    garble: Callable[[httpx2.Request], bool] = lambda _: False
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def __post_init__(self) -> None:
        self._inner = httpx2.ASGITransport(self.app)

    def count(self, method: str, ending: str) -> int:
        """How many requests were made with this method to an address that ends like this."""
        return sum(1 for made, path in self.requests if made == method and path.endswith(ending))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        self.requests.append((request.method, path))
        if self.drop(request):
            raise httpx2.ReadError("the connection was cut", request=request)
        if path == "/":
            return httpx2.Response(200, json={"endpoints": ["/agent-eval/cases"]})
        if self.agents_are_gone and (request.method, path) == ("POST", "/agents"):
            return httpx2.Response(410, json={"error": "gone", "code": "AGENT_LEGACY_CREATION_GONE"})
        for name in ("prefer", "idempotency-key"):
            if name in request.headers:
                del request.headers[name]
        response = await self._inner.handle_async_request(request)
        content = await response.aread()
        if self.lose(request):
            raise httpx2.ReadError("the connection was cut", request=request)
        if self.garble(request):
            return httpx2.Response(200, text="<html>", headers={"content-type": "text/html"})
        return self._as_theirs(path, response, json.loads(content))

    def _as_theirs(self, path: str, response: httpx2.Response, body: Json) -> httpx2.Response:
        status = response.status_code
        if status >= 400:
            return self._refusal(path, status, body)
        if path.endswith("/evaluation") and body.get("results") is None and self.early_evaluation == 422:
            return httpx2.Response(422, json={"error": "The run is still in flight."})
        return httpx2.Response(status, json=self._row(body))

    def _refusal(self, path: str, status: int, body: Json) -> httpx2.Response:
        if path.endswith("/cancel") and status == 400:
            status = self.late
        told = {"error": body["error"]} | ({"code": body["code"]} if self.codes else {})
        return httpx2.Response(status, json=told)

    def _row(self, body: Json) -> Json:
        if isinstance(body.get("data"), list):
            return body | {"data": [self._row(row) for row in body["data"]]}
        if "suite_run_id" in body and "total_runs" in body:
            body = {name: value for name, value in body.items() if name not in _NOT_ON_AGGREGATES}
            return body | {"runs": [self._row(run) for run in body["runs"]]} if "runs" in body else body
        return self._run(body) if "queue_status" in body else body

    def _run(self, run: Json) -> Json:
        theirs = {name: value for name, value in run.items() if name not in _OURS}
        if self.flat:
            theirs.pop("case", None)
        return self._without_judge(theirs) if self.stub_judge and theirs.get("evaluation") else theirs

    def _without_judge(self, run: Json) -> Json:
        results = [self._stubbed(result) for result in run["evaluation"]["results"]]
        total = sum(result["weight"] for result in results)
        score = 100 * sum(result["weight"] for result in results if result["passed"]) / total
        verdict = {"score": score, "pass_fail": score >= 80}
        return run | verdict | {"evaluation": verdict | {"results": results}}

    def _stubbed(self, result: Json) -> Json:
        if result["assertion"]["type"] != "custom_llm_judge":
            return result
        return {
            "assertion": result["assertion"],
            "passed": False,
            "weight": result["weight"],
            "reason": "not_implemented",
        }
