"""The results table: what a row holds, its text for the terminal and as Markdown, what a reader must know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

EER_DEFINITION = (
    "EER on the convex hull of the ROC; beside it its 95 % interval over speakers (bias-corrected bootstrap, 1000"
    " replicates). minDCF at target priors .05 and .01, costs 1, over the cost of the better trivial decision."
    " min Cllr in bits, after the best monotone mapping."
)

ACTUAL_DEFINITION = (
    "actDCF at target prior .05, act Cprim (the mean of those at .01 and .005: Cprimary of SRE16, unequalised) and Cllr"
    " (bits) are of calibrated scores only, log-likelihood ratios decided at the Bayes threshold; the other figures are"
    " of the scores before calibration."
)

EQUALISED_DEFINITION = (
    "eq. EER, eq. min Cprim and eq. act Cprim: SRE16's official figures, in which every partition has the same say: at"
    " each threshold the miss rate is the mean of those of the target trials' partitions (language, gender, one or"
    " three enrolment segments, same or other phone number), the false-alarm rate that of the non-target trials' (the"
    " same but for the phone), and of these two are the EER (on the convex hull) and the mean of the normalised costs"
    " at target priors .01 and .005; the actual cost is of calibrated scores."
)

MEAN_DEFINITION = (
    "Of several seeds the mean ± the standard deviation (N - 1) of their figures, above the rows of the seeds;"
    " intervals are of single runs, a mean has none."
)

DEFINITIONS = (EER_DEFINITION, MEAN_DEFINITION, ACTUAL_DEFINITION, EQUALISED_DEFINITION)


@dataclass(frozen=True)
class Row:
    """One run, back end and trial list.

    Rates are fractions, except the published EER, which is in % as in its paper. `eer_interval` is None where
    speakers are unknown. `num_trials` are scored of the list's `num_listed`. What a list or run has not is None.
    """

    system: str
    backend: str
    trials: str
    seed: int
    eer: float
    eer_interval: tuple[float, float] | None
    eer_nearest: float
    min_dcf_05: float
    min_dcf_01: float
    min_cllr: float
    num_listed: int
    num_trials: int
    num_targets: int
    num_speakers: int
    published_eer: float | None
    published_source: str | None
    published_min_dcf_05: float | None = None
    num_skipped: int = 0  # bootstrap replicates without a target or without a non-target trial
    is_synthetic: bool = False  # the speech of the list
    trained: str | None = None  # how long and on what
    act_dcf_05: float | None = None  # this and the next three: of calibrated scores, None without
    act_cprimary: float | None = None
    cllr: float | None = None
    calibrated: str | None = None  # on what
    equalised_eer: float | None = None  # this and the next two: of lists with partitions
    equalised_min_cprimary: float | None = None
    equalised_act_cprimary: float | None = None  # of calibrated scores
    num_partitions: tuple[int, int] | None = None  # of target and of non-target trials
    tuned_for: str | None = None  # the figure that weights were chosen by on this very list
    apart: str | None = None  # why this seed is not averaged with the others


def seeds_of(rows: Sequence[Row]) -> list[list[int]]:
    """The places of the rows, those together that are seeds of one system, back end and list, to be averaged.

    A row that is `apart`, of a seed that is there already, or of another number of scored trials, stays alone.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, row in enumerate(rows):
        key = (row.system, row.backend, row.trials)
        together = [rows[j] for j in groups.get(key, ())]
        fits = all(row.seed != other.seed and row.num_trials == other.num_trials for other in together)
        groups.setdefault(key if fits and not row.apart else (i,), []).append(i)
    return list(groups.values())


def table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table's header and its rows as text; columns that tell nothing (of one seed, say) are left out.

    Seeds that are averaged stand together, below the row of their means and standard deviations.
    """
    seeds = len({row.seed for row in rows}) > 1
    papers = any(row.published_eer is not None for row in rows)
    papers_costs = any(row.published_min_dcf_05 is not None for row in rows)
    actual = any(row.calibrated for row in rows)
    equalised = any(row.num_partitions for row in rows)
    header = (
        *("system", *(["seed"] if seeds else []), "back end", "trial list"),
        *("EER %", "95 % interval", "minDCF.05", "minDCF.01", "min Cllr"),
        *(["actDCF.05", "act Cprim", "Cllr"] if actual else []),
        *(["eq. EER %", "eq. min Cprim"] if equalised else []),
        *(["eq. act Cprim"] if equalised and actual else []),
        "trials",
        *(["paper's EER %"] if papers else []),
        *(["paper's minDCF.05"] if papers_costs else []),
    )
    lines = [header]
    for group in seeds_of(rows):
        several = [rows[i] for i in group]
        for each in [several, *([row] for row in several)] if len(several) > 1 else [several]:
            row = each[0]
            listed = "" if row.num_trials == row.num_listed else f" of {row.num_listed:,}"
            lines.append(
                (
                    *(row.system, *([_seed(each)] if seeds else []), row.backend, _list(row)),
                    *(_percent(each, "eer"), _interval(each)),
                    *(_cost(each, name) for name in ("min_dcf_05", "min_dcf_01", "min_cllr")),
                    *([_actual(each, name) for name in ("act_dcf_05", "act_cprimary", "cllr")] if actual else []),
                    *([_percent(each, "equalised_eer"), _cost(each, "equalised_min_cprimary")] if equalised else []),
                    *([_actual(each, "equalised_act_cprimary")] if equalised and actual else []),
                    f"{row.num_trials:,}{listed}",
                    *([_shared(each, "published_eer", 2)] if papers else []),
                    *([_shared(each, "published_min_dcf_05", 3)] if papers_costs else []),
                )
            )
    return lines


def _seed(rows: Sequence[Row]) -> str:
    return str(rows[0].seed) if len(rows) == 1 else f"{len(rows)} seeds"


def _list(row: Row) -> str:
    return f"{row.trials}, *tuned here*" if row.tuned_for else row.trials


def _interval(rows: Sequence[Row]) -> str:
    if len(rows) > 1:
        return ""
    return "–" if rows[0].eer_interval is None else "–".join(f"{100 * end:.2f}" for end in rows[0].eer_interval)


def _percent(rows: Sequence[Row], figure: str) -> str:
    return spread([rate if rate is None else 100 * rate for rate in _each(rows, figure)], 2)


def _cost(rows: Sequence[Row], figure: str) -> str:
    return spread(_each(rows, figure), 3)


def _actual(rows: Sequence[Row], figure: str) -> str:
    """Of scores that were calibrated in one way."""
    return _cost(rows, figure) if len({row.calibrated for row in rows}) == 1 else "–"


def _shared(rows: Sequence[Row], figure: str, digits: int) -> str:
    """What is not ours and the same for all."""
    found = set(_each(rows, figure))
    return spread([*found], digits) if len(found) == 1 else "–"


def _each(rows: Sequence[Row], figure: str) -> list[float | None]:
    return [getattr(row, figure) for row in rows]


def spread(figures: Sequence[float | None], digits: int) -> str:
    """One figure, or the mean ± the standard deviation (N - 1) of several; – if one is not there."""
    if None in figures:
        return "–"
    deviation = f" ± {stdev(figures):.{digits}f}" if len(figures) > 1 else ""
    return f"{mean(figures):.{digits}f}{deviation}"


def text_table(rows: Sequence[Row]) -> list[str]:
    """The table for a terminal: columns lined up, figures to the right, those of single seeds below their mean."""
    header, *cells = table(rows)
    lines = [header, *zip(*map(_below_means, zip(*cells, strict=True)), strict=True)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    names = lines[0].index("EER %")  # columns of text, before those of figures
    lined_up = [
        "  ".join(
            cell.ljust(width) if column < names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return [lined_up[0], "-" * len(lined_up[0]), *lined_up[1:]]


def _below_means(column: Sequence[str]) -> list[str]:
    """The cells of a column with blanks in place of a deviation."""
    deviations = [len(cell) - len(cell.partition(" ± ")[0]) for cell in column]
    return [cell + " " * (max(deviations) - there) for cell, there in zip(column, deviations, strict=True)]


def markdown_table(rows: Sequence[Row]) -> list[str]:
    """The table as Markdown."""
    header, *lines = table(rows)
    names = header.index("EER %")
    rule = ["---"] * names + ["---:"] * (len(header) - names)
    return ["| " + " | ".join(line) + " |" for line in (header, rule, *lines)]


def synthetic_note(rows: Sequence[Row]) -> str | None:
    """What must stand above the table where a list's speech is synthetic."""
    lists = sorted({row.trials for row in rows if row.is_synthetic})
    return f"Synthetic speech, not of real speakers: {', '.join(lists)}." if lists else None


def notes(rows: Sequence[Row]) -> list[str]:
    """What a reader of the table must know: definitions, conditions, whose figures."""
    seeds = sorted({row.seed for row in rows})
    sources = sorted({row.published_source for row in rows if row.published_source})
    speakers = sorted({(row.trials, row.num_speakers) for row in rows if row.num_speakers})
    return [
        EER_DEFINITION,
        *([MEAN_DEFINITION] if any(len(group) > 1 for group in seeds_of(rows)) else []),
        *not_averaged(rows),
        *([ACTUAL_DEFINITION] if any(row.calibrated for row in rows) else []),
        *_calibrations(rows),
        *([EQUALISED_DEFINITION] if any(row.num_partitions for row in rows) else []),
        *(
            "{}: {} partitions of target and {} of non-target trials.".format(trials, *partitions)
            for trials, partitions in {row.trials: row.num_partitions for row in rows if row.num_partitions}.items()
        ),
        *(f"{trials}: {count} speakers." for trials, count in speakers),
        *(
            ["– in place of an interval: the list's speakers are not known."]
            if any(not row.eer_interval for row in rows)
            else []
        ),
        *(
            f"{row.trials}: {row.num_skipped} of the interval's replicates had no trial of one kind and are left out."
            for row in {row.trials: row for row in rows if row.num_skipped}.values()
        ),
        *(
            f"*Tuned here*: the weights of {row.system} are those with the least {row.tuned_for} on {row.trials};"
            " its figures on this list flatter it."
            for row in {(row.system, row.trials): row for row in rows if row.tuned_for}.values()
        ),
        *(f"The paper's EER, not ours: {source}." for source in sources),
        *dict.fromkeys(f"{row.system}: {row.trained}." for row in rows if row.trained),
        f"{'Seed' if len(seeds) == 1 else 'Seeds'} {', '.join(map(str, seeds))}.",
    ]


def not_averaged(rows: Sequence[Row]) -> list[str]:
    """Which seeds of a system are not in a mean over its seeds, and why, a line each."""
    lines = [f"{row.system} seed {row.seed} is {row.apart}." for row in rows if row.apart]
    firsts: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        first = firsts.setdefault((row.system, row.backend, row.trials), row)
        if row.num_trials != first.num_trials and not row.apart:
            scored = f"{row.num_trials:,} of its trials on {row.trials} are scored, not {first.num_trials:,}"
            lines.append(f"{row.system} seed {row.seed} is not averaged with seed {first.seed}: {scored}.")
    for several in ([rows[i] for i in group] for group in seeds_of(rows)):
        if len({row.calibrated for row in several}) > 1:
            lines.append(f"{several[0].system}: actual costs are not averaged, as its seeds are not calibrated alike.")
    return list(dict.fromkeys(lines))


def _calibrations(rows: Sequence[Row]) -> list[str]:
    """How rows were calibrated: one line where it was all alike, else one a way, with the systems."""
    ways: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.calibrated:
            ways.setdefault(row.calibrated, {})[row.system] = None
    of = [f", {', '.join(systems)}" if len(ways) > 1 else "" for systems in ways.values()]
    return [f"Calibrated by logistic regression {way}{whose}." for way, whose in zip(ways, of, strict=True)]
