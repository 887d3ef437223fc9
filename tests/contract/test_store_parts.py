"""The parts of the store that need no database: deltas of requests, and queries by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agent_eval.engine import store
from mcp_agent_eval.engine.store import statements
from mcp_agent_eval.engine.store.deltas import Requests
from mcp_agent_eval.engine.store.postgres import DIALECT as OTHER
from mcp_agent_eval.engine.store.sqlite import DIALECT
from mcp_agent_eval.engine.store.statements import load_migrations, load_queries, parse, script
from mcp_agent_eval.types import Json, ModelRole

FOLDER = Path(store.__path__[0])

ROLES: st.SearchStrategy[ModelRole] = st.sampled_from(["agent", "persona"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.lists(
    st.sampled_from(["a", "b"]).map(lambda text: {"role": "user", "content": text}), max_size=6
)
BODIES = st.dictionaries(st.sampled_from(["model", "tools", "messages", "x"]), VALUES) | st.builds(
    lambda rest, messages: {**rest, "messages": messages},
    st.dictionaries(st.sampled_from(["model", "tools"]), VALUES),
    MESSAGES,
)


class TestDeltas:
    @given(st.lists(st.tuples(ROLES, BODIES), max_size=8))
    def test_whatever_is_sent_is_rebuilt_from_what_is_kept(self, sent: list[tuple[ModelRole, Json]]) -> None:
        writing, reading = Requests(), Requests()
        for role, body in sent:
            delta, writing = writing.encode(role, body)
            back, reading = reading.decode(role, json.loads(json.dumps(delta)))
            assert back == body

    def test_only_what_is_new_is_kept(self) -> None:
        first = {"model": "m", "messages": [{"content": "a"}], "tools": [1]}
        second = {"model": "m", "messages": [{"content": "a"}, {"content": "b"}], "tools": [1]}
        delta, requests = Requests().encode("agent", first)
        assert delta == {
            "rest": {"model": "m", "messages": None, "tools": [1]},
            "keep": 0,
            "tail": first["messages"],
        }
        delta, requests = requests.encode("agent", second)
        assert delta == {"keep": 1, "tail": [{"content": "b"}]}
        delta, _ = requests.encode("agent", {**second, "tools": []})
        assert delta == {"rest": {"model": "m", "messages": None, "tools": []}, "keep": 2, "tail": []}

    def test_a_history_that_was_rewritten_is_kept_from_where_it_differs(self) -> None:
        _, requests = Requests().encode("agent", {"messages": ["a", "b", "c"]})
        delta, _ = requests.encode("agent", {"messages": ["a", "x", "c", "d"]})
        assert delta == {"keep": 1, "tail": ["x", "c", "d"]}
        delta, _ = requests.encode("agent", {"messages": ["a"]})
        assert delta == {"keep": 1, "tail": []}

    def test_each_role_has_a_history_of_its_own(self) -> None:
        _, requests = Requests().encode("agent", {"messages": ["a"]})
        delta, requests = requests.encode("persona", {"messages": ["a"]})
        assert delta["keep"] == 0
        delta, _ = requests.encode("agent", {"messages": ["a", "b"]})
        assert delta == {"keep": 1, "tail": ["b"]}

    def test_a_list_that_grows_in_place_is_no_trouble(self) -> None:
        messages = ["a"]
        _, requests = Requests().encode("agent", {"messages": messages})
        messages.append("b")
        delta, _ = requests.encode("agent", {"messages": messages})
        assert delta == {"keep": 1, "tail": ["b"]}

    def test_what_was_not_committed_is_not_remembered(self) -> None:
        before = Requests()
        before.encode("agent", {"messages": ["a"]})
        delta, _ = before.encode("agent", {"messages": ["a"]})
        assert delta["tail"] == ["a"]

    def test_the_fields_of_a_body_keep_their_order(self) -> None:
        body = {"z": 1, "messages": [], "a": 2}
        delta, _ = Requests().encode("agent", body)
        back, _ = Requests().decode("agent", delta)
        assert list(back) == ["z", "messages", "a"]


class TestQueries:
    def test_every_query_says_what_it_does(self) -> None:
        for query in load_queries(DIALECT).values():
            assert query.description.endswith("."), query.name

    def test_every_query_is_asked_for_and_nothing_else_is(self) -> None:
        code = "".join(file.read_text("utf-8") for file in FOLDER.glob("*.py"))
        asked = set(re.findall(r'\.(?:all|one|run|many)\(\s*f?"([^"]+)"', code))
        patterns = [re.sub(r"\\\{.*?\\\}", r"\\w+", re.escape(name)) for name in asked]
        names = set(load_queries(DIALECT))
        unused = {name for name in names if not any(re.fullmatch(pattern, name) for pattern in patterns)}
        unknown = {p for p in patterns if not any(re.fullmatch(p, name) for name in names)}
        assert (unused, unknown) == (set(), set())

    def test_every_dialect_has_the_same_queries_and_the_same_parameters(self) -> None:
        ours, others = load_queries(DIALECT), load_queries(OTHER)
        assert ours.keys() == others.keys()
        for name, query in ours.items():
            everything = dict.fromkeys(query.optional, 1)
            assert query.statement(everything).names == others[name].statement(everything).names
            assert ":" not in query.statement(everything).sql
            assert others[name].statement(everything).sql.count("%s") == len(
                query.statement(everything).names
            )

    def test_a_line_stands_only_where_its_parameter_is_given(self) -> None:
        (query,) = parse("-- name: q\n-- Find.\nSELECT 1 WHERE a = :a\n  AND b = :b   --? b\n", DIALECT)
        assert query.statement({"a": 1}) == ("SELECT 1 WHERE a = ?", ("a",))
        assert query.statement({"a": 1, "b": None}) is query.statement({"a": 2})
        assert query.statement({"a": 1, "b": 0}) == ("SELECT 1 WHERE a = ?\n  AND b = ?", ("a", "b"))

    def test_one_query_is_made_of_each_word(self) -> None:
        text = "-- name: get_{kind}\n-- for kind: dog, cat\n-- One.\nSELECT {bigint} FROM {kind}s;\n"
        assert [(query.name, query.statement({}).sql) for query in parse(text, DIALECT)] == [
            ("get_dog", "SELECT INTEGER FROM dogs"),
            ("get_cat", "SELECT INTEGER FROM cats"),
        ]

    def test_a_word_that_no_dialect_knows_is_an_error(self) -> None:
        with pytest.raises(KeyError, match="jsonb"):
            list(parse("-- name: q\nSELECT {jsonb}", DIALECT))

    def test_two_queries_may_not_have_one_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        twice = "-- name: q\nSELECT 1\n-- name: q\nSELECT 2\n"
        monkeypatch.setattr(statements, "parse", lambda _, dialect: parse(twice, dialect))
        with pytest.raises(ValueError, match="two queries are named q"):
            load_queries(DIALECT)

    def test_a_migration_is_taken_apart_into_its_statements(self) -> None:
        text = "-- A table; with a remark.\nCREATE TABLE t (\n    a {json}\n) {strict};\n\nCREATE INDEX i ON t (a);\n"
        assert script(text, DIALECT) == ["CREATE TABLE t (\n    a TEXT\n) STRICT", "CREATE INDEX i ON t (a)"]

    def test_the_steps_of_the_schema_are_numbered_without_a_gap(self) -> None:
        numbers = [int(name.partition("_")[0]) for name in load_migrations()]
        assert numbers == list(range(1, len(numbers) + 1))
