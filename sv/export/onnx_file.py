"""A module as an ONNX file, by torch's exporter, and the packages that this needs."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sv.errors import ConfigError

if TYPE_CHECKING:
    import onnx

    from sv.export.embedding import Exportable

OPSET = 18
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def require_packages() -> None:
    """Raise ConfigError if a package is missing that exports and checks, and that nothing else here needs."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise ConfigError(
            f"{', '.join(missing)}: not installed; {sys.executable} -m pip install -r requirements-export.txt"
        )


def onnx_model(this: Exportable) -> onnx.ModelProto:
    """The model: an input of any length and an `embedding`."""
    import torch

    length = max(2 * this.fewest, 2 * this.rate if this.given == "samples" else 200)
    example = torch.zeros(length, this.dim) if this.dim else torch.zeros(length)
    dynamic = {0: torch.export.Dim(f"num_{this.given}", min=max(this.fewest, 2))}  # torch takes 0 and 1 for constants
    # mkldnn would be chosen by how many frames there are, which is not known behind a VAD.
    with _quiet(), torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
        program = torch.onnx.export(
            this.module,
            (example,),
            input_names=[this.given],
            output_names=["embedding"],
            opset_version=OPSET,
            dynamic_shapes={this.given: dynamic},
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    _forget_where(model)
    return model


def _forget_where(model: onnx.ModelProto) -> None:
    """Take out the notes of the exporter: lines of code and paths on the machine where it ran."""
    graph = model.graph
    for each in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of itself; its errors are exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
