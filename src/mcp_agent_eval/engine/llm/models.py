"""Chooses the model for each role, and keeps one client per model while the engine is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mcp_agent_eval.engine.llm.messages import Model
from mcp_agent_eval.engine.llm.names import OFFLINE, THROUGH, is_through, split
from mcp_agent_eval.errors import NotConfigured
from mcp_agent_eval.settings import PREFIX, Settings
from mcp_agent_eval.types import ModelRole

if TYPE_CHECKING:
    import httpx2

    from mcp_agent_eval.engine.llm.pydantic_ai import PydanticAiModel
    from mcp_agent_eval.engine.llm.retries import Gate, RetryPolicy

_DEFAULTS = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5"}
_BASES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
_POOLS = 16
_PROVIDERS = tuple(_DEFAULTS)
_ROLES: tuple[ModelRole, ...] = ("agent", "persona", "judge")


class Models:
    """Resolves names and hands out models, each with the gate of its lane. HTTP is only imported when the first
    wire is needed."""

    def __init__(self, settings: Settings, gate: Callable[[str], Gate] | None = None) -> None:
        self._settings = settings
        self._gate = gate
        self._open: dict[str, Model] = {}
        self._http: list[httpx2.AsyncClient] = []
        self._through: list[PydanticAiModel] = []
        self._unusable: set[str] = set()

    def name_for(self, role: ModelRole, chosen: str | None) -> str:
        """The model of a role: the one on the record, else the one in the settings, else one of a provider with a key.

        Raises:
            NotConfigured: nothing was chosen and no provider has a key, or the name is not one of ours.
        """
        name = chosen or self._setting(role) or self._by_key()
        if name is None:
            raise NotConfigured(
                f"No model is set for the {role}. Set {PREFIX}{role.upper()}_MODEL to openai:NAME or "
                "anthropic:NAME, or put OPENAI_API_KEY or ANTHROPIC_API_KEY in the server's environment.",
                hint=f"To try things without a key, set {PREFIX}{role.upper()}_MODEL=offline: "
                "deterministic and free, but not an LLM.",
            )
        self._check(name)
        return name

    def endpoint(self, name: str) -> str:
        """The address that calls to a model go to; with pydantic-ai that is its own business."""
        provider = split(name)[0]
        if is_through(name):
            return f"{THROUGH}:{provider}"
        return OFFLINE if name == OFFLINE else f"{provider}@{self._base_url(provider)}"

    def lane(self, name: str) -> str:
        """A model and its address: what another process must be able to reach to take over a run."""
        return f"{self.endpoint(name)} {split(name)[1]}".rstrip()

    def reaches(self, lane: str) -> bool:
        """Whether this process can call a lane's model."""
        endpoint, _, model = lane.partition(" ")
        if is_through(endpoint):
            return self._is_usable(f"{endpoint}:{model}")
        return endpoint == OFFLINE or endpoint in map(self.endpoint, self._reachable())

    def limit(self, lane: str) -> int | None:
        """How many runs may use a lane at once, in all processes together; None: no limit."""
        provider, _, model = lane.partition(" ")
        limits = self._settings.model_concurrency
        return limits.get(f"{provider.partition('@')[0]}:{model}", limits.get(model))

    def get(self, name: str) -> Model:
        """The model behind a name that was already checked."""
        if name not in self._open:
            self._open[name] = self._make(name)
        return self._open[name]

    async def aclose(self) -> None:
        """Close the connections."""
        for client in [*self._http, *self._through]:
            await client.aclose()

    def _setting(self, role: ModelRole) -> str | None:
        chosen = (self._settings.agent_model, self._settings.persona_model, self._settings.judge_model)
        return dict(zip(_ROLES, chosen, strict=True))[role]

    def _by_key(self) -> str | None:
        for provider, model in _DEFAULTS.items():
            if self._key(provider):
                return f"{provider}:{model}"
        return None

    def _reachable(self) -> list[str]:
        """The providers with a key, or with the user's own server, which may not need one."""
        own = self._settings.model_base_url
        return [name for name in _PROVIDERS if own or self._own_base(name) or self._key(name)]

    def _check(self, name: str) -> None:
        provider, model = split(name)
        if name == OFFLINE:
            return
        if not (provider and model) or not (provider in _PROVIDERS or is_through(name)):
            raise NotConfigured(
                f"{name!r} is not a model. Write openai:NAME, anthropic:NAME or offline.",
                hint=f"Any OpenAI-compatible server works as openai:NAME with {PREFIX}MODEL_BASE_URL, any other "
                f"provider as {THROUGH}:PROVIDER:NAME.",
            )
        if not self._settings.max_concurrency:
            return
        if is_through(name):
            self.get(name)
        elif provider not in self._reachable():
            raise NotConfigured(
                f"{name} needs {provider.upper()}_API_KEY in the server's environment, or "
                f"{PREFIX}MODEL_BASE_URL for your own server.",
                hint="Add it to the `env` of this MCP server in your host's configuration.",
            )

    def _key(self, provider: str) -> str | None:
        secret = self._settings.openai_api_key if provider == "openai" else self._settings.anthropic_api_key
        return secret.get_secret_value() if secret else None

    def _own_base(self, provider: str) -> str | None:
        return self._settings.openai_base_url if provider == "openai" else self._settings.anthropic_base_url

    def _base_url(self, provider: str) -> str:
        return self._settings.model_base_url or self._own_base(provider) or _BASES.get(provider, "")

    def _make(self, name: str) -> Model:
        if name == OFFLINE:
            from mcp_agent_eval.engine.llm.offline.model import OfflineModel

            return OfflineModel()
        return self._through_pydantic_ai(name) if is_through(name) else self._over_http(*split(name))

    def _over_http(self, provider: str, model: str) -> Model:
        from mcp_agent_eval.engine.llm.anthropic import AnthropicWire
        from mcp_agent_eval.engine.llm.http_model import HttpModel
        from mcp_agent_eval.engine.llm.openai import OpenAIWire

        return HttpModel(
            OpenAIWire() if provider == "openai" else AnthropicWire(),
            model,
            self.clients(),
            base_url=self._base_url(provider),
            key=self._key(provider),
            policy=self._policy(),
            gate=self._gate_of(f"{provider}:{model}"),
        )

    def _through_pydantic_ai(self, name: str) -> Model:
        try:
            from mcp_agent_eval.engine.llm.pydantic_ai import PydanticAiModel, open_model
        except ImportError as exc:
            raise NotConfigured(
                f"{name} needs the package pydantic-ai-slim ({exc.name} is missing).",
                hint='Install it next to this server: pip install "mcp-agent-eval[pydantic-ai]"',
            ) from exc
        model = open_model(name.removeprefix(f"{THROUGH}:"))
        played = PydanticAiModel(name, model, policy=self._policy(), gate=self._gate_of(name))
        self._through.append(played)
        return played

    def _is_usable(self, name: str) -> bool:
        """Whether a pydantic-ai model can be called here. A package that is missing stays missing in this process."""
        if name in self._unusable:
            return False
        try:
            self.get(name)
        except NotConfigured:
            self._unusable.add(name)
            return False
        return True

    def _policy(self) -> RetryPolicy:
        from mcp_agent_eval.engine.llm.retries import RetryPolicy

        return RetryPolicy(
            timeout=self._settings.model_timeout,
            deadline=self._settings.model_deadline,
            attempts=self._settings.model_attempts,
        )

    def _gate_of(self, name: str) -> Gate | None:
        return self._gate(self.lane(name)) if self._gate else None

    def clients(self) -> list[httpx2.AsyncClient]:
        """A few clients instead of one: a connection pool checks every idle connection for each request, so many
        small pools are faster than one large pool."""
        if not self._http:
            import httpx2

            tls = httpx2.create_ssl_context()
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
            self._http = [httpx2.AsyncClient(verify=tls, limits=limits) for _ in range(_POOLS)]
        return self._http
