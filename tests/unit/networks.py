"""Runs whose networks count as trained and are as drawn, for tests of what is done with one."""

import dataclasses

import torch
from runs import made_run

from sv.features.files import Processing
from sv.features.front_ends import read_feature_config
from sv.features.vad import read_vad_config
from sv.models.build import build_head, build_model
from sv.records import Step
from sv.systems.reading import validate_system
from sv.training.checkpoint import TrainingState
from sv.training.optimiser import build_optimiser

LEAST = {
    "loss": {"name": "softmax"},
    "training": {
        "chunk_s": [0.5, 0.5],
        "batch_size": 8,
        "epochs": 2,
        "chunks_per_speaker": 2,
        "optimiser": {"name": "adam", "lr": 1e-3, "weight_decay": 0.0},
    },
    "backends": {"cosine": {"name": "cosine"}},
    "vad": None,
    "cmn": None,
}


def drawn_run(exp, name, conf, system, trained_on, seed=0):
    """EXP/NAME/seed1 with a network whose weights and statistics are drawn, and the record of its training.

    Args:
        conf: with features/ and vad/.
        system: what its YAML would say, beside or in place of LEAST.
        trained_on: files that its record names as inputs, the first in the training set's folder.
    """
    system = validate_system(LEAST | system, name)
    config = read_feature_config(conf / "features" / f"{system.features}.conf")
    features = dataclasses.asdict(config)
    waveform = {"features": features, "augment_online": None} if system.input else None
    run = made_run(exp, name, 1, system, waveform)
    vad = read_vad_config(conf / "vad" / f"{system.vad}.conf") if system.vad else None
    deltas = Processing.of_system(system).deltas
    feature_dim = config.dim * (1 + (deltas[0] if deltas else 0))
    torch.manual_seed(seed)
    model = build_model(system, feature_dim)
    for buffer_name, buffer in model.named_buffers():
        if buffer_name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    head = build_head(system.loss, model.output_dim, 2)
    optimiser = build_optimiser(system.training.optimiser, [*model.parameters(), *head.parameters()])
    state = TrainingState(model, head, optimiser, torch.amp.GradScaler("cpu", enabled=False), [], feature_dim)
    state.save(run.checkpoint())
    settings = {
        "system": run.trained_by(),
        "seed": 1,
        "front_end": {"features": features, "vad": {type(vad).__name__: dataclasses.asdict(vad)} if vad else None},
    }
    Step("train", run.path, inputs=trained_on, settings=settings).done(
        [run.checkpoint()], epochs=2, utterances=12, speakers=3
    )
    return run
