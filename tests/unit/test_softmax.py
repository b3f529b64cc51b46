"""Softmax cross entropy against its formula, written out."""

import math

import numpy as np
import torch

from sv.losses.softmax import SoftmaxHead


def test_loss_is_the_mean_negative_log_posterior():
    """log sum exp of the logits less the right one, in numpy, float64."""
    torch.manual_seed(0)
    head = SoftmaxHead(6, num_speakers=5).double()
    x_BE, speaker_B = torch.randn(8, 6, dtype=torch.double), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    loss, logits_BS, _ = head(x_BE, speaker_B)
    weight, bias = (p.detach().numpy() for p in (head.linear.weight, head.linear.bias))
    logits = x_BE.numpy() @ weight.T + bias
    expected = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(8), speaker_B.numpy()])
    assert np.allclose(logits_BS.detach(), logits)
    assert math.isclose(loss.item(), expected, rel_tol=1e-6)


def test_loss_of_halves_is_taken_in_float32():
    """Under bf16 autocast the logits are halves; their loss is that of the same numbers in float32."""
    torch.manual_seed(0)
    head = SoftmaxHead(6, num_speakers=5)
    with torch.autocast("cpu", torch.bfloat16):
        loss, logits_BS, _ = head(torch.randn(8, 6), torch.arange(8) % 5)
    assert (loss.dtype, logits_BS.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(loss, torch.nn.functional.cross_entropy(logits_BS.float(), torch.arange(8) % 5))
