"""The model card: what a reader of an exported model must know of it, as Hugging Face shows it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sv.export.known import BackEnd, TrainedOn
from sv.export.parity import Parity
from sv.features.front_ends import feature_config
from sv.features.wave_config import WaveConfig
from sv.metrics import bayes_threshold
from sv.report.tables import INTERVALS, Row, intervals_table, markdown_table, notes, synthetic_note, table, too_small
from sv.run import Run

TRUNKS = {
    "xvector": "x-vector TDNN (Snyder et al. 2018)",
    "resnet1d": "1-D residual network with attentive statistics pooling (Modular or monolithic, section 2)",
    "q_sap": "Q/SAP, a ResNet-34 with self-attentive pooling (VoxSRC 2020 baseline)",
    "h_asp": "H/ASP, a ResNet-34 with attentive statistics pooling (VoxSRC 2020 baseline)",
    "ecapa": "ECAPA-TDNN (Desplanques et al. 2020)",
    "wav2vec2": "wav2vec 2.0 (Baevski et al. 2020) with pooling over time (Vaessen & van Leeuwen 2022)",
}
PRIORS = (0.05, 0.01)

_HEAD = """\
---
license: unknown
tags:
- speaker-verification
- speaker-embedding
- onnx
---
"""

_EMBED_SAMPLES = """\
import json

import numpy as np
import onnxruntime
import soundfile

about = json.load(open("model.json"))
model = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])


def embed(path):
    samples, rate = soundfile.read(path, dtype="float32")  # -1 to 1
    assert rate == about["sample_rate"] and samples.ndim == 1, f"{path}: one channel at {about['sample_rate']} Hz"
    assert len(samples) >= about["fewest"], f"{path}: {about['fewest']} samples or more"
    return model.run(None, {"samples": samples})[0]
"""

_EMBED_FRAMES = """\
import numpy as np
import onnxruntime

model = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])


def embed(path):
    frames = np.load(path)  # float32, frames x numbers, as the network reads them
    return model.run(None, {"frames": frames})[0]
"""

_COSINE = """\
def score(one, other):
    # The mean cosine of {what}.
    means = []
    for path in (one, other):
        x = np.atleast_2d(embed(path)).astype(np.float64)
{project}        means.append((x / np.linalg.norm(x, axis=1, keepdims=True)).mean(0))
    return means[0] @ means[1]


print(score("anna-01.{suffix}", "who.{suffix}"))
"""


@dataclass(frozen=True)
class Card:
    """What a card tells of an exported run.

    `maker` is the run whose network it is, `about` the content of model.json. `trained` is None of a public network's
    weights, `rows` where there is no report that holds. `cosine` is the back end that the example scores by,
    `checked_on` names what the parity was measured on.
    """

    this: Run
    maker: Run
    about: dict[str, Any]
    trained: TrainedOn | None
    rows: list[Row] | None
    back_ends: list[BackEnd]
    cosine: BackEnd | None
    parity: Parity
    checked_on: str
    command: str
    commit: str


def card_text(card: Card) -> str:
    """The card as Markdown."""
    blocks = [
        _HEAD + f"\n# {card.this.name}: speaker embeddings",
        *_warning(card),
        _what(card),
        "## Use",
        *_use(card),
        "## Training data",
        _training(card),
        "## Results",
        *_results(card),
        "## Back ends and calibration",
        *_back_ends(card),
        "## Limits",
        _limits(card),
        "## Licences",
        "Not known here. The weights may be bound by the licences of the corpora that they were trained on, and of the"
        " weights that they began with: look these up before you use or share the model, and say so above.",
        "## Where it comes from",
        _origin(card),
    ]
    return "\n\n".join(blocks) + "\n"


def _warning(card: Card) -> list[str]:
    if card.trained is None or card.trained.label is None:
        return []
    return [
        "**Trained on synthetic speech.** No person spoke in its training data: it shows that the pipeline works, and"
        " knows nothing of real speakers."
    ]


def _what(card: Card) -> str:
    system, about = card.maker.system, card.about
    shape = " × ".join(map(str, about["output"]["shape"]))
    sizes = {key: value for key, value in system.model.model_dump(mode="json").items() if key != "trunk"}
    rows = {
        "network": f"{TRUNKS[system.model.trunk]}, {about['parameters']:,} parameters; {_said(sizes)}",
        "front end": _front_end(about["front_end"]["features"]),
        "voice activity": _said(about["front_end"]["vad"]) if system.vad else "all frames are used",
        "deltas": _said(system.deltas.model_dump()) if system.deltas else None,
        "sliding normalisation": _said(system.cmn.model_dump()) if system.cmn else None,
        "normalisation of the utterance": _said(system.normalise.model_dump()) if system.normalise else None,
        "loss": _said(system.loss.model_dump(mode="json")),
        "pretrained weights": system.pretrained,
        "embedding": f"{shape} numbers" + (", a row a crop" if len(about["output"]["shape"]) > 1 else ""),
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items() if value)])


def _front_end(settings: dict[str, Any]) -> str:
    """What computes the features, and its options that are not the defaults."""
    config = feature_config(settings)
    if isinstance(config, WaveConfig):
        return f"none: samples at {config.sample_frequency:,.0f} Hz"
    default = asdict(type(config)(kind=config.kind))
    shown = settings.keys() - {"sample_frequency", "allow_downsample", "allow_upsample"}
    options = _said({key: value for key, value in settings.items() if key in shown and value != default[key]})
    whose = "the VoxSRC 2020 authors'" if config.kind == "melspec" else "Kaldi's"
    return (
        f"{whose} {config.kind}: {config.dim} numbers every {config.frame_shift:g} ms at"
        f" {config.sample_frequency:,.0f} Hz" + (f"; {options}" if options else "")
    )


def _said(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in settings.items() if value is not None)


def _use(card: Card) -> list[str]:
    about = card.about
    blocks = []
    if about["input"]["name"] == "samples":
        blocks.append(
            f"`model.onnx` takes the samples of one recording, one channel at {about['sample_rate']:,} Hz, float32 from"
            f" -1 to 1, and gives its embedding. Features{', voice activity' if card.maker.system.vad else ''} and"
            f" normalisation are in it. The shortest recording has {about['fewest']:,} samples"
            + (", all of them speech" if card.maker.system.vad else "")
            + ": of less it gives an error, or numbers without a meaning."
        )
        code, suffix = _EMBED_SAMPLES, "wav"
    else:
        blocks.append(
            f"`model.onnx` takes frames of {about['input']['shape'][1]} numbers, float32, as the network reads them:"
            " features, deltas, normalisation and voice activity come before it. Make them as"
            " `sv.features.heard.Ear` does. The fewest are"
            f" {about['fewest']}."
        )
        code, suffix = _EMBED_FRAMES, "npy"
    if card.cosine:
        what = "all pairs of crops" if len(about["output"]["shape"]) > 1 else "the two"
        code += "\n\n" + _COSINE.format(what=what, project=_projection(card.cosine), suffix=suffix)
    else:
        code += f'\n\nprint(embed("anna-01.{suffix}"))\n'
    packages = "numpy, onnxruntime" + (", soundfile" if about["input"]["name"] == "samples" else "")
    blocks.append(f"With {packages}, run in this folder:")
    blocks.append(f"```python\n{code}```")
    return blocks


def _projection(cosine: BackEnd) -> str:
    """The lines of the example that centre and transform a recording's vectors."""
    names, lines = {path.name for path in cosine.files}, []
    if "mean.vec" in names:
        lines.append(f'x = x - np.load("backend/{cosine.name}/mean.npy")')
    if "transform.mat" in names:
        lines.append(f'x = np.c_[x, np.ones(len(x))] @ np.load("backend/{cosine.name}/transform.npy").T')
    return "".join(f"        {line}\n" for line in lines)


def _training(card: Card) -> str:
    trained, system = card.trained, card.maker.system
    if trained is None:
        return "The weights are a public network's, not trained here; ask its authors."
    hours = f", {trained.hours:,.1f} hours" if trained.hours is not None else ""
    changed = [each for each in (system.augment, system.augment_online) if each]
    said = [
        f"The set `{trained.name}`: {trained.utterances:,} utterances of {trained.speakers:,} speakers{hours};"
        f" {trained.epochs} epochs{', augmented by ' + changed[0] if changed else ''}."
    ]
    if trained.label is not None:
        said.append(f"Its label: {' '.join(trained.label.split())}")
    if not trained.is_there:
        said.append("Its folder is gone, and with it whether the speech was real or synthetic.")
    return " ".join(said)


def _results(card: Card) -> list[str]:
    if not card.rows:
        return ["None were reported of this run."]
    note = synthetic_note(card.rows)
    intervals = intervals_table(card.rows)
    return [
        *([f"**{note}**"] if note else []),
        "\n".join(markdown_table(table(card.rows))),
        *([INTERVALS, "\n".join(markdown_table(intervals))] if intervals else []),
        *too_small(card.rows),
        *notes(card.rows),
    ]


def _back_ends(card: Card) -> list[str]:
    if not card.back_ends:
        return ["None is trained; cosines of the embeddings as they are will do."]
    lines = []
    for each in card.back_ends:
        files = ", ".join(f"`backend/{each.name}/{path.name}`" for path in each.files) or "nothing is learnt"
        kind = card.this.system.backends[each.name].model_dump(mode="json")
        lines.append(f"- `{each.name}` ({_said(kind)}): {files}")
    blocks = [
        "\n".join(lines),
        "Files are in Kaldi's binary form, as `copy-vector`, `copy-matrix` and `ivector-plda-scoring` read them"
        + (
            f"; the `.npy` of `{card.cosine.name}` are the same for numpy."
            if card.cosine and card.cosine.files
            else "."
        ),
    ]
    if not any(each.calibration for each in card.back_ends):
        return [*blocks, "No scores are calibrated: there is no threshold that would hold beyond one list of trials."]
    for each in card.back_ends:
        if each.calibration:
            text = Path(each.calibration).read_text(encoding="utf-8").strip()
            blocks += [f"`calibration/{each.name}.json`, learnt on the list that it names:", f"```json\n{text}\n```"]
    at = " and ".join(f"{bayes_threshold(prior):.2f} at {prior:g}" for prior in PRIORS)
    measured = any(card.this.system.measures(each.name) for each in card.back_ends if each.calibration)
    return [
        *blocks,
        "It makes log-likelihood ratios, in nats, of scores: slope × score + offset"
        + (
            "; with `quality`, plus each weight times the least or the most of both sides' measure"
            " (`sv.scoring.quality` says how they are measured)"
            if measured
            else ""
        )
        + ". Accept from log(C_fa (1 - P) / (C_miss P)), P the prior probability of a target, C_miss and C_fa what it"
        f" costs to reject one and to accept another: {at} at costs of 1.",
    ]


def _limits(card: Card) -> str:
    trained_on = f"`{card.trained.name}`" if card.trained else "its authors' data"
    about = card.about
    shortest = about["fewest"] / about["sample_rate"] if about["input"]["name"] == "samples" else None
    lines = [
        f"It knows speech like that of {trained_on}. Of other languages, channels, codecs, ages or rooms nothing is"
        " known: measure it on trials of your own.",
        "Figures are of the lists above; recordings much shorter than theirs give worse ones."
        + (f" That it takes {shortest:.2f} s says nothing of what these are worth." if shortest else ""),
        "A threshold holds for data like that which it was learnt on.",
        "It is no proof of who spoke: synthetic and replayed speech was not looked at. Do not decide on people by it"
        " alone.",
        "Recordings of another rate must be resampled, those of several channels taken apart, before.",
    ]
    if _warning(card) or any(row.is_synthetic for row in card.rows or ()):
        lines.insert(0, "Synthetic speech says nothing of real speakers.")
    return "\n".join(f"- {line}" for line in lines)


def _origin(card: Card) -> str:
    p = card.parity
    state = f" at commit {card.commit}" if card.commit else ""
    return (
        f"Run `{card.this.name}`, seed {card.this.seed}. Exported by `{card.command}`{state}. Against PyTorch on"
        f" {p.recordings} {card.checked_on} {p.said}."
    )
