"""The results table: what a row holds, its text for the terminal and as Markdown, what a reader must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import NamedTuple

from sv.report.too_few import Errors, is_few, too_few

EER_DEFINITION = (
    "EER on the convex hull of the ROC. minDCF at target priors .05 and .01, costs 1, over the cost of the better"
    " trivial decision. min Cllr in bits, after the best monotone mapping."
)

INTERVAL_DEFINITION = (
    "Intervals are of 95 %, over speakers: 1,000 times as many speakers as the list has are drawn from them with"
    " replacement, each with all trials of those drawn, and every figure is taken of the same draws (bias-corrected"
    " bootstrap). They say what other speakers would give, not another training; of a mean over seeds there is none."
)

FEW_DEFINITION = (
    "†: fewer than 30 misses or 30 false alarms at the figure's threshold, so neither it nor its interval is to be"
    " trusted (Doddington's rule of 30: with 30 errors a true error rate is within 30 % of the observed with 90 %"
    " certainty, if trials were independent)."
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
    "Of several seeds the mean ± the standard deviation (N - 1) of their figures, above the rows of the seeds."
)

DEFINITIONS = (EER_DEFINITION, INTERVAL_DEFINITION, MEAN_DEFINITION, ACTUAL_DEFINITION, EQUALISED_DEFINITION)


@dataclass(frozen=True)
class Row:
    """One run, back end and trial list.

    Rates are fractions, except the published EER, which is in % as in its paper. `intervals` are of figures by their
    names here, none where speakers are unknown; `errors`, likewise, are the misses and false alarms that figures rest
    on, of two thresholds the fewest. `num_trials` are scored of the list's `num_listed`. What a list or run has not is
    None.
    """

    system: str
    backend: str
    trials: str
    seed: int
    eer: float
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
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    errors: Mapping[str, Errors] = field(default_factory=dict)
    published_min_dcf_05: float | None = None
    num_skipped: int = 0  # bootstrap replicates without a target or without a non-target trial
    is_synthetic: bool = False  # the speech of the list
    trained: str | None = None  # how long and on what
    act_dcf_05: float | None = None  # this and the next three: of calibrated scores, None without
    act_cprimary: float | None = None
    cllr: float | None = None
    calibrated: str | None = None  # on what
    measures: Sequence[str] = ()  # of quality, that calibration weighs: then all figures are of calibrated scores
    equalised_eer: float | None = None  # this and the next two: of lists with partitions
    equalised_min_cprimary: float | None = None
    equalised_act_cprimary: float | None = None  # of calibrated scores
    num_partitions: tuple[int, int] | None = None  # of target and of non-target trials
    tuned_for: str | None = None  # the figure that weights were chosen by on this very list
    apart: str | None = None  # why this seed is not averaged with the others


class Figure(NamedTuple):
    """A column of figures of ours: the name in a row, the head, and whether it is a rate, shown in %."""

    name: str
    head: str
    is_rate: bool = False
    is_actual: bool = False  # of calibrated scores
    is_equalised: bool = False  # of lists with partitions


FIGURES = (
    Figure("eer", "EER %", is_rate=True),
    Figure("min_dcf_05", "minDCF.05"),
    Figure("min_dcf_01", "minDCF.01"),
    Figure("min_cllr", "min Cllr"),
    Figure("act_dcf_05", "actDCF.05", is_actual=True),
    Figure("act_cprimary", "act Cprim", is_actual=True),
    Figure("cllr", "Cllr", is_actual=True),
    Figure("equalised_eer", "eq. EER %", is_rate=True, is_equalised=True),
    Figure("equalised_min_cprimary", "eq. min Cprim", is_equalised=True),
    Figure("equalised_act_cprimary", "eq. act Cprim", is_actual=True, is_equalised=True),
)
INTERVALS = "95 % intervals over speakers:"  # above the table of those of all figures
INTERVAL = "95 % interval"  # of the EER, which the table shows beside it


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


def figures_of(rows: Sequence[Row]) -> list[Figure]:
    """The columns of figures that tell something of these rows."""
    actual, equalised = any(row.calibrated for row in rows), any(row.num_partitions for row in rows)
    return [of for of in FIGURES if (actual or not of.is_actual) and (equalised or not of.is_equalised)]


def lines_of(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows behind each line of the table: seeds that are averaged together, above a line for each of them."""
    lines = []
    for group in seeds_of(rows):
        several = [rows[i] for i in group]
        lines += [several, *([row] for row in several)] if len(several) > 1 else [several]
    return lines


def table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table's header and its rows as text; columns that tell nothing (of one seed, say) are left out.

    Seeds that are averaged stand together, below the row of their means and standard deviations.
    """
    papers = any(row.published_eer is not None for row in rows)
    papers_costs = any(row.published_min_dcf_05 is not None for row in rows)
    first, *figures = figures_of(rows)
    header = (
        *(*_names_header(rows), first.head, INTERVAL, *(of.head for of in figures), "trials"),
        *(["paper's EER %"] if papers else []),
        *(["paper's minDCF.05"] if papers_costs else []),
    )
    lines = [header]
    for each in lines_of(rows):
        row = each[0]
        listed = "" if row.num_trials == row.num_listed else f" of {row.num_listed:,}"
        lines.append(
            (
                *_names(each, rows),
                *(_shown(each, first), "" if len(each) > 1 else interval(row, first) or "–"),
                *(_shown(each, of) for of in figures),
                f"{row.num_trials:,}{listed}",
                *([_shared(each, "published_eer", 2)] if papers else []),
                *([_shared(each, "published_min_dcf_05", 3)] if papers_costs else []),
            )
        )
    return lines


def intervals_table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The header and rows of a table of the figures' intervals, with a mark on those of too few errors; [] if none."""
    figures, known = figures_of(rows), [each for each in lines_of(rows) if len(each) == 1 and each[0].intervals]
    if not known:
        return []
    header = (*_names_header(rows), *(of.head for of in figures))
    marked = [[interval(each[0], of) + mark(each[0], of) or "–" for of in figures] for each in known]
    return [header, *((*_names(each, rows), *cells) for each, cells in zip(known, marked, strict=True))]


def interval(row: Row, of: Figure) -> str:
    """Of a figure, in its unit; "" where it is not known."""
    if of.name not in row.intervals:
        return ""
    return "–".join(f"{100 * end:.2f}" if of.is_rate else f"{end:.3f}" for end in row.intervals[of.name])


def mark(row: Row, of: Figure) -> str:
    """† on the interval of a figure of too few errors."""
    return "†" if of.name in row.intervals and is_few(row.errors.get(of.name)) else ""


def _names_header(rows: Sequence[Row]) -> tuple[str, ...]:
    return "system", *(["seed"] if _has_seeds(rows) else []), "back end", "trial list"


def _names(each: Sequence[Row], rows: Sequence[Row]) -> tuple[str, ...]:
    """Whose figures, as the columns before these tell it."""
    seed = str(each[0].seed) if len(each) == 1 else f"{len(each)} seeds"
    return each[0].system, *([seed] if _has_seeds(rows) else []), each[0].backend, _list(each[0])


def _has_seeds(rows: Sequence[Row]) -> bool:
    return len({row.seed for row in rows}) > 1


def _list(row: Row) -> str:
    return f"{row.trials}, *tuned here*" if row.tuned_for else row.trials


def _shown(rows: Sequence[Row], of: Figure) -> str:
    """One figure or the mean of several; an actual one of scores that were calibrated in one way."""
    if of.is_actual and len({row.calibrated for row in rows}) > 1:
        return "–"
    values = [getattr(row, of.name) for row in rows]
    return spread(
        [100 * value if of.is_rate and value is not None else value for value in values], 2 if of.is_rate else 3
    )


def _shared(rows: Sequence[Row], figure: str, digits: int) -> str:
    """What is not ours and the same for all."""
    found = {getattr(row, figure) for row in rows}
    return spread([*found], digits) if len(found) == 1 else "–"


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


def markdown_table(table: Sequence[tuple[str, ...]]) -> list[str]:
    """A table of names and figures as Markdown."""
    header, *lines = table
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
        *([INTERVAL_DEFINITION] if any(row.intervals for row in rows) else []),
        *([FEW_DEFINITION] if any(mark(row, of) for row in rows for of in figures_of(rows)) else []),
        *([MEAN_DEFINITION] if any(len(group) > 1 for group in seeds_of(rows)) else []),
        *not_averaged(rows),
        *([ACTUAL_DEFINITION] if any(row.calibrated for row in rows) else []),
        *_calibrations(rows),
        *dict.fromkeys(
            f"{row.backend}: all figures are of calibrated scores, in which {', '.join(row.measures)} weigh."
            for row in rows
            if row.measures
        ),
        *([EQUALISED_DEFINITION] if any(row.num_partitions for row in rows) else []),
        *(
            "{}: {} partitions of target and {} of non-target trials.".format(trials, *partitions)
            for trials, partitions in {row.trials: row.num_partitions for row in rows if row.num_partitions}.items()
        ),
        *(f"{trials}: {count} speakers." for trials, count in speakers),
        *(
            ["– in place of an interval: the list's speakers are not known."]
            if any(not row.intervals for row in rows)
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
        *_trainings(rows),
        f"{'Seed' if len(seeds) == 1 else 'Seeds'} {', '.join(map(str, seeds))}.",
    ]


def _trainings(rows: Sequence[Row]) -> list[str]:
    """How long and on what systems were trained, those that were trained alike in one line."""
    ways: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.trained:
            ways.setdefault(row.trained, {})[row.system] = None
    return [f"{', '.join(systems)}: {way}." for way, systems in ways.items()]


def too_small(rows: Sequence[Row]) -> list[str]:
    """What the lists are too small for, a line each; see `sv.report.too_few`."""
    by_list: dict[str, list[Row]] = {}
    for row in rows:
        by_list.setdefault(row.trials, []).append(row)
    lines = []
    for trials, of_list in by_list.items():
        errors = [(" ".join(_names([row], rows)[:-1]), row.errors) for row in of_list]
        # Where runs scored different parts of the list, the least of each.
        targets = min(row.num_targets for row in of_list)
        nontargets = min(row.num_trials - row.num_targets for row in of_list)
        speakers = min(row.num_speakers for row in of_list)
        lines += [f"{trials}: {line}." for line in too_few(targets, nontargets, speakers, errors)]
    return lines


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
