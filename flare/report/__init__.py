"""The report: one self-contained HTML page made from the files of a run folder."""

from flare.report.render import ReportConfig, build_report, run_report

__all__ = ["ReportConfig", "build_report", "run_report"]
