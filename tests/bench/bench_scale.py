"""Time and memory of what a run does beside the arithmetic, on sets up to VoxCeleb2's 1.2 million utterances.

    .venv/bin/python -m tests.bench.bench_scale [--steps A,B] [--sizes 10000,1200000] [--work DIR] [--again]

A table of seconds by the clock and of the processor and of peak memory by step and size, a star behind what is over a
limit, and its picture, WORK/scale.png. Each step is measured in a process of its own: seconds without imports, memory
with them, which are half a gigabyte where torch is one of them; of the workers, what one has that its parent does not
share. A figure that is there already, in WORK/figures.json, is not measured again; `--again` does. The sets are
`tests.bench.scale_sets`, made once below WORK, which then has 6 GB: no speech, and a list like VoxCeleb1-E, of an
eighth as many utterances and half as many trials. `recordings` looks at files of audio: its time is the disk's.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

SIZES = (10_000, 30_000, 100_000, 300_000, 1_200_000)
LIMIT_S, LIMIT_MIB = 60, 2000
STEPS: dict[str, Callable[[Path, Clock], None]] = {}


class Clock:
    """Seconds of a step, and of its parts where it has several; and what is measured in place of the peak memory."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self.processor_s = 0.0
        self.mib: float | None = None

    @contextmanager
    def __call__(self, part: str = "") -> Iterator[None]:
        began, used = time.perf_counter(), processor_s()
        yield
        self.parts[part] = time.perf_counter() - began
        self.processor_s += processor_s() - used


def processor_s() -> float:
    """Of this process and of those that it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def step(function: Callable[[Path, Clock], None]) -> Callable[[Path, Clock], None]:
    """A step of the benchmark: of the folder of a size, as `make` fills it."""
    STEPS[function.__name__] = function
    return function


def main() -> None:
    """Measure what is asked for and is not there yet; print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", default=",".join(STEPS), help="names, with a comma between two")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of utterances")
    parser.add_argument("--work", type=Path, default=Path("exp/bench_scale"), help="where sets and figures go")
    parser.add_argument("--again", action="store_true", help="measure what has been measured, too")
    parser.add_argument("--measure", nargs=2, metavar=("STEP", "SIZE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    work = args.work.absolute()
    if args.measure:
        measure(args.measure[0], work, int(args.measure[1]))
        return
    steps, sizes = args.steps.split(","), sorted(map(int, args.sizes.split(",")))
    if unknown := set(steps) - STEPS.keys():
        parser.error(f"unknown steps: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    figures = work / "figures.json"
    known = json.loads(figures.read_text()) if figures.exists() else {}
    print(f"load before: {os.getloadavg()[0]:.1f} (0 is a quiet machine); {len(os.sched_getaffinity(0))} cores")
    for size in sizes:
        make(work, size, steps)
        for name in steps:
            found = known.setdefault(name, {})
            if str(size) not in found or args.again:
                found[str(size)] = in_child(name, work, size)
                figures.write_text(json.dumps(known, indent=1))
            print(line_of(name, size, found[str(size)]), flush=True)
    draw(work / "scale.png", known)
    print(work / "scale.png")


def in_child(name: str, work: Path, size: int) -> dict[str, object]:
    """The figures of a step, from a process of its own, or the code with which it failed."""
    command = [sys.executable, "-m", "tests.bench.bench_scale", "--work", str(work), "--measure", name, str(size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    if done.returncode:
        return {"failed": done.returncode}
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, work: Path, size: int) -> None:
    """Be the process of a step; the last line is its figures."""
    clock = Clock()
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        if name in MADE:
            MADE[name](work, size)
        else:
            STEPS[name](work / str(size), clock)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)
    figures = {"parts": clock.parts, "processor_s": clock.processor_s, "mib": round(clock.mib or peak_mib, 1)}
    print(json.dumps(figures))


def line_of(name: str, size: int, found: dict[str, object]) -> str:
    """A line of the table."""
    if "failed" in found:
        return f"{name:<22}{size:>10,}  failed with code {found['failed']}"
    seconds = sum(found["parts"].values())
    over = " *" if seconds > LIMIT_S or found["mib"] > LIMIT_MIB else ""
    parts = "  ".join(f"{part} {s:.2f}" for part, s in found["parts"].items() if part)
    processor = f"{found['processor_s']:>9.2f} s"
    return f"{name:<22}{size:>10,}{seconds:>9.2f} s{processor}{found['mib']:>9,.0f} MiB{over:<3}{parts}"


# -- What the steps are of -----------------------------------------------------------------------------------


def make(work: Path, size: int, steps: list[str]) -> None:
    """The sets, recordings and embeddings of a size that some steps need, those that are not there yet."""
    for name in [name for name in MADE if any(name in NEEDS.get(each, ("sets",)) for each in steps)]:
        stamp = work / str(size) / f".{name}"
        if not stamp.exists():
            if "failed" in in_child(name, work, size):
                raise SystemExit(f"{name} of {size} utterances cannot be made")
            stamp.touch()


def make_sets(work: Path, size: int) -> None:
    from tests.bench.scale_sets import make_set

    make_set(work / str(size) / "all", work / "audio", size)
    make_set(work / str(size) / "other", work / "audio", size // 20, first_speaker=50_000)


def make_audio(work: Path, size: int) -> None:
    from tests.bench import scale_sets

    scale_sets.make_audio(work / "audio", size)


def make_vectors(work: Path, size: int, crops: bool = False) -> None:
    from tests.bench.scale_sets import make_runs, make_test_set

    make_test_set(work / str(size) / "test", size)
    make_runs(work / str(size) / "exp", work / str(size) / "test", crops)


def make_crops(work: Path, size: int) -> None:
    make_vectors(work, size, crops=True)


MADE = {"sets": make_sets, "audio": make_audio, "vectors": make_vectors, "crops": make_crops}
NEEDS = {
    **dict.fromkeys(("recordings", "forked_worker", "spawned_worker"), ("sets", "audio")),
    **dict.fromkeys(("score_vectors", "score_asnorm", "score_files", "figures", "bootstrap"), ("vectors",)),
    **dict.fromkeys(("score_crops_cosine", "score_crops_euclidean"), ("crops",)),
}


def command(clock: Clock, module: str, *words: object) -> None:
    """Run a command as steps/MODULE.sh does."""
    main = importlib.import_module(f"sv.cli.{module}").main
    sys.argv = [module, *map(str, words)]
    with clock():
        main()


# -- Stage 0 -------------------------------------------------------------------------------------------------


@step
def data_directory(place: Path, clock: Clock) -> None:
    """Read and written, as by all that makes one of another."""
    from sv.data.datadir import DataDir

    with clock("read"):
        data = DataDir.read(place / "all")
    with clock("write"):
        data.write(place / "copy")


@step
def validate(place: Path, clock: Clock) -> None:
    """Without audio."""
    command(clock, "validate_data", "--disjoint-from", place / "other", fresh(place / "all"))


@step
def hold_out_sessions(place: Path, clock: Clock) -> None:
    sets = (place / "all", fresh(place / "rest"), place / "held_out")
    command(clock, "hold_out", "--fraction", 0.02, "--every-speaker", *sets)


@step
def hold_out_speakers(place: Path, clock: Clock) -> None:
    command(clock, "hold_out", "--speakers", "2%", place / "all", fresh(place / "rest2"), place / "held_out2")


@step
def subset(place: Path, clock: Clock) -> None:
    command(clock, "subset_data", "--per-speaker", 100, place / "all", place / "subset")


@step
def combine(place: Path, clock: Clock) -> None:
    command(clock, "combine_data", fresh(place / "combined"), place / "all", place / "other")


@step
def recordings(place: Path, clock: Clock) -> None:
    """The state of every file, for the records."""
    from sv.data.recordings import recordings_digest

    with clock():
        recordings_digest(place / "all")


@step
def records(place: Path, clock: Clock) -> None:
    """A step's record of a set's files: noted, written, found unchanged."""
    from sv.data.datadir import set_files
    from sv.records import Step

    def of_set() -> Step:
        return Step("bench", fresh(place / "records"), inputs=set_files(place / "all"))

    with clock("begin"):
        this = of_set()
        this.skip()
        this.begin()
    with clock("done"):
        this.done(set_files(place / "all"))
    with clock("skip"):
        this.skip()


def fresh(folder: Path) -> Path:
    """A folder in which no step is done."""
    for record in (folder / ".done").glob("*.json"):
        record.unlink()
    return folder


# -- Training ------------------------------------------------------------------------------------------------


@step
def wave_reader(place: Path, clock: Clock) -> None:
    with clock():
        made_reader(place)


@step
def feature_reader(place: Path, clock: Clock) -> None:
    from sv.features.files import FeatureReader

    with clock():
        FeatureReader(place / "all" / "feats" / "mfcc30_16k", vad="energy", cmn_window=300)


@step
def forked_worker(place: Path, clock: Clock) -> None:
    """A quarter of an epoch of tiny crops read by one of four workers; memory is what is the worker's alone."""
    loader = made_loader(place)
    with clock():
        clock.mib = of_worker("fork", loader)


@step
def spawned_worker(place: Path, clock: Clock) -> None:
    """The same of a worker that is given all it needs as bytes."""
    loader = made_loader(place)
    with clock():
        clock.mib = of_worker("spawn", loader)


def made_reader(place: Path):
    from sv.features.wave_reader import WaveReader

    return WaveReader(place / "all", 16000)


def made_loader(place: Path):
    """What a worker of a training has: a reader and a sampler, of crops that cost no time."""
    from sv.training.loader import ChunkLoader
    from sv.training.sampler import EveryRecording

    reader = made_reader(place)
    of = (reader.num_frames, speakers_of(place), (16, 16), 200, 1)
    return ChunkLoader(EveryRecording(*of, chunks_per_recording=1, frames_per_s=16000.0), reader)


def of_worker(way: str, loader: object) -> float:
    """Memory in MiB that a worker has for itself after a quarter of an epoch."""
    import multiprocessing

    context = multiprocessing.get_context(way)
    queue = context.Queue()
    worker = context.Process(target=quarter_epoch, args=(loader, queue))
    worker.start()
    mib = queue.get()
    worker.join()
    return mib


def quarter_epoch(loader, queue) -> None:
    """Be a worker."""
    for index in range(0, len(loader.sampler), 4):
        loader[0, index]
    queue.put(own_mib())


def own_mib() -> float:
    """Memory of this process that it shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean"))) / 1024


def speakers_of(place: Path) -> dict[str, str]:
    from sv.data.tables import read_table

    return read_table(place / "all" / "utt2spk")


def sampled(clock: Clock, make: Callable[[], object]) -> None:
    """A sampler made; an epoch drawn; a training of 150 epochs taken up in the middle of the last one."""
    import numpy as np

    from sv.training.loader import batches

    class Nothing:
        def chunk(self, utterance: str, start: int, length: int) -> np.ndarray:
            return np.zeros(1, np.float32)

    with clock("make"):
        sampler = make()
    with clock("epoch"):
        for index in range(len(sampler)):
            sampler.batch(0, index)
    with clock("resume"):
        next(batches(sampler, Nothing(), 0, 150, first_step=149 * len(sampler) + len(sampler) // 2))


def usable(place: Path) -> tuple[object, ...]:
    """What samplers are made of: 2 s of recordings, in batches of 200."""
    from sv.data.tables import read_table

    counts = {utt: int(n) for utt, n in read_table(place / "all" / "utt2num_samples").items()}
    return counts, speakers_of(place), (32000, 32000), 200, 1


@step
def balanced_chunks(place: Path, clock: Clock) -> None:
    from sv.training.sampler import BalancedChunks

    of = usable(place)
    sampled(clock, lambda: BalancedChunks(*of, chunks_per_speaker=200, frames_per_s=16000.0))


@step
def every_recording(place: Path, clock: Clock) -> None:
    from sv.training.sampler import EveryRecording

    of = usable(place)
    sampled(clock, lambda: EveryRecording(*of, chunks_per_recording=1, frames_per_s=16000.0))


@step
def speaker_groups(place: Path, clock: Clock) -> None:
    from sv.training.groups import SpeakerGroups

    *of, _, seed = usable(place)
    speakers = len(set(of[1].values()))
    size = min(800, speakers // 2 * 2)  # two of each of 400 speakers, of fewer where there are not as many
    sampled(clock, lambda: SpeakerGroups(*of, size, seed, utterances=2, max_per_speaker=500, frames_per_s=16000.0))


@step
def stream_of_recordings(place: Path, clock: Clock) -> None:
    from sv.training.stream import StreamOfRecordings

    of = usable(place)
    sampled(clock, lambda: StreamOfRecordings(*of, steps=len(of[0]) // 200, frames_per_s=16000.0))


# -- Scores and figures --------------------------------------------------------------------------------------


def scored(place: Path, clock: Clock, system: str) -> None:
    """Score the list by the one back end that a run has."""
    run = place / "exp" / system / "seed1"
    fresh(run / "scores")
    command(clock, "score", "--enrol", "test", "--test", "test", run, place / "test" / "trials_e")


@step
def score_vectors(place: Path, clock: Clock) -> None:
    scored(place, clock, "vectors")


@step
def score_asnorm(place: Path, clock: Clock) -> None:
    """Scores in deviations of those of the 300 nearest of 6,000 speakers; of a smaller set, of fewer."""
    from tests.bench.scale_sets import make_normalised

    make_normalised(place)
    (place / "exp/asnorm/seed1/backend/cosine/cohort_statistics/test.npz").unlink(missing_ok=True)
    scored(place, clock, "asnorm")


@step
def score_crops_cosine(place: Path, clock: Clock) -> None:
    """Ten crops an utterance."""
    scored(place, clock, "crops")


@step
def score_crops_euclidean(place: Path, clock: Clock) -> None:
    scored(place, clock, "crops-euclidean")


def drawn(place: Path):
    """The list with scores of its own, targets a little higher."""
    import numpy as np

    from sv.data.trials import Trials

    trials = Trials.read(place / "test" / "trials_e")
    rng = np.random.default_rng(0)
    return trials, rng.normal(np.where(trials.is_target, 3.0, 0.0), 1.0)


@step
def score_files(place: Path, clock: Clock) -> None:
    """The list, and scores of it written and read."""
    from sv.scoring.trials import read_scores, write_scores

    with clock("list"):
        trials, scores_N = drawn(place)
    with clock("write"):
        write_scores(place / "drawn", trials, scores_N)
    with clock("read"):
        read_scores(place / "drawn", trials)


@step
def figures(place: Path, clock: Clock) -> None:
    """A row of the report but for the intervals."""
    import sv.report.figures

    trials, scores_N = drawn(place)
    with clock():
        sv.report.figures.figures(trials, scores_N, {})


@step
def bootstrap(place: Path, clock: Clock) -> None:
    """A row of the report with its intervals: 1,000 replicates."""
    import sv.report.figures
    from sv.data.trials import speakers_of

    trials, scores_N = drawn(place)
    with clock():
        sv.report.figures.figures(trials, scores_N, speakers_of(place / "test"))


# -- The picture ---------------------------------------------------------------------------------------------


def draw(path: Path, known: dict[str, dict[str, dict]]) -> None:
    """Seconds and peak memory against utterances, a line a step, the slowest named first."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measured = {
        name: {int(size): found for size, found in sorted(of.items(), key=lambda item: int(item[0])) if "mib" in found}
        for name, of in known.items()
    }
    measured = {name: of for name, of in measured.items() if of}
    figure, axes = pyplot.subplots(1, 2, figsize=(16, 8), layout="constrained")
    styles = [(f"C{n % 10}", ("-", "--", ":")[n // 10 % 3], "os^Dv"[n % 5]) for n in range(len(measured))]
    style = dict(zip(measured, styles, strict=True))
    for axis, what, limit, value in (
        (axes[0], "seconds", LIMIT_S, lambda found: sum(found["parts"].values())),
        (axes[1], "peak memory in MiB", LIMIT_MIB, lambda found: found["mib"]),
    ):
        by_last = sorted(measured, key=lambda name: -value(list(measured[name].values())[-1]))
        for name in by_last:
            colour, line, marker = style[name]
            values = [value(found) for found in measured[name].values()]
            label = f"{values[-1]:,.3g}  {name}" if limit == LIMIT_S else f"{values[-1]:,.0f}  {name}"
            axis.plot(list(measured[name]), values, line, color=colour, marker=marker, markersize=4, label=label)
        axis.axhline(limit, color="red", linewidth=2)
        axis.annotate(f"limit {limit:,}", (min(SIZES), limit), (0, 4), textcoords="offset points", color="red")
        axis.set(xscale="log", yscale="log", xlabel="utterances", ylabel=what)
        axis.grid(which="both", alpha=0.2)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9, title="at the largest size", frameon=False)
    first, last = min(SIZES), max(SIZES)
    axes[0].plot([first, last], [0.004, 0.004 * last / first], color="grey", linewidth=0.8, zorder=0)
    axes[0].annotate("linear", (last, 0.004 * last / first), (-34, -14), textcoords="offset points", color="grey")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
