"""What a training says while it runs: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from sv import status

log = logging.getLogger("train")

LOG_EVERY_S = 10.0


def log_to(path: Path | None) -> None:
    """Let the training's lines go to a file, appended, and to the terminal, above the bar.

    Without a file only warnings are told: another process speaks for this one.
    """
    for handler in log.handlers:
        handler.close()
    log.handlers = [_AboveBar()]
    log.setLevel(logging.WARNING if path is None else logging.INFO)
    log.propagate = False
    logging.raiseExceptions = False  # a log on a full disk: what fails for it next says so in a line
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path)
        file.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.handlers.insert(0, file)


class _AboveBar(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record))


@dataclass
class Means:
    """Mean loss and accuracy of some chunks, how many a second, and the domain classifier's if there is one."""

    loss: float
    top1: float
    rate: float
    domain: Means | None = None

    @property
    def said_of_domain(self) -> str:
        """What a log line says of the domain classifier."""
        return f"  domain loss {self.domain.loss:.3f}  accuracy {100 * self.domain.top1:.0f} %" if self.domain else ""


DomainFigures = tuple[torch.Tensor, torch.Tensor]  # a batch's mean loss, and the part of it that was told right


@dataclass
class Sums:
    """Loss and accuracy of batches, each as often as the batch has chunks, summed on the device; and the chunks.

    Adding to them does not wait for the device. `domain` are those of a domain classifier, from the first batch on that
    has some.
    """

    loss: torch.Tensor | float = 0.0
    correct: torch.Tensor | float = 0.0
    count: int = 0
    domain: Sums | None = None

    def add(self, loss: torch.Tensor, accuracy: torch.Tensor, count: int, domain: DomainFigures | None = None) -> None:
        """Add a batch: its mean loss, the part of it that is right, and its size; those of the domain classifier.

        The latter sees as many unlabelled chunks beside them.
        """
        self.loss = self.loss + loss.detach().double() * count
        self.correct = self.correct + accuracy * count
        self.count += count
        if domain:
            self.domain = self.domain or Sums()
            self.domain.add(*domain, 2 * count)

    def means(self, seconds: float = 0.0) -> Means:
        """Means, and the rate if they took `seconds`."""
        count = max(self.count, 1)  # none where another process has collected them
        rate = self.count / seconds if seconds else 0.0
        return Means(float(self.loss) / count, float(self.correct) / count, rate, self.domain and self.domain.means())

    def become(self, other: Sums) -> None:
        """Take over other sums, in place."""
        self.loss, self.correct, self.count, self.domain = other.loss, other.correct, other.count, other.domain

    def state(self) -> list[float]:
        """As a checkpoint holds them."""
        return [float(self.loss), float(self.correct), self.count, *(self.domain.state() if self.domain else [])]

    @classmethod
    def of_state(cls, stored: list[float]) -> Sums:
        """What `state` gave."""
        domain = cls.of_state(stored[3:]) if len(stored) > 3 else None
        return cls(stored[0], stored[1], int(stored[2]), domain)


class Progress:
    """One epoch's progress, from step `first` on, with the sums of the steps before, in one of `processes`.

    A log line reads: train Q4  epoch 3/30  step 120/500  loss 4.71  top-1 31 %  352 chunks/s  eta 0:41:10
    """

    def __init__(
        self, name: str, epoch: int, epochs: int, steps: int, first: int, sums: Sums, processes: int = 1
    ) -> None:
        self._name, self._epoch, self._epochs, self._steps = name, epoch, epochs, steps
        self._step = self._first = first
        self._whole, self._window = sums, Sums()
        self._before, self._processes = sums.count, processes
        self._losses: list[torch.Tensor] = []  # of the window
        self._started = self._shown = time.monotonic()
        self._bar = tqdm(
            total=steps,
            initial=first,
            desc=f"{name} epoch {epoch + 1}/{epochs}",
            unit="step",
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def add(self, loss: torch.Tensor, accuracy: torch.Tensor, count: int, domain: DomainFigures | None = None) -> None:
        """Count a step; the figures are as for `Sums.add`."""
        self._step += 1
        self._losses.append(loss.detach() + domain[0].detach() if domain else loss.detach())
        self._whole.add(loss, accuracy, count, domain)
        self._window.add(loss, accuracy, count, domain)
        self._bar.update()

    def due(self) -> bool:
        """Whether to show something: every ten seconds, and at an epoch's last step."""
        return self._step == self._steps or time.monotonic() - self._shown >= LOG_EVERY_S

    def first_not_finite(self) -> int | None:
        """The epoch's first step, from 0, since the last `show` whose loss is not a number."""
        bad = torch.stack(self._losses).isfinite().logical_not().nonzero().flatten().tolist()
        return self._step - len(self._losses) + bad[0] if bad else None

    def show(self) -> Means:
        """Log a line (not at the last step, when the epoch's own line follows); the means since the last one."""
        now = time.monotonic()
        window, self._window = self._window.means((now - self._shown) / self._processes), Sums()
        self._shown = now
        self._losses.clear()
        per_step = (now - self._started) / (self._step - self._first)
        left = (self._epochs - self._epoch) * self._steps - self._step
        hours, seconds = divmod(round(left * per_step), 3600)
        self._bar.set_postfix_str(f"loss {window.loss:.3f}, top-1 {100 * window.top1:.0f} %")
        if self._step < self._steps:
            line = (
                f"train {self._name}  epoch {self._epoch + 1}/{self._epochs}  step {self._step}/{self._steps}"
                f"  loss {window.loss:.3f}  top-1 {100 * window.top1:.0f} %{window.said_of_domain}"
                f"  {window.rate:.0f} chunks/s"
                f"  eta {hours}:{seconds // 60:02d}:{seconds % 60:02d}"
            )
            log.info(line)
            status.report(line)
        return window

    def close(self) -> Means:
        """End of the epoch: its means."""
        self._bar.close()
        means = self._whole.means()
        means.rate = (self._whole.count - self._before) / max(time.monotonic() - self._started, 1e-9)
        return means
