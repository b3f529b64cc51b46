"""Random moments at which a run is killed, and a run that is killed again and again until it may come to its end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fault_runs import Mini, alive, announced, end_by_force, until

GONE_WITHIN_S = 15.0  # a job has five seconds to end politely


@dataclass(frozen=True)
class Moment:
    """So many seconds after a stage was announced; `alone`: only run.sh itself is killed, else all of its group."""

    stage: int
    after_s: float
    alone: bool = False

    def __str__(self) -> str:
        return f"stage {self.stage} + {self.after_s:.2f} s" + (", run.sh alone" if self.alone else "")


def moments(seed: int, kills: int, took_s: Mapping[int, float], every_stage: bool = True) -> list[Moment]:
    """Moments in their order: one in each stage that takes time, the others where the time goes.

    A second moment of a stage counts from the first, as what was done until then is not done again.

    Args:
        seed: of the draw; a quarter of the moments, also drawn, are of run.sh alone.
        kills: how many.
        took_s: how long each stage takes.
        every_stage: whether each has one of them.
    """
    rng = random.Random(seed)
    busy = {stage: seconds for stage, seconds in took_s.items() if seconds > 0.1}
    stages = list(busy) if every_stage else []
    stages += rng.choices(list(busy), list(busy.values()), k=kills - len(stages))
    alone = {*rng.sample(range(kills), kills // 4)}
    drawn: list[Moment] = []
    at = {stage: 0.0 for stage in busy}
    for stage, after_s in sorted((stage, rng.uniform(0, 0.9 * busy[stage])) for stage in stages):
        drawn.append(Moment(stage, after_s - at[stage], alone=len(drawn) in alone))
        at[stage] = after_s
    return drawn


def run_through(mini: Mini, planned: Sequence[Moment], check: Callable[[], None]) -> int:
    """Run, be killed, run again, and so on, the last time to the end; how many were killed.

    A run that comes to its end before its moment is checked and forgotten: the next begins anew. No step or job runs
    again whose record a kill has left, and none says that it does.

    Args:
        check: called after each end.
    """
    kills = 0
    for moment in [*planned, None]:
        before = mini.records()
        run = mini.start()
        said, killed = _end(run, moment)
        assert "Traceback" not in said, said
        assert "runs again" not in said, said
        after = mini.records()
        again = [str(path.relative_to(mini.work)) for path, written in before.items() if after.get(path) != written]
        assert not again, f"{moment}: done before, and done again: {again}"
        kills += killed
        if not killed:
            check()
            if moment is not None:
                shutil.rmtree(mini.work)
    return kills


def _end(run: subprocess.Popen[str], moment: Moment | None) -> tuple[str, bool]:
    """What a run says until its end, and whether that was at the moment; nothing of it is alive any more."""
    try:
        said = ""
        if moment is not None:
            said = announced(run, moment.stage)
            try:
                run.wait(moment.after_s)
            except subprocess.TimeoutExpired:
                (os.kill if moment.alone else os.killpg)(run.pid, signal.SIGKILL)
                run.wait()
                until(lambda: not alive(run.pid), GONE_WITHIN_S, f"{moment}: {alive(run.pid)} outlive run.sh")
        out, err = run.communicate()
        assert run.returncode in (0, -signal.SIGKILL), f"{moment}: {err}"
        return said + out + err, run.returncode != 0
    finally:
        end_by_force(run)
