"""Bodies and texts that were made to break things: every one is taken or refused, none is a server error."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.rest_support import Caller, create_agent, create_case, open_api
from tests.support import shared_path

JSON = {"content-type": "application/json"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Caller]:
    async with open_api(tmp_path) as caller:
        yield caller


def _corpus() -> list[tuple[str, str, bytes]]:
    """Name, verdict and bytes of every document of the parser corpus."""
    lines = shared_path("real/json_parsing.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return [(entry["name"], entry["expect"], base64.b64decode(entry["b64"])) for entry in entries]


def _strings() -> list[str]:
    return json.loads(shared_path("real/blns.json").read_text())


async def _send_all(api: Caller, method: str, path: str) -> dict[str, int]:
    """The status of the answer to each document of the corpus."""
    found: dict[str, int] = {}
    for name, _, body in _corpus():
        response = await api.http.request(method, path, content=body, headers=JSON)
        if response.status_code >= 400:
            assert response.json().keys() - {"hint"} == {"error", "code"}, name
        found[name] = response.status_code
    return found


@pytest.mark.parametrize("path", ["/agents", "/tools", "/agent-eval/personas", "/agent-eval/cases"])
async def test_no_document_of_the_parser_corpus_creates_anything(api: Caller, path: str) -> None:
    statuses = await _send_all(api, "POST", path)
    assert len(statuses) > 300
    assert set(statuses.values()) == {400}


async def test_a_change_takes_only_what_is_an_object_of_fields(api: Caller) -> None:
    agent = await create_agent(api)
    statuses = await _send_all(api, "PATCH", f"/agents/{agent['id']}")
    accepted = {name for name, status in statuses.items() if status == 200}
    assert set(statuses.values()) == {200, 400}
    assert accepted == {"y_object_empty.json", "y_structure_trailing_newline.json"} & accepted


async def test_documents_that_are_no_json_start_no_run(api: Caller) -> None:
    case = await create_case(api)
    path = f"/agent-eval/cases/{case['id']}/run"
    statuses = await _send_all(api, "POST", path)
    must_not_parse = {name for name, expect, body in _corpus() if expect == "reject" and body}
    assert {statuses[name] for name in must_not_parse} == {400}
    assert set(statuses.values()) <= {200, 202, 400}


async def test_the_corpus_in_free_form_fields_is_kept_or_refused(api: Caller) -> None:
    """Whatever parses may stand where anything may, and comes back as it was."""
    for name, _, body in _corpus():
        content = b'{"name": "M", "identity_prompt": "You.", "behavior_traits": {"x": ' + body + b"}}"
        response = await api.http.post("/agent-eval/personas", content=content, headers=JSON)
        assert response.status_code in (201, 400), name
        if response.status_code == 201:
            sent = json.loads(content)
            assert response.json()["behavior_traits"] == sent["behavior_traits"], name
            stored = await api.get(f"/agent-eval/personas/{response.json()['id']}")
            assert stored == response.json(), name


async def test_hostile_strings_come_back_as_they_were_or_are_refused(api: Caller) -> None:
    kept = 0
    for text in _strings():
        body = {"name": text, "identity_prompt": "You are Maya.", "behavior_traits": {text: text}}
        response = await api.http.post("/agent-eval/personas", json=body)
        assert response.status_code in (201, 400), text
        if response.status_code == 201:
            kept += 1
            stored = await api.get(f"/agent-eval/personas/{response.json()['id']}")
            assert (stored["name"], stored["behavior_traits"]) == (text, {text: text})
    assert kept > 450


async def test_hostile_strings_in_paths_and_queries_find_nothing(api: Caller) -> None:
    for text in _strings():
        for name in ("agent_id", "persona_id", "suite_id"):
            response = await api.http.get("/agent-eval/cases", params={name: text})
            assert response.status_code == 400, text
        if "/" not in text and text not in ("", ".", ".."):
            response = await api.http.get("/agents/" + _quoted(text))
            assert response.status_code == 404, text


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested"),
        (b'{"name": ' + b"9" * 10_000 + b"}", "too long"),
        (b'{"name": NaN}', "NaN"),
        (b'{"name": -Infinity}', "-Infinity"),
        (b'{"name": "\xff"}', "UTF-8"),
        (b'{"name": {"\\ud800": 1}}', "surrogate"),
        (b'{"name": "a" "b"}', "line 1, column 14"),
        (b"null", "must be a JSON object"),
        (b"", "it is missing"),
    ],
)
async def test_what_is_wrong_with_a_body_is_said(api: Caller, body: bytes, says: str) -> None:
    response = await api.http.post("/agent-eval/suites", content=body, headers=JSON)
    assert response.status_code == 400
    assert says in response.json()["error"]
    assert response.json()["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("threshold", [b"1e999", b"-1e999", b"1e400", b"9" * 400, b"-0.0000001"])
async def test_a_number_that_no_float_holds_is_refused(api: Caller, threshold: bytes) -> None:
    case = await create_case(api)
    body = b'{"pass_threshold": ' + threshold + b"}"
    path = f"/agent-eval/cases/{case['id']}"
    response = await api.http.patch(path, content=body, headers=JSON)
    assert response.status_code == 400


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\udfff\ud800", "\u2028\ufeff\u202e", "👩‍👩‍👧‍👦" * 50])
async def test_odd_characters_are_kept_or_refused_wherever_they_stand(api: Caller, text: str) -> None:
    bodies: list[dict[str, Any]] = [
        {"name": text, "identity_prompt": "You."},
        {"name": "M", "identity_prompt": "You.", "behavior_traits": {text: [text]}},
        {"name": "M", "identity_prompt": "You.", text: 1},
    ]
    for body in bodies:
        content = json.dumps(body).encode()
        response = await api.http.post("/agent-eval/personas", content=content, headers=JSON)
        assert response.status_code in (201, 400)
        if response.status_code == 201:
            assert response.json() | body == response.json()
    assert (await api.http.get("/agent-eval/personas")).status_code == 200


async def test_levels_up_to_the_limit_are_kept(api: Caller) -> None:
    """What is taken must be readable again by every part, down to the last level."""
    deep: Any = 1
    for _ in range(98):
        deep = [deep]
    body = {"name": "M", "identity_prompt": "You.", "behavior_traits": {"x": deep}}
    created = await api.post("/agent-eval/personas", body)
    assert (await api.get(f"/agent-eval/personas/{created['id']}"))["behavior_traits"] == {"x": deep}
    listed = await api.get("/agent-eval/personas")
    assert listed["data"] == [created]
