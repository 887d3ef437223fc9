"""The simulated caller: a model that plays a persona, and how it ends a conversation."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_agent_eval.engine.conversation.base import Journal, Said, Silent, visible
from mcp_agent_eval.engine.conversation.dialogue import Dialogue
from mcp_agent_eval.engine.conversation.persona_prompt import END_TOOL, persona_prompt
from mcp_agent_eval.engine.llm.messages import Message, Model, ModelReply, ToolSpec
from mcp_agent_eval.types import Persona

_HANG_UP = ToolSpec(
    name=END_TOOL,
    description="End the call. Use it together with your goodbye, once.",
    parameters={
        "type": "object",
        "properties": {
            "reason": {
                "type": "string",
                "enum": ["got_what_i_wanted", "was_refused", "gave_up", "was_transferred"],
            }
        },
        "required": ["reason"],
    },
)


@dataclass(frozen=True, slots=True)
class EndSignal:
    """How a persona signals that it is done: with a tool if its model accepts tools, and always with the marker."""

    marker: str
    tool: bool = True


class SimulatedPersona:
    """Plays a persona. It hears the agent as `user` and remembers its own words as `assistant`."""

    def __init__(
        self, persona: Persona, scenario: str, model: Model, journal: Journal, signal: EndSignal
    ) -> None:
        self._signal = signal
        self._dialogue = Dialogue(
            "persona",
            model,
            journal,
            system=persona_prompt(persona, scenario, end_marker=signal.marker, end_tool=signal.tool),
            tools=(_HANG_UP,) if signal.tool else (),
        )

    def hear(self, text: str) -> None:
        """Take in the agent's words."""
        self._dialogue.add(Message("user", text))

    async def speak(self) -> Said:
        """The next message, with the end signal removed."""
        reply = await self._dialogue.ask()
        said = _without_signal(reply, self._signal.marker)
        if not (said.text or said.hangs_up):
            raise Silent("The persona's model called a tool that it was not offered and said nothing.")
        self._dialogue.add(Message("assistant", said.text))
        return said


def _without_signal(reply: ModelReply, marker: str) -> Said:
    text = reply.message.text
    by_marker = text.rstrip().endswith(marker)
    return Said(
        text=visible(text.replace(marker, "").strip() if marker in text else text),
        hangs_up=by_marker or any(call.name == END_TOOL for call in reply.message.tool_calls),
        reply=reply,
    )
