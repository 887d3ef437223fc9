"""Who waits is woken, and nothing is kept for those who have gone."""

from __future__ import annotations

import gc

from mcp_agent_eval.engine.running.signals import Signals


async def test_those_who_wait_for_the_same_are_woken_together_and_once() -> None:
    signals = Signals()
    one, other = signals.event("run"), signals.event("run")
    assert one is other
    signals.ring("run", "suite run")
    assert one.is_set()
    assert not signals.event("run").is_set()


async def test_an_event_that_was_never_rung_goes_with_the_last_who_waited_for_it() -> None:
    signals = Signals()
    kept = signals.event("kept")
    for number in range(100):
        signals.event(f"run {number}")
    gc.collect()
    assert len(signals) == 1
    signals.hear("")
    assert kept.is_set()
    assert len(signals) == 0
