"""Secrets by reference: filled when they are used, and nowhere to be seen."""

from __future__ import annotations

import pytest

from mcp_agent_eval.engine.secrets import (
    fill_address,
    fill_secrets,
    hidden,
    shown,
    shown_address,
    values_in,
)
from mcp_agent_eval.errors import NotConfigured

ENVIRONMENT = {
    "AGENT_EVAL_SECRET_TOKEN": "s3cr3t-value",
    "AGENT_EVAL_SECRET_LONGER": "s3cr3t-value-and-more",
    "AGENT_EVAL_SECRET_PATH": "T0/B1/a+b?c&d=e",
    "AGENT_EVAL_SECRET_PIN": "7391",
    "AGENT_EVAL_SECRET_TINY": "7",
    "AGENT_EVAL_SECRET_NESTED": "{{secret.TOKEN}}",
    "AGENT_EVAL_SECRET_EMPTY": "",
    "AGENT_EVAL_SECRET_SPACED": " s3cr3t-value\n",
    "OTHER": "not one of ours",
}


def filled(text: str) -> str:
    return fill_secrets(text, ENVIRONMENT)


def test_a_reference_becomes_its_value() -> None:
    assert filled("Bearer {{secret.TOKEN}}") == "Bearer s3cr3t-value"
    assert filled("{{ secret.TOKEN }}/{{secret.PIN}}") == "s3cr3t-value/7391"


def test_a_text_without_references_stays_as_it_is() -> None:
    assert filled("{{Name}} {secret.TOKEN} secret.TOKEN") == "{{Name}} {secret.TOKEN} secret.TOKEN"


def test_space_around_a_value_is_not_part_of_it() -> None:
    assert filled("{{secret.SPACED}}") == "s3cr3t-value"


def test_a_value_that_looks_like_a_reference_is_not_filled_again() -> None:
    assert filled("{{secret.NESTED}}") == "{{secret.TOKEN}}"


@pytest.mark.parametrize("name", ["NOWHERE", "EMPTY"])
def test_a_missing_secret_is_an_error_that_names_its_variable(name: str) -> None:
    with pytest.raises(NotConfigured, match=f"AGENT_EVAL_SECRET_{name} is missing") as caught:
        filled(f"{{{{secret.TOKEN}}}} {{{{secret.{name}}}}}")
    assert "s3cr3t" not in caught.value.message


@pytest.mark.parametrize(
    "text", ["{{secret.}}", "{{secret.my-key}}", "{{secret.a b}}", "{{secret.../OTHER}}"]
)
def test_a_reference_that_names_no_secret_is_an_error(text: str) -> None:
    with pytest.raises(NotConfigured, match="not a valid reference to a secret"):
        filled(text)


def test_the_process_environment_is_what_counts_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AGENT_EVAL_SECRET_TOKEN", "from outside")
    assert fill_secrets("{{secret.TOKEN}}") == "from outside"


def test_a_secret_in_an_address_is_encoded_but_for_its_slashes() -> None:
    assert fill_address("https://h/{{secret.PATH}}", ENVIRONMENT) == "https://h/T0/B1/a%2Bb%3Fc%26d%3De"


def test_headers_show_references_and_mask_other_credentials() -> None:
    headers = {
        "Authorization": "Bearer {{secret.TOKEN}}",
        "X-Both": "{{secret.TOKEN}}:{{ secret.PIN }}",
        "Cookie": "session=literal",
        "x-api-key": "literal",
        "X-Auth-Token": "literal",
        "Proxy-Authorization": "literal",
        "Content-Language": "he",
    }
    assert shown(headers) == {
        "Authorization": "{{secret.TOKEN}}",
        "X-Both": "{{secret.TOKEN}} {{ secret.PIN }}",
        "Cookie": "***",
        "x-api-key": "***",
        "X-Auth-Token": "***",
        "Proxy-Authorization": "***",
        "Content-Language": "he",
    }


def test_an_address_shows_references_and_masks_other_credentials() -> None:
    url = "https://h/a?page=2&api_key=literal&token={{secret.TOKEN}}#part"
    assert shown_address(url) == "https://h/a?page=2&api_key=***&token={{secret.TOKEN}}#part"


def test_a_value_that_comes_back_is_hidden_wherever_it_stands() -> None:
    secrets = values_in(
        ["{{secret.TOKEN}} {{secret.LONGER}}", "{{secret.PIN}}", "{{secret.PATH}}"], ENVIRONMENT
    )
    came_back = {
        "s3cr3t-value": ["Bearer s3cr3t-value-and-more", 7391, 7391.5, True, None],
        "encoded": "T0/B1/a%2Bb%3Fc%26d%3De",
    }
    assert hidden(came_back, secrets) == {
        "{{secret.TOKEN}}": ["Bearer {{secret.LONGER}}", "{{secret.PIN}}", 7391.5, True, None],
        "encoded": "{{secret.PATH}}",
    }


def test_what_is_too_short_to_be_told_apart_is_left() -> None:
    secrets = values_in(["{{secret.TINY}}"], ENVIRONMENT)
    assert hidden({"count": 7, "text": "at 7"}, secrets) == {"count": 7, "text": "at 7"}
