"""Settings: read once, checked at once, and a mistake names its variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_agent_eval.engine.llm.models import Models
from mcp_agent_eval.errors import NotConfigured
from mcp_agent_eval.settings import Settings


def test_the_database_is_a_file_in_the_users_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Settings.read().database_url == f"sqlite:///{tmp_path}/mcp-agent-eval/evals.db"


def test_the_scheme_of_a_database_may_be_in_upper_case() -> None:
    assert Settings.read(database_url="PostgreSQL://Me@h/DB").database_url == "postgresql://Me@h/DB"
    assert Settings.read(database_url="Evals.db").database_url == "Evals.db"


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EVAL_WAIT_SECONDS", "12")
    monkeypatch.setenv("AGENT_EVAL_PRICES", '{"mine": {"input": 1, "output": 2}}')
    settings = Settings.read()
    assert settings.wait_seconds == 12
    assert settings.prices["mine"].output == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AGENT_EVAL_WAIT_SECONDS", "soon"),
        ("AGENT_EVAL_MAX_CONCURRENCY", "-1"),
        ("AGENT_EVAL_BACKEND", "elsewhere"),
        ("AGENT_EVAL_PRICES", "{not json"),
        ("AGENT_EVAL_PERSONA_END_MARKER", "   "),
    ],
)
def test_a_mistake_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(NotConfigured, match=name):
        Settings.read()


@pytest.mark.parametrize("setting", ["run_budget", "suite_budget", "day_budget", "max_cost_usd"])
@pytest.mark.parametrize("dollars", ["inf", "nan", "1e11", "1e-12", "0", "-1"])
def test_a_ceiling_that_no_sum_could_be_held_to_is_refused(
    monkeypatch: pytest.MonkeyPatch, setting: str, dollars: str
) -> None:
    monkeypatch.setenv(f"AGENT_EVAL_{setting.upper()}", dollars)
    with pytest.raises(NotConfigured, match=f"AGENT_EVAL_{setting.upper()}: must be"):
        Settings.read()


@pytest.mark.parametrize(
    "setting",
    [
        "model_timeout",
        "model_deadline",
        "grace_seconds",
        "wait_seconds",
        "wait_cap",
        "run_timeout",
        "run_deadline",
    ],
)
def test_a_time_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(f"AGENT_EVAL_{setting.upper()}", "inf")
    with pytest.raises(NotConfigured, match=f"AGENT_EVAL_{setting.upper()}: must be"):
        Settings.read()


@pytest.mark.parametrize(
    ("prices", "problem"),
    [
        ('{"openai:a": {"inptu": 1, "output": 1}}', '["openai:a"]["inptu"]: there is no such field'),
        ('{"openai:a": {"input": 1}}', '["openai:a"]["output"]: is required'),
        ('{"openai:a": {"input": -1, "output": 1}}', '["openai:a"]["input"]: must be at least 0'),
        ('{"openai:a": {"input": 1, "output": Infinity}}', '["openai:a"]["output"]: must be at most'),
        ('{"openai:a": {"input": NaN, "output": 1}}', '["openai:a"]["input"]: must be'),
        (
            '{"openai:a": {"input": "1", "output": 1}}',
            '["openai:a"]["input"]: must be a number',
        ),
        ('{"openai:a": 1}', '["openai:a"]: must be an object'),
    ],
)
def test_a_price_that_could_be_counted_with_wrongly_is_refused(
    monkeypatch: pytest.MonkeyPatch, prices: str, problem: str
) -> None:
    monkeypatch.setenv("AGENT_EVAL_PRICES", prices)
    with pytest.raises(NotConfigured) as refused:
        Settings.read()
    assert f"AGENT_EVAL_PRICES{problem}" in refused.value.message


@pytest.mark.parametrize("variable", ["AGENT_EVAL_MODEL_BASE_URL", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"])
@pytest.mark.parametrize(
    "address",
    [
        "http://user:s3cret@host/v1",
        "http://s3cret@host/v1",
        "https://host/v1?key=s3cret",
        "https://host/v1#s3cret",
        "host/v1",
        "http://hóst/v1",
        f"http://host/{'x' * 300}",
    ],
)
def test_the_address_of_models_holds_nothing_that_must_not_be_stored(
    monkeypatch: pytest.MonkeyPatch, variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(NotConfigured, match=f"^{variable}: must ") as refused:
        Settings.read()
    assert "s3cret" not in str(refused.value)


def test_a_sign_that_only_a_user_could_follow_may_stand_in_a_path() -> None:
    assert Settings.read(model_base_url="https://host/models@001/v1").model_base_url


def test_the_name_of_a_model_has_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EVAL_AGENT_MODEL", "openai:" + "x" * 500)
    with pytest.raises(
        NotConfigured, match="AGENT_EVAL_AGENT_MODEL: must be one line of at most 500 characters"
    ):
        Settings.read()


def test_waiting_longer_than_the_cap_is_refused() -> None:
    with pytest.raises(
        NotConfigured, match=r"^AGENT_EVAL_WAIT_SECONDS \(56\) is above AGENT_EVAL_WAIT_CAP \(55\)"
    ):
        Settings.read(wait_seconds=56)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EVAL_AGENT_MODEL", "")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert Settings.read().agent_model is None
    assert Settings.read().openai_api_key is None


def test_a_key_does_not_show_when_settings_are_printed() -> None:
    settings = Settings.read(OPENAI_API_KEY="sk-secret")
    assert "sk-secret" not in repr(settings)


def test_a_role_takes_the_record_then_the_setting_then_the_provider_with_a_key() -> None:
    keyed = Models(Settings.read(OPENAI_API_KEY="sk-x", judge_model="offline"))
    assert keyed.name_for("agent", "openai:chosen") == "openai:chosen"
    assert keyed.name_for("judge", None) == "offline"
    assert keyed.name_for("persona", None).startswith("openai:")
    other = Models(Settings.read(ANTHROPIC_API_KEY="sk-x"))
    assert other.name_for("agent", None).startswith("anthropic:")


@pytest.mark.parametrize("name", ["gpt-4.1", "openai:", "mistral:large", ":x", "offline:x"])
def test_a_name_that_is_no_model_says_how_to_write_one(name: str) -> None:
    with pytest.raises(NotConfigured, match=r"openai:NAME, anthropic:NAME or offline"):
        Models(Settings.read(OPENAI_API_KEY="sk-x")).name_for("agent", name)


def test_a_server_of_ones_own_needs_no_key() -> None:
    models = Models(Settings.read(model_base_url="http://127.0.0.1:11434/v1"))
    assert models.name_for("agent", "openai:llama3.2") == "openai:llama3.2"


def test_a_worker_offers_what_it_can_reach_and_no_more() -> None:
    assert Models(Settings.read()).reaches("offline")
    keyed = Models(Settings.read(OPENAI_API_KEY="sk-x"))
    assert keyed.lane("openai:gpt-5.4-mini") == "openai@https://api.openai.com/v1 gpt-5.4-mini"
    assert keyed.reaches(keyed.lane("openai:gpt-5.4-mini"))
    assert not keyed.reaches("openai@http://elsewhere/v1 gpt-5.4-mini")
    assert not keyed.reaches(keyed.lane("anthropic:claude-haiku-4-5"))


def test_who_executes_nothing_needs_no_key_to_start_runs() -> None:
    others = Models(Settings.read(max_concurrency=0))
    assert others.name_for("agent", "openai:gpt-5.4-mini") == "openai:gpt-5.4-mini"
    with pytest.raises(NotConfigured, match="is not a model"):
        others.name_for("agent", "gpt")


def test_a_models_limit_is_found_by_its_name_with_or_without_the_provider() -> None:
    models = Models(Settings.read(OPENAI_API_KEY="sk-x", model_concurrency={"openai:a": 3, "b": 4}))
    limits = [models.limit(models.lane(name)) for name in ("openai:a", "openai:b", "openai:c", "offline")]
    assert limits == [3, 4, None, None]
