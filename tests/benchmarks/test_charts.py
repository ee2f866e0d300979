"""What docs/performance.md shows is what was measured last."""

from __future__ import annotations

from dataclasses import asdict
from xml.etree import ElementTree

from benchmarks import beside, charts
from benchmarks.beside import Row
from benchmarks.timings import timing


def test_the_page_its_chart_and_the_readme_show_the_newest_results() -> None:
    report = charts.newest(charts.RESULTS)
    text = charts.PAGE.read_text()
    assert charts.page(text, charts.measured(report)) == text, "run python -m benchmarks.charts"
    readme = charts.README.read_text()
    assert charts.page(readme, charts.in_short(report)) == readme, "run python -m benchmarks.charts"
    assert charts.chart(charts.rows_of(report)) == charts.CHART.read_text()


def test_a_chart_has_a_bar_for_each_row_and_a_line_for_each_goal() -> None:
    rows = [Row("PNG <fast>", 0.35, 10, "s", 1.0, 4.0, 0.25, 0.3), Row("gone far", None, 10, "s", 9.0, 1.0, 9.0, None)]
    drawn = ElementTree.fromstring(charts.chart(rows))
    names = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"PNG <fast>", "0.25", "gone far", "9"} <= set(names)
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}rect"))) == 1 + len(rows)
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}line"))) == 1 + 1


def test_both_sides_are_run_equally_often_and_in_turn() -> None:
    calls: list[str] = []
    row = beside.timed("a figure", None, 4, lambda: calls.append("ours"), lambda: calls.append("baseline"))
    pairs = [set(calls[at : at + 2]) for at in range(0, len(calls), 2)]
    assert pairs == [{"ours", "baseline"}] * (4 + beside.WARM_UP)
    assert calls.count("ours") == calls.count("baseline") == 5
    assert row.n == 4
    assert "a figure" in beside.table([row])


def test_times_of_whole_jobs_stand_in_the_readme_if_there_are_any() -> None:
    report = charts.newest(charts.RESULTS) | {"timings": [asdict(timing("a job", [0.25, 0.35, 0.45]))]}
    assert "| a job | 3 | 0.35 s |" in charts.in_short(report)
    assert "no whole jobs" in charts.in_short(report | {"timings": []})
