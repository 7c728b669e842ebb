"""Each rule speaks where it should, and is silent where learning goes well."""

import pytest

from flare.report.diagnosis import diagnose

GOOD = {
    "success_rate": 0.5, "explained_variance": 0.6, "clip_fraction": 0.1, "entropy": 1.0,
    "gradient_steps": 16.0, "critic_warmup": 0.0, "skipped": 0.0,
}  # fmt: skip


def log(**late):
    """Forty iterations, of which the last ten have other numbers."""
    return [dict(GOOD) for _ in range(30)] + [GOOD | late for _ in range(10)]


@pytest.mark.parametrize(
    ("late", "title", "number"),
    [
        ({"skipped": 0.5}, "Updates are skipped", "50%"),
        ({"critic_warmup": 1.0}, "Only the critic learns so far", "Every one"),
        ({"success_rate": 0.3}, "It got worse than it began", "from 50% to 30%"),
        ({"success_rate": 0.01}, "There is hardly a success to learn from", "1.0%"),
        ({"explained_variance": -0.1}, "The critic explains little", "-10%"),
        ({"clip_fraction": 0.4}, "The policy wants larger steps than it is allowed", "40%"),
        ({"gradient_steps": 4.0}, "Updates end early", "after 4.0 gradient steps"),
        ({"entropy": 0.1}, "The policy has nearly stopped exploring", "from 1.00 to 0.10"),
    ],
)
def test_a_rule_speaks(late, title, number):
    found = {finding["title"]: finding for finding in diagnose(log(**late))}
    assert number in found[title]["text"] and found[title]["mend"].endswith((".", "checkpoint."))


def test_a_good_run_a_short_one_and_gaps_say_nothing():
    assert diagnose(log()) == []
    assert diagnose(log(clip_fraction=0.9)[:4]) == []
    assert diagnose([{"success_rate": None, "entropy": float("nan")}] * 20) == []
