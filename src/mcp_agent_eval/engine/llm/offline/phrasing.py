"""What an agent says when its prompt tells it what to do, but not in which words."""

from __future__ import annotations

import re

from mcp_agent_eval.engine.llm.offline.language import sentences
from mcp_agent_eval.engine.llm.offline.rephrase import as_sentence, first_person, to_the_caller

READ_BACK = "Let me read that back: [summary]. Is that right?"
"""Spoken where a prompt asks for a read-back without wording it. [summary] is filled with what is known."""

FORBIDDEN = re.compile(
    r"(?i)(?:you (?:must|should|may|can|will) (?:not|never)|never|do not|don['’]t|avoid)\s+(.+)"
)
ACTION = (
    r"(?:say|ask|tell|call|use|answer|reply|respond|offer|explain|apologi[sz]e|transfer|give|read|repeat|confirm"
    r"|inform|take|book|check|make|let|do not|don['’]t|never|always|please|then|first|thank|end|be|stay|wait"
    r"|you (?:should|must|can|may)|schedule|cancel|collect|find|look|try|suggest|recommend|remind|warn|advise"
    r"|state|mention|escalate|forward|greet|offer)\b"
)
"""The verbs that a prompt gives orders with."""

STATEMENT = re.compile(
    r"(?i)(?:the|a|an|we|our|there|its?|they|this|that|these|those|you[r']?|i|s?he|each|every|all|no|callers?)\b"
    rf"|(?!{ACTION})(?:\w+(?: \w+){{0,2}} (?:is|are|was|were|can|cannot|will|must|may|has|have)\b)"
)
_TO = r"(?: (?:(?:the|a|every) )?(?:callers?|customers?|users?|guests?|patients?)| them)?"
_ASK = (
    rf"(?:greet[^.]* and )?(?:ask{_TO} (?:for|about)|ask{_TO}(?= (?:wh\w+|how|if)\b)|find out|collect|obtain"
    r"|get(?= (?:the|a|their) ))\s+(.+)"
)
_TELL = rf"(?:tell|inform|remind|warn|advise|assure){_TO}"
_STEP = re.compile(rf"(?i)(?:(?:then|next|first|also|finally|always),? )?(?=(?:{_ASK}|{_TELL} that )).+")
_PHRASINGS = [
    (re.compile(rf"(?is)(?:(?:then|next|first|also|finally|always),? )?{pattern}"), template)
    for pattern, template in (
        (r"(?:never|do not|don['’]t|avoid) (.+)", "I am sorry, I cannot {}."),
        (r"(?:read|repeat|confirm|summari[sz]e|recap|double[- ]check|verify)\b().*", READ_BACK),
        (_ASK, "Could you tell me {}?"),
        (rf"{_TELL}(?: that| about| of)? (.+)", "{}."),
        (r"(?:explain|mention|say|answer|state)(?: that)? (.+)", "{}."),
        (r"apologi[sz]e\b().*", "I am very sorry about that."),
        (r"(?:be|stay|remain|keep|show|speak|listen|wait)\b().*", "I understand."),
        (r"(.+)", "Let me {}."),
    )
]
_TONE = re.compile(
    r"(?i)(?:be|keep|use|speak|stay|answer|respond|reply|make|remember|note|follow|try|help|ensure|let|wait"
    r"|listen|act|give|provide|offer|ask|always|talk|otherwise|your (?:job|task|role|goal|tone)"
    r"|you (?:should|must|can|will|may|need))\b"
)
_OF_THE_AGENT = re.compile(r"(?i)(?:you(?! (?:can|could|may|will|get|find|pay|have to))|your name)\b")


def phrased(action: str) -> str:
    """An action in words: `ask for their name` as `Could you tell me your name?`."""
    action = next(iter(sentences(action)), "").rstrip(".!:; ")
    for pattern, template in _PHRASINGS:
        if match := pattern.match(action):
            return as_sentence(template.format(to_the_caller(match[1])))
    return ""


def step(sentence: str) -> str:
    """A step of a script in words; "" for a sentence that is none: only asking and telling are."""
    return phrased(sentence) if _STEP.match(sentence) else ""


def fact(sentence: str) -> str:
    """A sentence as a caller can be told it, a prohibition as a refusal; "" where it only sets the tone."""
    if FORBIDDEN.match(sentence):
        return phrased(re.sub(r"(?i)^you \w+ (?:not|never)\b", "never", sentence))
    if _TONE.match(sentence):
        return ""
    return as_sentence(first_person(sentence) if is_of_the_agent(sentence) else to_the_caller(sentence))


def is_of_the_agent(sentence: str) -> bool:
    """Whether a sentence says who the agent is, which answers few questions."""
    return _OF_THE_AGENT.match(sentence) is not None
