"""What may happen to workers, their clocks, their disk and their database. Each is played on an empty database."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from random import Random

import anyio
import anyio.to_thread

from tests.faults.checks import Evidence, Kill, crowds, figures, problems
from tests.faults.fleet import Member
from tests.faults.provider import USUAL_FAULTS, Faults
from tests.faults.records import Recorded, Records, is_file
from tests.faults.report import Report
from tests.faults.rig import Plan, Rig, rig
from tests.faults.script import CALLER
from tests.postgres import Server

LEASE = 2.0
_LAST = 0.95
"""The part of all turns that are there when the last worker is killed."""

_NEWER = "9999_newer"
_ENDLESSLY = 1_000_000
_HOUR = 3600.0
_CALM = Faults(latency=0.05)
_FULL = 64 * 1024
"""The size that no file may pass while the disk is full."""


async def killed(url: str, folder: Path, runs: int, kills: int, workers: int = 3, outages: int = 0) -> Report:
    """Workers are killed at random, and models fail, until all runs are over.

    So many times in between, the provider is down until a run waits for it.
    """
    plan = Plan(runs, faults=USUAL_FAULTS, model_limit=workers * 6, budget=1000)
    began = time.monotonic()
    async with rig(url, folder, plan, lease=LEASE, attempts=_ENDLESSLY) as at:
        gone = await _kill_often(at, kills, workers, outages)
        await at.until_over(1800)
        found = _evidence(at, gone)
        limits = dict(enumerate(plan.suites, 1)) | {CALLER: workers * 6}
        took = {"deadlocks": at.records.deadlocks(), "seconds": round(time.monotonic() - began)}
        figured = figures(found) | _money(at.records) | took
        wrong = [*problems(found), *crowds(found, limits), *_underrated(at.records)]
        return Report(f"{kills} kills among {runs} runs, with failing models", figured, wrong)


async def acting(url: str, folder: Path, runs: int, kills: int) -> Report:
    """Workers are killed while their runs use a tool for real."""
    plan = Plan(runs, faults=_CALM, acts=True)
    async with rig(url, folder, plan, lease=LEASE, attempts=_ENDLESSLY) as at:
        gone = await _kill_often(at, kills, workers=2)
        await at.until_over()
        found = _evidence(at, gone)
        return Report(f"{kills} kills among {runs} runs whose tools act", figures(found), problems(found))


async def given_up(url: str, folder: Path, attempts: int = 3) -> Report:
    """A run whose workers die again and again, and of which nothing is stored in between, fails with a reason."""
    async with rig(url, folder, Plan(1, faults=_CALM), lease=0.5, attempts=attempts) as at:
        at.provider.is_silent = True
        for _ in range(attempts):
            [member] = await at.fleet.start_ready()
            await at.until(lambda name=member.name: at.provider.open_requests(name))
            await member.kill()
        await at.fleet.start()
        await at.until_over()
        [run] = at.records.runs()
        told = {name: run.row[name] for name in ("status", "attempts", "error")}
        wrong = [] if (told["status"], told["attempts"]) == ("failed", attempts) else [f"it is {told}"]
        return Report(f"a run whose worker died {attempts} times", told, wrong)


async def stopped(url: str, folder: Path) -> Report:
    """A worker stands still past its lease: what it held goes on elsewhere, and it writes nothing more."""
    plan = Plan(12, at_once=1, faults=_CALM)
    async with rig(url, folder, plan, lease=LEASE / 2) as at:
        [sleeper] = await at.fleet.start_ready()
        await at.until_moved(3)
        await at.until(lambda: at.provider.open_requests(sleeper.name))
        sleeper.stop()
        [taken] = at.records.claimed_by(sleeper.pid)
        [other] = await at.fleet.start_ready()
        await at.until(lambda: _is_over(at.records, taken))
        before = _recorded(at.records, taken)
        left = Kill(other.name, at.records.claimed_by(other.pid), at.provider.open_requests(other.name))
        await other.close()
        sleeper.go_on()
        await at.until_over()
        found = _evidence(at, [left])
        wrong = problems(found)
        if _recorded(at.records, taken) != before:
            wrong.append(f"run {taken} was written to by the worker that had lost it")
        if taken not in sleeper.let_go():
            wrong.append(f"the worker never noticed that it had lost run {taken}")
        return Report("a worker that was stopped past its lease", figures(found), wrong)


async def stopped_in_a_transaction(url: str, folder: Path) -> Report:
    """A worker stands still while it writes, which keeps all others from writing: of a file for as long as it does,
    on a server until that has enough of it."""
    async with rig(url, folder, Plan(100, faults=_CALM), lease=LEASE) as at:
        [other] = await at.fleet.start_ready()
        await at.until_moved()
        sleeper = await at.fleet.start(stops_in_claim=1)
        await at.until(lambda: _stands_still(sleeper.pid))
        began = time.monotonic()
        with anyio.move_on_after(40):
            await at.until_over()
        blocked = at.records.unfinished()
        waited = round(time.monotonic() - began, 1)
        sleeper.go_on()
        await at.until_over()
        complaints = other.log.read_text().count("was locked by another process")
        told = {"seconds": waited, "runs left then": blocked, "complaints of the other": complaints}
        wrong = problems(_evidence(at))
        if blocked and not is_file(url):
            wrong.append(f"the other worker could not write for {waited} s")
        return Report("a worker that was stopped in a transaction", told, wrong)


async def different_clocks(url: str, folder: Path) -> Report:
    """Workers on machines whose clocks differ: one is an hour ahead, one behind."""
    async with rig(url, folder, Plan(60, faults=_CALM), lease=LEASE) as at:
        behind = await at.fleet.start(ahead=-_HOUR)
        await at.fleet.start(ahead=_HOUR)
        await at.fleet.start_ready()
        await at.until(lambda: at.records.claimed_by(behind.pid))
        await at.until_moved(50)
        gone = await _kill(at, behind)
        await at.until_over()
        found = _evidence(at, [gone])
        return Report("clocks that differ by two hours", figures(found), problems(found))


async def jumping_clocks(url: str, folder: Path) -> Report:
    """The clock of a machine jumps, ahead as after a sleep, and back; a worker is killed after each jump."""
    async with rig(url, folder, Plan(60, faults=_CALM), lease=LEASE) as at:
        await at.fleet.start_ready(2)
        gone: list[Kill] = []
        for ahead in (_HOUR, 0.0):
            await at.until_moved(100)
            for member in at.fleet.working():
                await member.set_clock(ahead)
            await at.until_moved(50)
            gone.append(await _kill(at, at.fleet.working()[0]))
            await at.fleet.start_ready(ahead=ahead)
        await at.until_over()
        found = _evidence(at, gone)
        return Report("clocks that jump by an hour", figures(found), problems(found))


async def full_disk(url: str, folder: Path) -> Report:
    """No file may grow any more, until the workers have noticed; then there is room again. They keep the answers that
    they could not store."""
    async with rig(url, folder, Plan(30, faults=_CALM), lease=LEASE) as at:
        members = await at.fleet.start_ready(2)
        await at.until_moved(50)
        for member in members:
            _limit_files(member, _FULL)
        await at.until(lambda: all(map(_noticed_the_disk, members)))
        for member in members:
            _limit_files(member, resource.RLIM_INFINITY)
        await at.until_over()
        found = _evidence(at)
        return Report("a disk that was full for a while", figures(found), problems(found))


async def restarted(
    url: str, folder: Path, server: Server, mode: str, runs: int = 40, away: float = 0
) -> Report:
    """The PostgreSQL server is stopped in the middle, and started again after so many seconds."""
    async with rig(url, folder, Plan(runs, faults=_CALM), lease=LEASE) as at:
        await at.fleet.start_ready(2)
        await at.until_moved(50)
        await anyio.to_thread.run_sync(server.stop, mode)
        await anyio.sleep(away)
        await anyio.to_thread.run_sync(server.start)
        began = time.monotonic()
        await at.until_moved()
        moved = time.monotonic() - began
        await at.until_over()
        found = _evidence(at)
        told = figures(found) | {"seconds until the next turn": round(moved, 1)}
        return Report(f"a server that was stopped ({mode}) for {away:g} s", told, problems(found))


async def down(url: str, folder: Path, runs: int = 20) -> Report:
    """The provider is down until every worker has given its runs back."""
    plan = Plan(runs, faults=_CALM, settings={"model_attempts": 1})
    async with rig(url, folder, plan, lease=LEASE, pause=0.1) as at:
        await at.fleet.start_ready(2)
        await at.until_moved(20)
        await _outage(at, plan.runs // 4)
        await at.until_over()
        found = _evidence(at)
        return Report("a provider that was down for a while", figures(found), problems(found))


async def two_versions(url: str, folder: Path) -> Report:
    """A newer version changes the schema while an older one works: it ends what it holds and claims nothing more,
    and no other old one begins. The rest waits for those that know the schema."""
    async with rig(url, folder, Plan(40, faults=_CALM), lease=LEASE) as at:
        [older] = await at.fleet.start_ready()
        await at.until_moved(3)
        at.records.change("ALTER TABLE runs ADD COLUMN of_a_newer_version TEXT")
        at.records.change(f"INSERT INTO schema_steps (name, sha256) VALUES ('{_NEWER}', '')")
        refusal = await at.fleet.start_in_vain()
        await at.until(lambda: not at.records.claimed_by(older.pid))
        left = at.records.unfinished()
        at.records.change(f"DELETE FROM schema_steps WHERE name = '{_NEWER}'")
        await at.fleet.start_ready()
        await at.until_over()
        found = _evidence(at)
        wrong = problems(found)
        if "StoreTooNew" not in refusal:
            wrong.append(f"an older version was not refused: {refusal}")
        if not left:
            wrong.append("the older version went on to claim runs")
        told = {"ended by the older version": len(found.runs) - left, "left to newer ones": left}
        return Report("two versions on one database", told, wrong)


async def _kill_often(at: Rig, kills: int, workers: int, outages: int = 0) -> list[Kill]:
    """Kill so many workers that are at work, each after some progress, and start a new one for each."""
    random = Random(at.plan.seed)
    await at.fleet.start_ready(workers)
    gone: list[Kill] = []
    for number in range(kills):
        if outages and number % (kills // outages) == kills // outages // 2:
            await _outage(at)
        await at.until_moved(_rows_to_the_next(at, kills - number, random), 120)
        await at.until(at.fleet.working)
        gone.append(await _kill(at, random.choice(at.fleet.working())))
        await at.fleet.start()
    return gone


def _rows_to_the_next(at: Rig, kills_left: int, random: Random) -> int:
    """How many turns there should be before another kill."""
    left = _LAST * at.rows - at.records.moved()
    return max(1, round(left / kills_left * random.uniform(0.5, 1.5)))


async def _kill(at: Rig, member: Member) -> Kill:
    requests = at.provider.open_requests(member.name)
    await member.kill()
    return Kill(member.name, at.records.claimed_by(member.pid), requests)


async def _outage(at: Rig, waiting: int = 1) -> None:
    """Take the provider down until so many runs wait for it."""
    at.provider.is_down = True
    await at.until(lambda: at.records.waiting() >= waiting)
    at.provider.is_down = False


def _evidence(at: Rig, kills: list[Kill] | None = None) -> Evidence:
    return Evidence(at.calls, at.provider, at.records.runs(), kills or [], at.fleet.let_go())


def _money(records: Records) -> dict[str, object]:
    """What was set aside for calls of killed workers, and stays counted as spent."""
    spent, recorded = records.spending()
    return {"dollars recorded": recorded / 1e9, "dollars that count as spent": spent / 1e9}


def _underrated(records: Records) -> list[str]:
    spent, recorded = records.spending()
    return [f"{recorded} nano-dollars are recorded, and {spent} count as spent"] if spent < recorded else []


def _is_over(records: Records, run_id: str) -> bool:
    return _recorded(records, run_id).row["queue_status"] == "done"


def _recorded(records: Records, run_id: str) -> Recorded:
    [run] = [run for run in records.runs() if run.row["id"] == run_id]
    return run


def _stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _noticed_the_disk(member: Member) -> bool:
    said = member.log.read_text()
    return "waits to be stored" in said and "leases could not be renewed" in said


def _limit_files(member: Member, size: int) -> None:
    resource.prlimit(member.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
