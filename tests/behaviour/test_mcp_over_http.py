"""The MCP server over HTTP, as `serve` has it at /mcp: both eras, one store, keys, and no session anywhere."""

from __future__ import annotations

from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.auth.utils import extract_resource_metadata_from_www_auth, extract_scope_from_www_auth
from mcp.shared.auth import ProtectedResourceMetadata
from mcp.types import ElicitResult
from pydantic import AnyHttpUrl

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.backend.keyring import open_keyring
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.key import SCOPES, Scope
from tests.behaviour.clinic import BOOK, create_clinic
from tests.http_clients import ERAS, RoundRobin, connected, turned_away
from tests.legs import served
from tests.oauth import RESOURCE, AuthorizationServer
from tests.provider import provider
from tests.running import running
from tests.support import call, free_port, refused

LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
SECRET = "a secret that all servers of a test share"


def changed(settings: Settings, **changes: Any) -> Settings:
    return Settings.read(**settings.model_dump(exclude_unset=True) | changes)


async def make_key(settings: Settings, *scopes: Scope) -> str:
    async with open_keyring(settings) as keyring:
        return (await keyring.create("a test", scopes or SCOPES))[1]


async def post(address: str, body: Any = LIST_TOOLS, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient() as http:
        return await http.post(
            f"{address}/mcp", json=body, headers={"accept": "application/json, text/event-stream"} | named
        )


# --- One server


@pytest.mark.parametrize("era", ERAS)
async def test_progress_arrives_while_the_run_is_going(settings: Settings, era: str) -> None:
    seen: list[str | None] = []
    async with provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held:

        async def report(progress: float, total: float | None, message: str | None) -> None:
            seen.append(message)
            held.gate.set()

        slow = changed(settings, persona_model="openai:held", model_base_url=held.url)
        async with served(slow) as address, connected(address, era=era) as client:
            case_id = await create_clinic(client)
            with anyio.fail_after(20):
                result = await client.call_tool("run_case", {"case_id": case_id}, progress_callback=report)
    assert not result.is_error
    # The persona says nothing before the first report, so it came while the run was going.
    assert seen[0] in [f"turn {spoken} of at most 20, $0.0000 so far" for spoken in (0, 1)]


async def test_clients_of_both_eras_follow_one_run_at_the_same_time(settings: Settings) -> None:
    results: list[dict[str, Any]] = []
    async with provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held:
        slow = changed(settings, persona_model="openai:held", model_base_url=held.url)
        async with (
            served(slow) as address,
            connected(address) as modern,
            connected(address, era="legacy") as legacy,
        ):
            case_id = await create_clinic(modern)
            started = await call(modern, "run_case", case_id=case_id, wait_seconds=0)

            async def follow(client: Client) -> None:
                results.append(await call(client, "get_run", run_id=started["run_id"]))

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow, modern)
                    tasks.start_soon(follow, legacy)
                    await held.arrived.wait()
                    held.gate.set()
    assert results[0] == results[1]
    assert results[0]["status"] == "completed"


async def test_a_subscriber_hears_of_a_run_that_rest_started(settings: Settings) -> None:
    """The two surfaces work on one engine, which is open before any tool is called."""
    async with connect(settings) as link:
        case = await link.backend.create("case", await make_draft(link.backend))
    async with provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held:
        slow = changed(settings, persona_model="openai:held", model_base_url=held.url)
        async with served(slow) as address, connected(address) as client:
            async with httpx2.AsyncClient(base_url=address) as rest:
                run = await rest.post(f"/agent-eval/cases/{case.id}/run", headers={"prefer": "respond-async"})
            uri = f"eval://runs/{run.json()['id']}"
            async with client.listen(resource_subscriptions=[uri]) as news:
                held.gate.set()
                with anyio.fail_after(20):
                    event = await anext(aiter(news))
    assert event.uri == uri


async def make_draft(backend: Any) -> dict[str, Any]:
    agent = await backend.create("agent", {"name": "Clinic", "system_prompt": "You are a clinic."})
    persona = await backend.create("persona", {"name": "Maya", "identity_prompt": "You are Maya."})
    return {"name": "Calls", "agent_id": agent.id, "persona_id": persona.id, "scenario": "You call."}


async def test_a_client_that_takes_json_alone_is_answered_with_it(settings: Settings) -> None:
    async with served(settings) as address:
        plain = await post(address, accept="application/json")
        assert (plain.status_code, plain.headers["content-type"]) == (200, "application/json")
        assert plain.json()["result"]["tools"]
        streamed = await post(address)
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert (await post(address, accept="text/plain")).status_code == 406


async def test_there_is_no_session_to_listen_to_or_to_end(settings: Settings) -> None:
    async with served(settings) as address, httpx2.AsyncClient() as http:
        assert "mcp-session-id" not in (await post(address)).headers
        for method in ("GET", "DELETE", "PUT"):
            response = await http.request(
                method, f"{address}/mcp", headers={"accept": "text/event-stream", "mcp-session-id": "x"}
            )
            assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_slash_at_the_end_does_no_harm(settings: Settings) -> None:
    async with served(settings) as address, httpx2.AsyncClient() as http:
        response = await http.post(f"{address}/mcp/", json=LIST_TOOLS, headers={"accept": "application/json"})
    assert response.json()["result"]["tools"]


# --- Several servers


@pytest.mark.parametrize("era", ERAS)
async def test_any_of_several_servers_answers_any_request(settings: Settings, era: str) -> None:
    async with served(settings) as one, served(settings) as other:
        async with connected("http://balancer", era=era, transport=RoundRobin([one, other])) as client:
            case_id = await create_clinic(client)
            started = await call(client, "run_case", case_id=case_id, wait_seconds=0)
            for _ in range(2):
                done = await call(client, "get_run", run_id=started["run_id"])
                assert done["status"] == "completed"


@pytest.mark.parametrize(("secret", "is_understood"), [(SECRET, True), (None, False)])
async def test_a_user_may_answer_another_server_than_the_one_that_asked(
    settings: Settings, secret: str | None, is_understood: bool
) -> None:
    asked: list[str] = []

    async def agree(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"start": True})

    sharing = changed(settings, shared_secret=secret)
    async with served(sharing) as one, served(sharing) as other:
        balancer = RoundRobin([one, other])
        async with connected("http://balancer", transport=balancer, elicitation_callback=agree) as client:
            case_id = await create_acting(client)
            if is_understood:
                assert (await call(client, "run_case", case_id=case_id, wait_seconds=0))["run_id"]
            else:
                with pytest.raises(MCPError, match="requestState"):
                    await client.call_tool("run_case", {"case_id": case_id})
    assert len(asked) == 1
    assert "bookAppointment" in asked[0]


async def test_a_client_with_a_handshake_cannot_be_asked_and_has_to_vouch(settings: Settings) -> None:
    async def never(*_: Any) -> ElicitResult:
        raise AssertionError("without a session there is no way to ask")

    async with served(settings) as address:
        async with connected(address, era="legacy", elicitation_callback=never) as client:
            case_id = await create_acting(client)
            error = await refused(client, "run_case", case_id=case_id)
            assert error["code"] == "CONSENT_NEEDED"
            assert "allow_real_tools" in error["hint"]
            vouched = await call(client, "run_case", case_id=case_id, allow_real_tools=True, wait_seconds=0)
            assert vouched["run_id"]


async def create_acting(client: Client) -> str:
    """A case whose tool would act, at an address that is refused before anything is sent."""
    case_id = await create_clinic(client)
    acting = BOOK | {"type": "webhook", "config": {"url": "http://127.0.0.1:9/book"}}
    await call(client, "update", kind="agent", id="Clinic", changes={"tools": [acting]})
    await call(client, "update", kind="case", id=case_id, changes={"tool_policy": "real"})
    return case_id


# --- Keys


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("sent", "said"), [(None, "needs a key"), ("aek_wrong", "is unknown here")])
async def test_without_a_good_key_a_client_is_told_why(
    settings: Settings, era: str, sent: str | None, said: str
) -> None:
    await make_key(settings)
    async with served(settings) as address:
        assert said in str(await turned_away(address, era=era, key=sent))
        refusal = await post(address)
    assert (refusal.status_code, refusal.headers["www-authenticate"]) == (401, "Bearer")
    error = refusal.json()["error"]
    assert error["data"]["code"] == "MISSING_KEY"
    assert "mcp-agent-eval keys create" in error["message"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_key_that_reads_may_connect_list_and_read_and_nothing_else(
    settings: Settings, era: str
) -> None:
    key = await make_key(settings, "agent_eval:read")
    async with served(settings) as address, connected(address, era=era, key=key) as client:
        assert (await client.list_tools()).tools
        assert (await client.list_resource_templates()).resource_templates
        assert (await call(client, "list", kind="case"))["total"] == 0
        for tool, arguments, scope in (
            ("create_suite", {"name": "S"}, "agent_eval:create"),
            ("update", {"kind": "suite", "id": "S", "changes": {}}, "agent_eval:update"),
            ("delete", {"kind": "suite", "id": "S"}, "agent_eval:delete"),
            ("run_suite", {"suite_id": "S"}, "agent_eval:run"),
        ):
            error = await refused(client, tool, **arguments)
            assert error["code"] == "INSUFFICIENT_SCOPE"
            assert repr(scope) in error["error"]
            assert error["hint"].endswith(
                f"mcp-agent-eval keys create NAME --scope agent_eval:read --scope {scope}"
            )


@pytest.mark.parametrize("era", ERAS)
async def test_a_key_that_may_not_read_learns_nothing_of_what_is_kept(settings: Settings, era: str) -> None:
    key = await make_key(settings, "agent_eval:create", "agent_eval:run")
    async with served(settings) as address, connected(address, era=era, key=key) as client:
        assert (await client.list_tools()).tools
        case_id = await create_clinic(client)
        assert (await refused(client, "get", kind="case", id=case_id))["code"] == "INSUFFICIENT_SCOPE"
        with pytest.raises(MCPError, match="agent_eval:read"):
            await client.read_resource(f"eval://cases/{case_id}")


async def test_a_client_that_looks_for_an_authorization_server_learns_that_there_is_none(
    settings: Settings,
) -> None:
    await make_key(settings)
    async with served(settings) as address, httpx2.AsyncClient() as http:
        for name in ("oauth-protected-resource/mcp", "oauth-authorization-server"):
            assert (await http.get(f"{address}/.well-known/{name}")).status_code == 404


async def test_a_revoked_key_is_refused_from_its_next_message_on(settings: Settings) -> None:
    key = await make_key(settings)
    async with served(settings) as address, connected(address, key=key) as client:
        await call(client, "list", kind="case")
        async with open_keyring(settings) as keyring:
            await keyring.revoke("a test")
        with pytest.raises(MCPError, match="revoked"):
            await client.call_tool("list", {"kind": "case"})


@pytest.mark.parametrize("era", ERAS)
async def test_a_token_of_the_authorization_server_opens_what_it_says(settings: Settings, era: str) -> None:
    port = free_port()
    issuer = AuthorizationServer(f"http://127.0.0.1:{port}")
    guarded = changed(settings, oauth_issuer=issuer.address, oauth_resource=RESOURCE)
    async with running(issuer.app, port), served(guarded) as address:
        token = issuer.token(scope="agent_eval:read")
        async with connected(address, era=era, key=token) as client:
            assert (await call(client, "list", kind="case"))["total"] == 0
            assert (await refused(client, "run_case", case_id="x"))["code"] == "INSUFFICIENT_SCOPE"
        assert "another audience" in str(await turned_away(address, era=era, key=issuer.token(aud="x")))
        challenge = await post(address)
        metadata = httpx2.URL(extract_resource_metadata_from_www_auth(challenge) or "")
        async with httpx2.AsyncClient() as http:
            found = await http.get(address + metadata.path.removeprefix("/eval"))
    assert metadata.host == httpx2.URL(RESOURCE).host
    assert ProtectedResourceMetadata.model_validate_json(found.content).resource == AnyHttpUrl(RESOURCE)
    assert extract_scope_from_www_auth(challenge) == " ".join(SCOPES)


# --- How often


async def test_calls_are_counted_with_those_over_rest_and_connecting_is_not(settings: Settings) -> None:
    key = await make_key(settings)
    async with served(changed(settings, rate_limit=2)) as address:
        async with connected(address, key=key) as client:
            for _ in range(5):
                await client.list_tools()
            await call(client, "list", kind="case")
            async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as rest:
                left = (await rest.get(f"{address}/agents")).headers["x-ratelimit-remaining"]
            assert left == "0"
            error = await refused(client, "list", kind="case")
            assert error["code"] == "RATE_LIMIT"
            assert "Try again in" in error["hint"]
            with pytest.raises(MCPError, match="Try again in"):
                await client.read_resource("eval://cases/none")
            assert (await client.list_tools()).tools


# --- Pages and names


@pytest.mark.parametrize("header", [{"host": "evil.example"}, {"origin": "https://evil.example"}])
async def test_foreign_hosts_and_pages_are_refused_in_words_that_a_client_shows(
    settings: Settings, header: dict[str, str]
) -> None:
    async with served(settings) as address:
        response = await post(address, **header)
        assert (response.status_code, response.json()["error"]["data"]["code"]) == (403, "FORBIDDEN")
        assert "AGENT_EVAL_ALLOWED_" in str(await turned_away(address, headers=header))


async def test_a_page_that_is_allowed_may_send_what_the_protocol_needs(settings: Settings) -> None:
    page = "https://app.example.com"
    async with served(changed(settings, allowed_origins=(page,))) as address:
        async with httpx2.AsyncClient() as http:
            asked = "authorization,content-type,last-event-id,mcp-method,mcp-name,mcp-protocol-version,mcp-session-id"
            preflight = await http.options(
                f"{address}/mcp",
                headers={
                    "origin": page,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": asked,
                },
            )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == page
        answer = await post(address, origin=page)
        assert answer.headers["access-control-allow-origin"] == page
        assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
        async with connected(address, headers={"origin": page}) as client:
            assert (await client.list_tools()).tools


async def test_a_body_that_is_too_large_is_refused_in_the_protocol(settings: Settings) -> None:
    async with served(settings) as address:
        response = await post(address, LIST_TOOLS | {"params": {"x": "x" * 5_000_000}})
    assert (response.status_code, response.json()["error"]["data"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(("version", "has_type"), [("2025-06-18", False), ("2026-07-28", True)])
async def test_a_refusal_has_the_form_that_results_have_in_its_era(
    settings: Settings, version: str, has_type: bool
) -> None:
    key = await make_key(settings, "agent_eval:read")
    params: Json = {"name": "delete", "arguments": {"kind": "case", "id": "x"}}
    headers = {"Authorization": f"Bearer {key}", "MCP-Protocol-Version": version}
    if has_type:
        prefix = "io.modelcontextprotocol"
        params["_meta"] = {
            f"{prefix}/protocolVersion": version,
            f"{prefix}/clientCapabilities": {},
            f"{prefix}/clientInfo": {"name": "c", "version": "1"},
        }
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": "delete"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers["Accept"] = "application/json"
    async with served(settings) as address, httpx2.AsyncClient() as http:
        result = (await http.post(f"{address}/mcp", json=message, headers=headers)).json()["result"]
    assert result["structuredContent"]["code"] == "INSUFFICIENT_SCOPE"
    assert ("resultType" in result) is has_type
