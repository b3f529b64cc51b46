"""One trial list of a report: a row for each run and back end, its curves, drawings and figures by conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sv.data.datadir import read_label
from sv.data.partitions import PARTITIONS, PHONE_NUMBERS, cells_of, read_partitions, read_phone_numbers
from sv.data.trials import Trials, list_name, speakers_of
from sv.report.condition_figures import ByConditions, Found
from sv.report.condition_html import conditions_html
from sv.report.condition_tables import columns_of, markdown, tables
from sv.report.conditions import divisions_of
from sv.report.det import plot_det
from sv.report.det_svg import det_html
from sv.report.figures import figures
from sv.report.page import Drawn, ListShown
from sv.report.runs import how_calibrated, how_trained, is_calibrated, shown, tuned_for
from sv.report.score_svg import bayes_error, histogram
from sv.report.sides import Sides
from sv.report.tables import Row, seeds_of
from sv.roc import Roc
from sv.run import Run
from sv.scoring.trials import read_scores, scored_trials


@dataclass
class ListReport:
    """What a report has of a list, filled row by row.

    >>> of_list = ListReport.of(Path("data/test/trials_vox1_o"), trials, None)
    >>> of_list.add(run, "plda", "xvector seed 1")
    >>> of_list.draw(Path("report/det_vox1_o.png"), number=1)

    `rows` are those of the table, `shown` what the page shows of the list, `conditions` what conditions.json holds.
    """

    path: Path
    trials: Trials
    speaker: Mapping[str, str]
    divided: ByConditions
    cells: Sequence[str] | None
    shown: ListShown
    rows: list[Row] = field(default_factory=list)
    _drawn: list[tuple[str, Roc]] = field(default_factory=list)  # what the run is called, and its curve
    _under: list[list[Found]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, trials: Trials, enrol: Path | None) -> ListReport:
        """Of a labelled list, whose models are of another set if `enrol` names one."""
        speaker = speakers_of(path.parent, *([enrol] if enrol else []))
        partitions = path.parent / PARTITIONS
        return cls(
            path,
            trials,
            speaker,
            divided_by_conditions(path, enrol, trials, speaker),
            read_partitions(partitions, trials) if partitions.exists() else None,
            ListShown(list_name(path), read_label(path.parent) is not None, counts_shown(trials, speaker)),
        )

    def add(self, this: Run, backend: str, title: str, apart: str | None = None) -> None:
        """The row of a run's back end, from its scores.

        Args:
            title: what the run is called beside the others.
            apart: why this seed is not averaged with the others, if so.
        """
        name, scored = self.shown.name, scored_trials(self.trials, this.dropped(self.shown.name))
        scores_N = read_scores(this.scores(name, backend), scored)
        llr_N = None
        about: dict[str, Any] = {
            "is_synthetic": self.shown.is_synthetic,
            "tuned_for": tuned_for(this, self.path),
            "apart": apart,
        }
        if is_calibrated(this, name, backend):
            llr_N = read_scores(this.calibrated(name, backend), scored)
            about |= {"calibrated": how_calibrated(this, backend), "measures": list(this.system.measures(backend))}
            if about["measures"]:  # which change the order of trials
                scores_N = llr_N
        cells = self.cells and cells_of(scored, self.trials, self.cells)
        found, roc = figures(scored, scores_N, self.speaker, llr_N, cells)
        self.rows.append(row_of(this, backend, name, found | about, len(self.trials)))
        kept = cells_of(scored, self.trials, range(len(self.trials)))
        self._under.append(self.divided.figures(kept, scores_N, llr_N))
        self._drawn.append((title, roc))
        self._draw_scores(f"{title} / {shown(this, backend)}", scored, roc, llr_N)

    def _draw_scores(self, whose: str, scored: Trials, roc: Roc, llr_N: np.ndarray | None) -> None:
        llr_roc = None if llr_N is None else Roc.from_scores(llr_N, scored.is_target)
        if llr_roc:
            self.shown.calibrations.append(Drawn(whose, *bayes_error(llr_roc)))
        self.shown.histograms.append(Drawn(whose, *histogram(llr_roc or roc, is_calibrated=llr_roc is not None)))

    def draw(self, png: Path, number: int, note: str | None = None) -> list[str]:
        """The curves, as a picture and for the page, when all rows are there; the tables by conditions as Markdown.

        Args:
            png: the picture's path.
            number: of the list on the page.
            note: what else a reader must know of the data.
        """
        curves = curves_of(self.rows, self._drawn)
        synthetic = ", synthetic speech" if self.shown.is_synthetic else ""
        title = f"{self.shown.name}, {len(self.trials):,} trials{synthetic}"
        plot_det(curves, "\n".join([title, *([note] if note else [])]), png)
        self.shown.det = det_html(curves, str(number))
        made = tables(columns_of(list(curves), self.rows, self._under))
        self.shown.conditions = conditions_html(made)
        return [f"## {self.shown.name}, by conditions", *markdown(made)] if made else []

    @property
    def conditions(self) -> list[dict[str, Any]]:
        """Every row's figures under every condition."""
        return [condition_of(row, each) for row, found in zip(self.rows, self._under, strict=True) for each in found]


def row_of(this: Run, backend: str, name: str, found: dict[str, Any], num_listed: int) -> Row:
    """A run's row: its figures on a trial list, and the paper's if they are of this system and list, of real speech."""
    paper = None if found["is_synthetic"] else this.system.published
    published = published_cost = None
    if paper and backend in paper.backends and paper.num_trials.get(name, num_listed) == num_listed:
        published, published_cost = paper.eer.get(name), paper.min_dcf_05.get(name)
    return Row(
        this.name,
        shown(this, backend),
        name,
        this.seed,
        **found,
        num_listed=num_listed,
        published_eer=published,
        published_source=paper.source if published is not None else None,
        published_min_dcf_05=published_cost,
        trained=how_trained(this),
    )


def curves_of(rows: Sequence[Row], drawn: Sequence[tuple[str, Roc]]) -> dict[str, list[Roc]]:
    """The curves of a list's rows by their names in the legend; seeds that are averaged have one name.

    Args:
        rows: of one list.
        drawn: of each row what its run is called, and its curve.
    """
    curves = {}
    for group in seeds_of(rows):
        row, (title, _) = rows[group[0]], drawn[group[0]]
        whose = title if len(group) == 1 else f"{row.system}, {len(group)} seeds"
        here = ", tuned here" if row.tuned_for else ""
        curves[f"{whose} / {row.backend}{here}"] = [drawn[i][1] for i in group]
    return curves


def counts_shown(trials: Trials, speaker: Mapping[str, str]) -> dict[str, str]:
    """What a list counts, as its page shows it; speakers where all are known."""
    ids = set(trials.enrol), set(trials.test)
    counts = {
        "target trials": trials.num_targets,
        "non-target trials": len(trials) - trials.num_targets,
        "models": len(ids[0]),
        "test utterances": len(ids[1]),
    }
    if all(i in speaker for i in ids[0] | ids[1]):
        counts["speakers"] = len({speaker[i] for i in ids[0] | ids[1]})
    return {name: f"{count:,}" for name, count in counts.items()}


def divided_by_conditions(path: Path, enrol: Path | None, trials: Trials, speaker: Mapping[str, str]) -> ByConditions:
    """A list divided by the conditions that the directories of its two sides know."""
    known = Sides(path.parent)
    models = (Sides(enrol) if enrol else known).models(set(trials.enrol))
    tests = known.utterances(set(trials.test))
    phones = read_phone_numbers(path.parent / PHONE_NUMBERS, trials)
    return ByConditions(trials, divisions_of(trials, models, tests, phones), speaker)


def condition_of(row: Row, found: Found) -> dict[str, Any]:
    """What `conditions.json` holds of a row's figures under a condition."""
    names = ("system", "backend", "trials", "seed", "is_synthetic", "tuned_for")
    return {name: getattr(row, name) for name in names} | asdict(found)
