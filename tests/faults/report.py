"""What a scenario came to: figures that are worth telling, and everything that was not as it has to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Report:
    """One scenario."""

    title: str
    figures: Mapping[str, object]
    problems: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        heading = f"{'FAIL' if self.problems else 'ok  '}  {self.title}"
        told = [f"        {name}: {value}" for name, value in self.figures.items()]
        wrong = [f"      - {problem}" for problem in self.problems[:_SHOWN]]
        more = len(self.problems) - _SHOWN
        return "\n".join([heading, *told, *wrong, *([f"      - and {more} more"] if more > 0 else [])])
