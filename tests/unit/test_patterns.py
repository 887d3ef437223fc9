"""Safe regular expressions: the verdicts are those of `re`, and nothing hangs or eats memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_agent_eval.engine.matching.patterns import (
    MAX_LENGTH,
    Match,
    PatternTimeout,
    compile_pattern,
    find,
    literal_phrases,
)
from mcp_agent_eval.errors import InvalidPattern
from tests.support import shared_path

REFUSED_BY_RE = (re.error, ValueError, OverflowError, RecursionError)


def verdict_of_re(pattern: str, text: str) -> tuple[int, int] | str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            match = re.search(pattern, text, re.IGNORECASE)
        except REFUSED_BY_RE:
            return "refused"
    return match.span() if match else None


def our_verdict(pattern: str, text: str) -> tuple[int, int] | str | None:
    try:
        match = find(pattern, text)
    except InvalidPattern:
        return "refused"
    return tuple(match) if match else None


def recorded_cases() -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in shared_path("real/regex_cases.jsonl").read_text("utf-8").splitlines()
    ]


def naughty_strings() -> list[str]:
    return json.loads(shared_path("real/blns.json").read_text("utf-8"))


# --- The same verdicts as `re`


@pytest.mark.shared
def test_every_recorded_case_ends_as_it_does_with_re() -> None:
    cases = recorded_cases()
    differing = [
        (case["pattern"], case["text"])
        for case in cases
        if our_verdict(case["pattern"], case["text"]) != verdict_of_re(case["pattern"], case["text"])
    ]
    assert (len(cases), differing) == (2342, [])


@pytest.mark.shared
def test_exactly_what_re_refuses_is_refused_of_the_recorded_patterns() -> None:
    refused = {case["pattern"] for case in recorded_cases() if case["python_re"] == "error"}
    accepted = {case["pattern"] for case in recorded_cases()} - refused
    assert {pattern for pattern in refused if our_verdict(pattern, "") != "refused"} == set()
    assert {pattern for pattern in accepted if our_verdict(pattern, "") == "refused"} == set()


@pytest.mark.shared
def test_hostile_strings_are_patterns_or_are_refused_and_never_break_anything() -> None:
    text = "\n".join(naughty_strings())
    for pattern in naughty_strings():
        assert our_verdict(pattern, text) == verdict_of_re(pattern, text), ascii(pattern)


@pytest.mark.shared
def test_a_hostile_string_is_found_in_a_text_once_it_is_escaped() -> None:
    for string in naughty_strings():
        assert find(re.escape(string), f"before {string} after") is not None, ascii(string)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("would Tuesday at 3pm", "Yes, WOULD TUESDAY AT 3PM suit you?"),
        ("[^a]", "aab"),
        ("[^A]+", "aaxa"),
        (r"[\s\S]*", "a\nb"),
        (r"[^\W\d]+", "12 ab"),
        (r"[\w.-]+@[\w-]+", "write to a.b-c@example"),
        (".+", "a\nb"),
        ("(?s).+", "a\nb"),
        ("(?s:a.)b", "a\nb"),
        ("^b", "a\nb"),
        ("(?m)^b$", "a\nb\nc"),
        ("b$", "a\nb\n"),
        (r"\Ab|b\Z", "ab\n"),
        (r"\bis\b", "this is"),
        (r"\Bis", "this is"),
        (r"\B", ""),
        (r"\b", ""),
        ("(?x) a b # spaced", "xab"),
        ("(?-i:A)b", "ab AB"),
        ("(?a)\\w+", "é1"),
        ("(?a)K", "\u212a k"),
        ("K", "\u212a"),
        (r"(?a:\d)(?u:\d)", "1\u0663"),
        ("i", "\u0130"),
        ("\u0131", "I"),
        ("[h-j]x", "\u0131x"),
        ("(?-i:[h-j])", "\u0131"),
        ("s", "\u017f"),
        ("straße", "STRASSE"),
        ("a{2,3}b", "aab"),
        ("a{,2}b", "aaab"),
        ("a+?", "aaa"),
        ("(a|ab)++c", "abc"),
        ("(?>a|ab)c", "abc"),
        ("(a|ab){1}+c", "abc"),
        (r"(a)(?:b|\1)c", "aac"),
        (r"(?P<x>a)(?P=x)", "aA"),
        ("(a)?b(?(1)c|d)", "bd"),
        ("(a)?b(?(1)c)", "abc"),
        ("(?<=a)b", "ab"),
        ("(?<!a)b", "abb"),
        ("a(?=b)", "acab"),
        ("a(?!b)", "abac"),
        ("a(?!)|b", "ab"),
        ("", "anything"),
        ("hello {name}", "Hello {name}!"),
        ("foo{e}", "fxx"),
        ("[[:alpha:]]+", "l:]"),
        ("[a||b]", "|"),
        ("[a&&b]", "&"),
        (r"\u05e9\u05dc\u05d5\u05dd", "שלום"),
        ("\ud800", "\ud800"),
    ],
)
def test_every_kind_of_construct_means_what_it_means_to_re(pattern: str, text: str) -> None:
    assert our_verdict(pattern, text) == verdict_of_re(pattern, text)
    assert our_verdict(pattern, text) != "refused"


ATOMS = [
    *"abcA.^$iıésßK",
    r"\w",
    r"\s",
    r"\d",
    r"\W",
    r"\b",
    r"\B",
    r"\n",
    r"\A",
    r"\Z",
    "[ab]",
    "[^a]",
    "x{2}",
]
ENDINGS = ["", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}?", "*+", "++"]
GROUPS = [
    "({})",
    "(?:{})",
    "(?={})",
    "(?!{})",
    "(?>{})",
    "(?i:{})",
    "(?-i:{})",
    "(?m:{})",
    "({}|b)",
    "(?<={})",
]

random_patterns = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: (
        st.tuples(
            st.lists(inner, max_size=3).map("".join), st.sampled_from(GROUPS), st.sampled_from(ENDINGS)
        ).map(lambda parts: parts[1].format(parts[0]) + parts[2])
        | st.lists(inner, min_size=1, max_size=3).map("|".join)
    ),
    max_leaves=6,
)


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(random_patterns, st.text("aabcC \nAiıſK1é", max_size=8))
def test_random_patterns_end_as_they_do_with_re(pattern: str, text: str) -> None:
    theirs = verdict_of_re(pattern, text)
    ours = our_verdict(pattern, text)
    assert (ours is None, ours == "refused") == (theirs is None, theirs == "refused")


def test_a_match_says_where_it_stands() -> None:
    assert find("b+", "aBBc") == Match(start=1, end=3)
    assert find("x", "aBBc") is None


# --- What is refused, and what is said about it


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("?why", r"nothing to repeat at position 0 (?). To mean the character itself, escape it as \?"),
        (
            "is it (5",
            r"missing ), unterminated subpattern at position 6 ((). To mean the character itself, escape it as \(",
        ),
        ("done)", r"unbalanced parenthesis at position 4 ()). To mean the character itself, escape it as \)"),
        (
            "a[b",
            r"unterminated character set at position 1 ([). To mean the character itself, escape it as \[",
        ),
        (
            r"\p{L}",
            r"bad escape \p at position 0 (\). To mean the character itself, escape it as \\",
        ),
        ("[z-a]", "bad character range z-a at position 1 (z)."),
        ("(?<=a+)b", "look-behind requires fixed-width pattern."),
        ("(?a)(?u)b", "The pattern does not compile: "),
        ("a{99999999999}", "The pattern does not compile: "),
    ],
)
def test_a_pattern_that_does_not_compile_is_refused_with_the_spot_and_the_remedy(
    pattern: str, said: str
) -> None:
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(pattern)
    assert said in caught.value.message


def test_a_pattern_that_is_too_long_is_refused() -> None:
    compile_pattern("a" * MAX_LENGTH)
    with pytest.raises(InvalidPattern, match="2,001 characters, but at most 2,000 are allowed"):
        compile_pattern("a" * (MAX_LENGTH + 1))


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?:a{50}){50}b{2,9}",
        r"\d{1000}",
        "(?:.{0,1000}){0,1000}",
        "(?:(?:a{0,9999}){0,9999}b){0,9999}",
        "|".join(f"word{number}" for number in range(250)),
        r"(?:\w+ ){0,5}cancel",
    ],
)
def test_a_pattern_with_large_counts_is_accepted_while_it_stays_cheap(pattern: str) -> None:
    assert compile_pattern(pattern).source == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:(?:(?:a{50}){50}){50}){50}",
        "(" * 10 + "a" + "{9})" * 10 + "{9}",
        "(?:" * 14 + "(?:ab)+" + "){2}" * 14,
        "(?:" * 25 + "(?:ab)+" + ")+" * 25,
        "a{60000}",
    ],
)
def test_repeats_of_repeats_that_multiply_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern, match="Use smaller counts"):
        compile_pattern(pattern)


@pytest.mark.parametrize("depth", [70, 400])
def test_groups_that_nest_without_end_are_refused(depth: int) -> None:
    with pytest.raises(InvalidPattern, match="nested too deeply"):
        compile_pattern("(" * depth + "a" + ")" * depth)


def test_a_caller_who_is_out_of_stack_gets_the_same_error() -> None:
    def dive() -> None:
        try:
            dive()
        except RecursionError:
            compile_pattern("(((((((a)))))))+")

    with pytest.raises((InvalidPattern, RecursionError)):
        dive()


def test_an_ambiguous_set_warns_nobody_and_leaves_warnings_as_they_were() -> None:
    before = list(warnings.filters)
    patterns = [f"[[{number}]" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pattern: find(pattern, "["), patterns))
    assert all(found)
    assert list(warnings.filters) == before


# --- Limits on a search


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"(a|aa)+$", r"(?=(a+)+b)", r"(?P<x>a+)(?P=x)+$", r"\b(\w+\s*)+$"]
)
def test_a_search_that_backtracks_without_end_is_stopped(pattern: str) -> None:
    with pytest.raises(PatternTimeout):
        find(pattern, "a" * 50_000 + "!")


HOSTILE = """
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    from mcp_agent_eval.engine.matching.patterns import PatternTimeout, find
    from mcp_agent_eval.errors import InvalidPattern

    nests = ["(?:" * n + body + (")" + q) * n
             for n in (9, 13, 15, 28, 45) for body in ("a", "(a|b)", "[^x]b?")
             for q in ("+", "{2}", "{1,3}", "?", "*?")]
    others = ["(" * 990 + ")" * 990, "|" * 1999, "[a-z]" * 400, "(.*)" * 400, "(?:a{0,65535}){0,65535}",
              "(?:(?:a|b)+){9000}", "(?:a|b|c){9000}", "(?<!a)" * 300, "(?:.*a)" * 250, "i" * 2000, "(?i:" * 400]
    for pattern in nests + others:
        try:
            find(pattern, "ab" * 50_000 + "!")
        except (InvalidPattern, PatternTimeout):
            pass
    print("survived", len(nests + others))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits a process's memory, which Windows does not")
def test_hostile_patterns_are_searched_for_or_refused_within_a_gigabyte() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(HOSTILE)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.stdout, done.stderr) == ("survived 86\n", "")


def test_nothing_is_loaded_before_the_first_search() -> None:
    code = "import sys, mcp_agent_eval.engine.matching.patterns; print('regex' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- What is literal in a pattern


@pytest.mark.parametrize(
    ("pattern", "phrases"),
    [
        ("would Tuesday", ["would Tuesday"]),
        ("(refund|credit) issued", ["refund issued", "credit issued"]),
        ("confirm(ed)? number", ["confirm number"]),
        (r"order\s+is\b.*late", ["order is  late"]),
        ("[Yy]es", ["Yes"]),
        ("(?!not )sure", [" sure"]),
        (r"(a)(?(1)b|c)\1", ["a  "]),
        (r"\d+", [" "]),
    ],
)
def test_the_literal_phrases_of_a_pattern(pattern: str, phrases: list[str]) -> None:
    assert literal_phrases(pattern) == phrases


def test_alternatives_beyond_count_do_not_multiply_phrases() -> None:
    assert len(literal_phrases("(one|two|six)" * 20)) == 32
