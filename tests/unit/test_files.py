"""Evals as files: what is read has its place, and everything that keeps a file from being read is told with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_agent_eval.lab.packs.files import Pack, Source, pack_of, read_files, read_pack
from mcp_agent_eval.lab.packs.json_text import read_json
from mcp_agent_eval.lab.packs.located import Unreadable, pointed, spelled
from mcp_agent_eval.lab.packs.yaml_reading import read_yaml
from tests.support import shared_path

SHAPE = "A file of evals is a mapping with any of the sections tools, agents, personas, suites, cases."


def pack(text: str | bytes, name: str = "evals.yaml") -> Pack:
    return read_pack([Source(name, text if isinstance(text, bytes) else text.encode())])


def problems(text: str | bytes, name: str = "evals.yaml") -> list[str]:
    return [str(problem) for problem in pack(text, name).problems]


def persona(traits: str) -> Any:
    """The traits of the one persona in a file."""
    found = pack(f"personas:\n  - name: P\n    behavior_traits: {traits}\n")
    assert found.problems == ()
    return found.entries[0].body["behavior_traits"]


# --- Places


def test_every_value_knows_the_line_of_its_field_in_yaml() -> None:
    found = pack(
        "# evals\ncases:\n\n  - name: C\n    scenario: >-\n      Long.\n    success_criteria:\n      - type: x\n"
    )
    entry = found.entries[0]
    assert (entry.kind, entry.name, entry.place) == ("case", "C", "evals.yaml:4")
    places = [("scenario",), ("success_criteria",), ("success_criteria", 0, "type"), ("success_criteria", 9)]
    assert [entry.located.line_of(path) for path in places] == [5, 7, 8, 7]


def test_every_value_knows_the_line_of_its_field_in_json() -> None:
    text = (
        '{\n\t"cases": [\n\t\t{"name": "C",\n\t\t "success_criteria":\n\t\t  [{"type": "x"},\n\t\t   {}]}]}'
    )
    entry = pack(text, "evals.json").entries[0]
    assert entry.place == "evals.json:3"
    places = [("name",), ("success_criteria",), ("success_criteria", 0, "type"), ("success_criteria", 1)]
    assert [entry.located.line_of(path) for path in places] == [3, 4, 5, 6]


def test_a_problem_is_written_with_file_line_and_path() -> None:
    entry = pack("cases:\n  - name: C\n    agent_overrides:\n      odd key: [1]\n").entries[0]
    problem = entry.problem(("agent_overrides", "odd key", 0), "is odd.")
    assert str(problem) == "evals.yaml:4: cases[0].agent_overrides['odd key'][0]: is odd."


def test_a_problem_of_a_pack_without_a_file_names_its_entry() -> None:
    entry = pack_of({"cases": [{"name": "C"}]}).entries[0]
    assert str(entry.problem(("agent",), "is required.")) == "cases[0]: agent: is required."


def test_a_message_that_begins_with_a_path_is_taken_apart() -> None:
    path = ("success_criteria", 0, "pattern")
    assert pointed(f"{spelled(path)}: does not compile.") == (path, "does not compile.")
    assert pointed("There is no agent: 5.") == ((), "There is no agent: 5.")


# --- What is read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("[yes, No, on, off, y]", ["yes", "No", "on", "off", "y"]),
        ("[true, False, null, ~]", [True, False, None, None]),
        ("[12:30, 2026-11-21, 0501234567, 1_000, 0x1F, +5, .5, .inf, '7']", None),
        ("[1, -2, 0.5, 1e5, 1.5E-3]", [1, -2, 0.5, 1e5, 1.5e-3]),
        ("[!!str 1, !!float 2, !!bool true]", ["1", 2.0, True]),
        (r'["\ud83d\ude00", "\U0001F600", "\ud83d"]', ["\U0001f600", "\U0001f600", "\ud83d"]),
        ("{}", {}),
        ("", None),
    ],
)
def test_a_word_is_a_number_or_truth_value_only_where_it_looks_so_in_json(written: str, read: object) -> None:
    if read is None and written:
        read = [word.strip(" '") for word in written.strip("[]").split(",")]
    assert json.dumps(persona(written)) == json.dumps(read)


def test_anchors_and_merges_are_followed_and_own_fields_count_most() -> None:
    text = "cases:\n- &a {name: A, x: 1, y: 1}\n- &b {<<: *a, name: B}\n- {<<: [{x: 3}, *b], name: C}\n- *a\n"
    found = pack(text)
    assert found.problems == ()
    assert [entry.body for entry in found.entries] == [
        {"name": "A", "x": 1, "y": 1},
        {"name": "B", "x": 1, "y": 1},
        {"name": "C", "x": 3, "y": 1},
        {"name": "A", "x": 1, "y": 1},
    ]


def test_sections_may_be_empty_and_line_breaks_and_byte_order_marks_of_any_system() -> None:
    found = pack(
        b"\xef\xbb\xbfagents:\r\npersonas: []\r\ncases:\r\n  - name: C\r\n    scenario: |\r\n      One\r\n      Two\r\n"
    )
    assert found.problems == ()
    assert [entry.body for entry in found.entries] == [{"name": "C", "scenario": "One\nTwo\n"}]
    assert pack(b'\xef\xbb\xbf{"cases": null}', "x.json") == Pack(())


# --- What is refused


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", [f"evals.yaml:1: is empty. {SHAPE}"]),
        (" \n\n", [f"evals.yaml:1: is empty. {SHAPE}"]),
        ("# nothing\n", [f"evals.yaml:1: is empty. {SHAPE}"]),
        ("- name: A\n", [f"evals.yaml:1: is a list. {SHAPE}"]),
        ("just words\n", [f"evals.yaml:1: is a string. {SHAPE}"]),
        ("agents: []\ncase: []\n", [f"evals.yaml:2: case: there is no such section. {SHAPE}"]),
        ("cases: {}\n", ["evals.yaml:1: cases: must be a list of cases, but is a mapping."]),
        ("cases:\n  - A\n  - 5\n", [
            "evals.yaml:2: cases[0]: must be a mapping of fields, but is a string.",
            "evals.yaml:3: cases[1]: must be a mapping of fields, but is a number.",
        ]),
        ("cases:\n  - name: A\n    x: 1\n    name: B\n    x: 2\n", [
            "evals.yaml:4: cases[0].name: is given twice, first on line 2.",
            "evals.yaml:5: cases[0].x: is given twice, first on line 3.",
        ]),
        ("cases:\n\t- name: A\n", ["evals.yaml:2: a tab is used where only spaces are allowed: indent with spaces."]),
        ("cases:\n  - name: A\n   x: 1\n", ["evals.yaml:3: is not YAML: "]),
        ("cases: []\n---\ncases: []\n", ["evals.yaml:2: is not YAML: expected a single document"]),
        ("cases: [\n", ["evals.yaml:2: is not YAML: "]),
        ("cases:\n  - name: \x07\n", ["evals.yaml:2: the character U+0007 must be written as an escape"]),
        ("cases:\n  - name: !secret x\n", ["evals.yaml:2: cases[0].name: the tag '!secret' has no meaning here."]),
        ("cases:\n  - !!python/object/apply:os.system [ls]\n", [
            "evals.yaml:2: cases[0]: the tag 'tag:yaml.org,2002:python/object/apply:os.system' has no meaning here.",
            "evals.yaml:2: cases[0]: must be a mapping of fields, but is empty.",
        ]),
        ("cases:\n  - 5: x\n    [1]: y\n", [
            "evals.yaml:2: cases[0]: the name of a field must be a string, but '5' is not: put it in quotes.",
            "evals.yaml:3: cases[0]: the name of a field must be a string, but a list or mapping is not",
        ]),
        ("cases:\n  - n: 1e999\n    m: !!int x\n    l: " + "9" * 5000 + "\n", [
            "evals.yaml:2: cases[0].n: a number is too large.",
            "evals.yaml:3: cases[0].m: 'x' is not a whole number.",
            "evals.yaml:4: cases[0].l: a number is too large.",
        ]),
        ("cases:\n  - <<: 5\n", ["evals.yaml:2: cases[0]: what `<<` merges must be a mapping, or a list of mappings."]),
        ("cases: *a\n", ["evals.yaml:1: is not YAML: found undefined alias 'a'."]),
        ("cases:\n - &a [*a]\n", ["evals.yaml:2: an alias is inside the value that it refers to."]),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
        ), ["evals.yaml:1: holds more than 1,000,000 values, aliases counted each time."]),
        ("[" * 5000, ["evals.yaml:1: is nested more than 100 levels deep."]),
        ("[" * 150 + "]" * 150, ["evals.yaml:1: is nested more than 100 levels deep."]),
        (b"cases:\n  - name: \xff\n", ["evals.yaml:2: is not UTF-8: there is a byte 0xff."]),
        ("cases: []".encode("utf-16"), ["evals.yaml:1: is UTF-16: save it as UTF-8."]),
    ],
)  # fmt: skip
def test_a_yaml_file_that_cannot_be_read_says_where_and_why(text: str | bytes, told: list[str]) -> None:
    found = problems(text)
    assert len(found) == len(told)
    assert [one for one, begins in zip(found, told, strict=True) if not one.startswith(begins)] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", f"x.json:1: is empty. {SHAPE}"),
        ("null", f"x.json:1: is empty. {SHAPE}"),
        ('{"cases": [],\n "cases": []}', "x.json:2: cases: is given twice, first on line 1."),
        ('{"cases": [\n{"name": "A" "x": 1}]}', "x.json:2: is not JSON: ',' or '}' is expected here."),
        ('{"cases": [\n1,]}', "x.json:2: is not JSON: expecting value."),
        ('{"cases": []}\n{}', "x.json:2: is not JSON: something follows after the end of the value."),
        ("{'cases': []}", "x.json:1: is not JSON: the name of a field is expected here, in double quotes."),
        ('{"cases"\n []}', "x.json:2: is not JSON: ':' is expected here."),
        ('{"cases": [NaN]}', "x.json:1: is not JSON: there is no number NaN."),
        ('{"cases":\n [1e999]}', "x.json:2: a number is too large."),
        ('{"cases":\n [' + "9" * 5000 + "]}", "x.json:2: a number is too large."),
        ("[" * 100_000, "x.json:1: is not JSON: is nested more than 100 levels deep."),
        ("# evals\n{}", "x.json:1: is not JSON: expecting value."),
    ],
)
def test_a_json_file_that_cannot_be_read_says_where_and_why(text: str, told: str) -> None:
    assert problems(text, "x.json") == [told]


def json_suite() -> Iterator[tuple[str, str, bytes]]:
    for line in shared_path("real/json_parsing.jsonl").read_text().splitlines():
        test = json.loads(line)
        yield test["name"], test["expect"], base64.b64decode(test["b64"])


def test_json_is_read_as_the_published_suite_of_parsers_has_it() -> None:
    wrong: list[str] = []
    for name, expected, content in json_suite():
        try:
            text = content.decode()
            read = read_json(text)[0].value
            if expected == "reject" or json.dumps(read) != json.dumps(json.loads(text)):
                wrong.append(name)
        except (UnicodeDecodeError, Unreadable):
            if expected == "accept":
                wrong.append(name)
    assert wrong == []


def test_no_hostile_bytes_are_more_than_a_problem() -> None:
    for name, _, content in json_suite():
        for suffix in ("yaml", "json"):
            found = read_pack([Source(f"{name}.{suffix}", content)])
            assert found.problems or found.entries == (), name


def test_what_is_json_and_yaml_reads_alike() -> None:
    text = '{"cases": [{"name": "A", "x": ["\\u00e9", 1.5, true, null, {}]}]}'
    assert read_json(text)[0].value == read_yaml(text)[0].value


# --- Files and folders


def nothing() -> bytes:
    raise AssertionError("Nobody asked for standard input.")


def test_a_folder_means_the_files_in_it_and_no_file_is_read_twice(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).write_text(json.dumps({"suites": [{"name": name}]}))
    (tmp_path / "folder.yaml").mkdir()
    found = read_files([str(tmp_path), str(tmp_path / "b.yaml")], nothing)
    assert [entry.name for entry in found.entries] == ["a.yml", "b.yaml", "c.json"]
    assert found.problems == ()


def test_what_cannot_be_read_is_told_beside_what_can(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.yaml").write_text("suites: [{name: S}]\n")
    found = read_files([str(tmp_path / name) for name in ("none.yaml", "empty", "a.yaml")], nothing)
    assert [str(problem) for problem in found.problems] == [
        f"{tmp_path / 'none.yaml'}: cannot be read: No such file or directory.",
        f"{tmp_path / 'empty'}: is a folder without any file that ends in .yaml, .yml, .json.",
    ]
    assert [entry.name for entry in found.entries] == ["S"]
    assert not found.whole


def test_a_link_in_a_folder_that_leads_nowhere_is_told_beside_what_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("suites: [{name: S}]\n")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "gone.yaml")
    found = read_files([str(tmp_path)], nothing)
    assert [str(problem) for problem in found.problems] == [
        f"{tmp_path / 'b.yaml'}: cannot be read: No such file or directory."
    ]
    assert [entry.name for entry in found.entries] == ["S"]
    assert not found.whole


@pytest.mark.parametrize("text", ["suites:\n  - name: S\n", '\n{"suites":\t[{"name": "S"}]}'])
def test_standard_input_may_be_yaml_or_json(text: str) -> None:
    found = read_files(["-", "-"], text.encode)
    assert [(entry.name, entry.file) for entry in found.entries] == [("S", "<stdin>")]
