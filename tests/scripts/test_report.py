"""What is made of several runs."""

from __future__ import annotations

from scripts.benchmark import report


def _run(echo: float, windowed: float, lost: int = 0) -> report.Run:
    run: report.Run = {
        "echo_windowed": {"messages_per_cpu_s": echo},
        "windowed": {"messages_per_cpu_s": windowed, "lost": lost},
    }
    report.add_ratios(run)
    return run


def test_summary_shows_median_and_extremes() -> None:
    """Every figure, ratios too, is shown with the median, least and most of its runs."""
    result = report.summary([_run(10, 20), _run(10, 50), _run(10, 30)])
    assert result["windowed"]["messages_per_cpu_s"] == report.Spread(30, 20, 50)
    assert result["windowed"]["messages_per_cpu_s_to_echo_windowed"] == report.Spread(3, 2, 5)


def test_no_ratio_without_its_yardstick() -> None:
    """A run that left the yardstick out has figures and no ratio."""
    run: report.Run = {"wide": {"messages_per_cpu_s": 5}}
    report.add_ratios(run)
    assert run == {"wide": {"messages_per_cpu_s": 5}}


def test_a_fault_in_one_run_is_not_hidden_by_the_median() -> None:
    """One message lost in one of three runs is reported."""
    result = report.summary([_run(1, 1), _run(1, 1, lost=1), _run(1, 1)])
    assert result["windowed"]["lost"].median == 0
    assert report.faults(result) == ["windowed: lost 0 to 1, expected 0"]
    assert report.faults(report.summary([_run(1, 1)])) == []


def test_table_has_a_line_for_each_figure() -> None:
    """People see the scenario, its figures with separators for thousands, and the faults."""
    lines = list(report.table(report.summary([_run(2, 12345)])))
    assert any("messages per cpu s " in line and "12,345" in line for line in lines)
    assert "  lost 0" in lines
