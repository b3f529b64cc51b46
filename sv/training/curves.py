"""The lines of curves.tsv, which a checkpoint holds as well: the history of a training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

HEADER = "epoch\ttrain_loss\ttrain_top1\theld_out_loss\theld_out_top1\theld_out_eer\tlr"

OF_DOMAIN = "\tdomain_loss\tdomain_accuracy\treversal"  # after those, of a training with a domain classifier


def held_out_errors(curves: Sequence[str]) -> list[float]:
    """The held-out error after each epoch: its EER or, where there is none, the part misclassified."""
    columns = HEADER.split("\t")
    top1, eer = columns.index("held_out_top1"), columns.index("held_out_eer")
    cells = [line.split("\t") for line in curves]
    return [float(cell[eer]) if cell[eer] else 1 - float(cell[top1]) for cell in cells]
