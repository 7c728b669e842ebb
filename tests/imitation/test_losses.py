"""Losses of pre-training, by hand and by property."""

import math

import pytest
import torch

from flare.imitation.losses import dense_label_loss, imitation_loss
from flare.policy.dense_labels import DenseLabels


def test_imitation_loss_counts_valid_steps_only():
    """Valid: uniform over 4 (log 4) and certain (0); the padded step is absurd."""
    logits = torch.tensor([[[0.0, 0.0, 0.0, 0.0]], [[0.0, 99.0, 0.0, 0.0]], [[99.0, 0.0, 0, 0]]])
    actions = torch.tensor([[2], [1], [3]])
    valid = torch.tensor([[True], [True], [False]])
    loss, stats = imitation_loss(logits, actions, valid)
    assert loss.item() == pytest.approx(math.log(4) / 2)
    assert stats["accuracy"].item() == 0.5


def test_imitation_loss_smoothing_by_hand():
    """-(1 - s)·log p1 - s·mean(log p) with p = (0.8, 0.2), s = 0.1, action 0."""
    logits = torch.tensor([[[0.8, 0.2]]]).log()
    loss, _ = imitation_loss(logits, torch.zeros(1, 1).long(), torch.ones(1, 1).bool(), 0.1)
    wanted = -0.9 * math.log(0.8) - 0.1 * (math.log(0.8) + math.log(0.2)) / 2
    assert loss.item() == pytest.approx(wanted)


def test_imitation_loss_of_nothing_valid_is_zero():
    loss, _ = imitation_loss(
        torch.zeros(2, 1, 3), torch.zeros(2, 1).long(), torch.zeros(2, 1).bool()
    )
    assert loss.item() == 0.0


def test_dense_label_loss_by_hand():
    """Logits 0 cost log 2 whatever the label; depth is off by 0.5 everywhere."""
    predicted = DenseLabels(
        presence_logits=torch.zeros(1, 2, 1, 2), inverse_depth=torch.full((1, 1, 2), 0.5)
    )
    presence = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]])
    loss, stats = dense_label_loss(predicted, presence, torch.ones(1, 1, 2), 2.0)
    assert loss.item() == pytest.approx(math.log(2) + 2.0 * 0.25)
    assert stats["recall"].item() == 0.0
    sure = DenseLabels(presence_logits=20.0 * (2 * presence - 1), inverse_depth=torch.ones(1, 1, 2))
    loss, stats = dense_label_loss(sure, presence, torch.ones(1, 1, 2), 2.0)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert stats["precision"].item() == stats["recall"].item() == 1.0


def test_losses_refuse_shapes_that_do_not_belong_together():
    with pytest.raises(ValueError, match=r"\[2, 3, 4\], \[2, 2\]"):
        imitation_loss(torch.zeros(2, 3, 4), torch.zeros(2, 2).long(), torch.zeros(2, 3).bool())
    predicted = DenseLabels(
        presence_logits=torch.zeros(1, 2, 3, 3), inverse_depth=torch.zeros(1, 3, 3)
    )
    with pytest.raises(ValueError, match=r"presence must be \[1, 2, 3, 3\]"):
        dense_label_loss(predicted, torch.zeros(1, 3, 3, 3), torch.zeros(1, 3, 3), 1.0)
