"""The page of the kernels' benchmark: every number of it from the run."""

import json

from benchmarks import kernels_page

WORTH = {
    "us": 12.34, "floor_us": 5.0, "fraction_of_floor": 0.405, "best_other": "cudnn",
    "ratio_to_best": 0.95, "predicted_fraction": 0.4, "predicted_ratio": 1.5,
}  # fmt: skip
RUN = {
    "gpu": {"device": "some card", "torch": "2.0", "triton": "3.0"}, "commit": "0123456789abcdef",
    "ceilings": {"bytes_per_s": 4.2e12, "flops": 7.9e14},
    "cases": [
        {"name": "a/1", "worth": {"forward": WORTH}, "failed": {},
         "errors": {"flare": {"forward": 2e-3}}},
        {"name": "b/1", "worth": {}, "failed": {"check": "RuntimeError: no"}, "errors": {}},
    ],
    "end_to_end": [{"envs": 8, "way": "flare", "act_ms": 0.5, "steps_per_s": 1234.5}],
}  # fmt: skip


def test_a_page_holds_what_was_measured_said_and_what_failed():
    text = kernels_page.page(RUN, "here.json")
    assert "| a/1 | forward | 12.3 | 5.0 | 0.41 | 0.40 | 0.95 | 1.50 | cudnn | 2.0e-03 |" in text
    assert "| b/1 | check | failed: RuntimeError: no |" in text
    assert "commit 0123456789." in text and "4.20 TB/s" in text and "790 TFLOP/s" in text
    assert "Of 1 predictions of the share of the floor 1 were met." in text
    assert "Of 1 predictions of the ratio 0 were met." in text
    assert "Slower than the best other way: a/1 forward (0.95, cudnn)." in text
    assert "| 8 | flare | 0.50 |  |  | 1234.50 |  |" in text


def test_the_committed_page_is_that_of_the_committed_run():
    run = json.loads(kernels_page.RESULT.read_text())
    wanted = kernels_page.page(run, "benchmarks/results/h200/kernels.json")
    assert kernels_page.PAGE.read_text() == wanted
