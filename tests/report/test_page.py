"""The report in a real browser: its numbers, its silence, its videos, its looks."""

import base64
import json
from pathlib import Path

import pytest

from flare.report import build_report
from tests.report.browser import Browser
from tests.report.synthetic_run import make_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return build_report(make_run(tmp_path_factory.mktemp("runs") / "demo"))


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(page)
        yield browser


def test_page_is_silent_and_asks_for_nothing(browser, page):
    assert browser.problems() == []
    assert browser.requests() == [page.resolve().as_uri()]


def test_visible_numbers_equal_the_files(browser, page):
    cells = dict(
        browser.evaluate(
            "[...document.querySelectorAll('[data-key]')].map(e => [e.dataset.key, e.textContent])"
        )
    )
    for stage in ("before", "after"):
        summary = json.loads((page.parent / "eval" / f"{stage}.summary.json").read_text())
        success = summary["success"]
        assert cells[f"{stage}.success.rate"] == f"{100 * success['rate']:.1f} %"
        assert cells[f"{stage}.success.low"] == f"{100 * success['low']:.1f}"
        assert cells[f"{stage}.success.high"] == f"{100 * success['high']:.1f}"
        assert cells[f"{stage}.spl.estimate"] == f"{100 * summary['spl']['estimate']:.1f} %"
        assert cells[f"{stage}.sel.estimate"] == f"{100 * summary['sel']['estimate']:.1f} %"
        assert cells[f"{stage}.length.estimate"] == f"{summary['length']['estimate']:.1f}"
        assert cells[f"{stage}.ends.limit"] == str(summary["ends"]["limit"])
        for group in summary["by_target_type"]:
            key = f"{stage}.by_target_type.{group['key']}.success.rate"
            assert cells[key] == f"{100 * group['success']['rate']:.1f} %"
    comparison = json.loads((page.parent / "eval" / "comparison.json").read_text())
    assert cells["comparison.only_after"] == str(comparison["only_after"])
    estimate = comparison["difference"]["estimate"]
    assert cells["comparison.difference.estimate"] == f"{100 * estimate:+.1f}"


def test_data_block_equals_the_files(browser, page):
    data = json.loads(browser.evaluate("document.getElementById('report-data').textContent"))
    summary = json.loads((page.parent / "eval" / "after.summary.json").read_text())
    assert data["after"] == summary
    assert data["shown"]["after.success.rate"] == summary["success"]["rate"]


def test_videos_decode(browser):
    browser.wait_for("[...document.querySelectorAll('video')].every(v => v.readyState >= 1)")
    assert browser.evaluate("document.querySelectorAll('video').length") == 3
    sizes = browser.evaluate(
        """Promise.all([...document.querySelectorAll('video')].map(async v => {
             await v.play(); v.pause(); return [v.videoWidth, v.duration, v.readyState];
           }))"""
    )
    for width, duration, ready in sizes:
        assert width == 420 and ready >= 2
        assert duration == pytest.approx((24 + 8) / 6, abs=0.2)


def test_tables_sort_by_a_click(browser):
    rows = "[...document.querySelectorAll('table.sortable')[0].tBodies[0].rows]"
    heads = "document.querySelectorAll('table.sortable')[0].querySelectorAll('th button')"
    browser.evaluate(f"{heads}[3].click()")
    rates = browser.evaluate(f"{rows}.map(r => Number(r.cells[3].dataset.sort))")
    assert rates == sorted(rates)
    browser.evaluate(f"{heads}[3].click()")
    assert browser.evaluate(f"{rows}.map(r => Number(r.cells[3].dataset.sort))") == rates[::-1]
    browser.evaluate(f"{heads}[0].click()")


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 390)],
    ids=["light", "dark", "phone"],
)  # fmt: skip
def test_page_fits_and_has_contrast(browser, scheme, width, tmp_path):
    browser.emulate(scheme=scheme, width=width)
    assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground[4:-1].split(",")) / 3
    assert (brightness > 200) == (scheme == "light")
    picture = tmp_path / f"report-{scheme}-{width}.png"
    picture.write_bytes(base64.b64decode(browser.screenshot()))
    assert picture.stat().st_size > 20_000


def test_every_picture_and_control_has_a_name(browser):
    nameless = """[...document.querySelectorAll('svg[role=img], video, nav, figure video')]
        .filter(e => !e.getAttribute('aria-label')).length"""
    assert browser.evaluate(nameless) == 0
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    assert browser.evaluate(
        "[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))"
    )
