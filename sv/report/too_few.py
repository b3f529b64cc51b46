"""What a trial list has too few of for the figures asked of it: speakers, trials, errors. One rule for all who tell.

A figure is told from other figures by its errors, not by its trials. Doddington's rule of 30 [Doddington, Przybocki,
Martin & Reynolds, The NIST speaker recognition evaluation, Speech Communication 31, 2000]: to be 90 % sure that a true
error rate is within 30 % of the one observed, there must be 30 errors. It holds of misses and of false alarms, each at
the threshold that the figure is of, and takes trials as independent, which those of one speaker are not: so fewer than
30 are too few, and 30 may be. The bootstrap cannot mend this, as an error that the list has not is in no replicate: of
90 % intervals of a least cost at prior .01 that rested on five false alarms or fewer 34 % covered the truth (see the
table at `sv.bootstrap.bootstrap_ci`).

Where the list itself is too small, no system is named: at costs 1 and target prior p < 1/2 a threshold at which more
than p / (1 - p) of the non-target trials are accepted costs more than rejecting all, so with fewer than 30 (1 - p) / p
of these a cost worth having never has 30 false alarms; and no figure has more misses than there are target trials.
(Equalised costs may have more: there the trials of a large partition count less.)

Of fewer speakers than 50 intervals are too narrow whatever the errors: of 90 % intervals of EERs 82 to 84 % covered the
truth with 24 or 48 of them, in the same table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FEW_SPEAKERS, FEW_ERRORS = 50, 30
NAMES = {
    "eer": "EER",
    "min_dcf_05": "minDCF.05",
    "min_dcf_01": "minDCF.01",
    "act_dcf_05": "actDCF.05",
    "act_cprimary": "act Cprim",
    "equalised_eer": "eq. EER",
    "equalised_min_cprimary": "eq. min Cprim",
    "equalised_act_cprimary": "eq. act Cprim",
}
PRIORS = {  # of the targets, of the figures that are costs of decisions
    "min_dcf_05": (0.05,),
    "min_dcf_01": (0.01,),
    "act_dcf_05": (0.05,),
    **dict.fromkeys(("act_cprimary", "equalised_min_cprimary", "equalised_act_cprimary"), (0.01, 0.005)),
}
NAMED = 3  # rows; of more their number is told

Errors = tuple[int, int]  # misses, false alarms: of two thresholds the fewest of each


def is_few(errors: Errors | None) -> bool:
    """Whether the rule of 30 says so; not of figures that are of no one threshold, such as Cllr."""
    return errors is not None and min(errors) < FEW_ERRORS


def too_few(
    num_targets: int, num_nontargets: int, num_speakers: int, errors: Sequence[tuple[str, Mapping[str, Errors]]]
) -> list[str]:
    """What a list is too small for, a line each.

    Args:
        num_speakers: 0 if not known.
        errors: whose figures, and by figure, of `NAMES`, its errors.
    """
    lines = []
    if 0 < num_speakers < FEW_SPEAKERS:
        lines.append(f"{num_speakers} speakers are few: intervals over them are too narrow")
    if num_targets < FEW_ERRORS:
        lines.append(f"{num_targets} target trials are too few for any figure: of misses {FEW_ERRORS} are wanted")
    rarest = {figure: min(priors) for figure, priors in PRIORS.items() if not figure.startswith("equalised_")}
    asked = {figure for _, of in errors for figure in of}
    beyond = {f for f, p in rarest.items() if f in asked and num_nontargets * p / (1 - p) < FEW_ERRORS}
    if beyond:
        priors = ", ".join(f"{p:g}".removeprefix("0") for p in sorted({rarest[f] for f in beyond}, reverse=True))
        lines.append(
            f"{num_nontargets:,} non-target trials are too few for costs at target prior {priors}: to have {FEW_ERRORS}"
            " false alarms costs more than to reject all"
        )
    for number, kind in enumerate(("misses", "false alarms")):
        few = []
        for figure, name in NAMES.items():
            if num_targets < FEW_ERRORS if number == 0 else figure in beyond:
                continue  # as said
            counts = [(who, of[figure][number]) for who, of in errors if figure in of]
            if below := [(who, count) for who, count in counts if count < FEW_ERRORS]:
                few.append(f"{name} ({_whose(below, len(errors))})")
        if few:
            lines.append(f"fewer than {FEW_ERRORS} {kind} at {', '.join(few)}")
    return lines


def _whose(counts: Sequence[tuple[str, int]], of: int) -> str:
    """Who has how many, or how many have from how many to how many."""
    if len(counts) <= NAMED:
        return ", ".join(f"{who} {count}" for who, count in counts)
    least, most = min(count for _, count in counts), max(count for _, count in counts)
    rows = f"all {of} rows" if len(counts) == of else f"{len(counts)} of {of} rows"
    return f"{rows}, {least}" + (f" to {most}" if least < most else "")
