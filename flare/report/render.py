"""Puts the sections of a run's report into one self-contained page."""

import base64
import json
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from flare.atomic import PathLike, write_text
from flare.errors import UserError
from flare.report import sections
from flare.report.data import RunData, load_run
from flare.report.diagnosis import diagnose
from flare.report.numbers import ShownNumbers
from flare.report.videos import encode_video, load_video

_NUM_VIDEOS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """Configuration of ``flare report``."""

    run: Path  # folder of the run

    def __post_init__(self) -> None:
        if not str(self.run):
            raise UserError("is empty", key="run", mend="give the folder of a run")


def run_report(config: ReportConfig) -> int:
    """Run ``flare report``: write the page and say where; returns the exit code."""
    print(build_report(config.run))
    return 0


def build_report(run_dir: PathLike) -> Path:
    """Write ``report.html`` into a run folder and return its path.

    What the run has not produced (fine-tuning, videos) is left out and said so on the page.

    Raises:
        UserError: the folder is no run, or a file in it is damaged.
    """
    run = load_run(run_dir)
    path = run.path / "report.html"
    write_text(path, render(run))
    return path


def render(run: RunData) -> str:
    """Return the page as HTML text."""
    numbers = ShownNumbers()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_asset("template.html.j2"))
    content: dict[str, Any] = {
        "run": run,
        "headline": sections.headline(run),
        "rows": sections.result_rows(run, numbers),
        "comparison": sections.comparison(run, numbers),
        "curves": sections.curves(run),
        "times": sections.time_split(run),
        "failed_worlds": sections.failed_worlds(run),
        "maps": sections.maps(run),
        "videos": _videos(run),
        "failures": sections.failures(run, numbers),
        "diagnosis": diagnose(run.metrics.get("finetune", [])),
        "is_finetuned": "finetune" in run.metrics,
        "tables": sections.group_tables(run, numbers),
        "config": _pretty(run.config),
        "manifest": _pretty(run.manifest),
        "made": time.strftime("%Y-%m-%d %H:%M"),
    }
    return template.render(
        **content,
        style=Markup(_asset("style.css")),
        script=Markup(_asset("report.js")),
        data=_script_json(
            {"run": run.name, "shown": numbers.shown, **run.summaries, "comparison": run.comparison}
        ),
    )


def _videos(run: RunData) -> list[dict[str, Any]]:
    videos = []
    for file in run.video_files[:_NUM_VIDEOS]:
        video = load_video(file, run.action_names)
        encoded = encode_video(video)
        videos.append(
            {
                "name": video.name.replace("_", " ").replace("-", " "),
                "instruction": video.instruction,
                "success": video.success,
                "steps": len(video.frames),
                "width": encoded.width,
                "height": encoded.height,
                "source": _data_url(encoded.mime, encoded.data),
                "poster": _data_url("image/jpeg", encoded.poster),
            }
        )
    return videos


def _data_url(mime: str, data: bytes) -> Markup:
    return Markup(f"data:{mime};base64,{base64.b64encode(data).decode()}")


def _asset(name: str) -> str:
    return resources.files("flare.report").joinpath(name).read_text(encoding="utf-8")


def _pretty(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, indent=2, ensure_ascii=False)


def _script_json(value: dict[str, Any]) -> Markup:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))
