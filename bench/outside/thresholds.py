"""What must be reached, and whether it was. One dictionary holds every promise in words and as a number."""
from dataclasses import dataclass
from statistics import median

from tools import CHECK_S

TREE, JSON, NO_PAUSE = "async-trace", "async-trace --json", "async-trace --json --no-pause"
CHECK = "async-trace check"


@dataclass(frozen=True)
class Threshold:
    """A promise: `row` cites it in words, `limit` is the number it may not exceed."""

    row: str
    limit: float


THRESHOLDS = {
    "wall-10000": Threshold("10,000 tasks × 5 frames, wall, tree and JSON: ≤ 1/20 of `python3.15 -m asyncio ps`", 1 / 20),
    "rss-10000": Threshold("10,000 tasks, peak RSS: ≤ 64 MB", 64.0),
    "pause-10000": Threshold("10,000 tasks, longest pause of the target: ≤ 10 ms by default", 10.0),
    # Zero but for noise: the scheduler's own gaps differ by this much from one window to the next.
    "no-pause-10000": Threshold("10,000 tasks, longest pause of the target: 0 with --no-pause", 1.0),
    "wall-100000": Threshold("100,000 tasks: ≤ 12 × the time of 10,000", 12.0),
    "rss-100000": Threshold("100,000 tasks: ≤ 400 MB", 400.0),
    "wall-1000": Threshold("1,000 tasks, wall: ≤ 30 ms", 30.0),
    "wall-10": Threshold("10 tasks, wall: ≤ py-spy in the same run", 1.0),
    "complete": Threshold("every run ends well and holds every task with its whole chain: 0 that do not", 0),
    "check-10000": Threshold("10,000 tasks: a check ≤ 2 × a dump, beyond the time for which it is to look", 2.0),
    "churn-gap": Threshold("a target in full motion: its ticker's gap ≤ 10 ms above its baseline", 10.0),
    "blocked": Threshold("a blocked loop: the blocked frames and all tasks in one output: 0 dumps without", 0),
}


def verdicts(rows):
    """`(key, where, measured, holds)` for each threshold and each place it applies to."""
    at = {(r["phase"], r["python"].rpartition(".")[0], r["size"], r["tool"]): r for r in rows}

    def wall(*where):
        times = at.get(where, {}).get("wall_s")
        return median(times) if times else None

    def rss(*where):
        peaks = at.get(where, {}).get("rss_kb")
        return max(peaks) / 1024 if peaks else None

    found = []

    def judge(key, where, measured):
        if measured is not None:
            found.append((key, where, measured, measured <= THRESHOLDS[key].limit))

    for row in rows:
        if row["ours"]:
            judge_run(row, judge)
    for python in sorted({key[1] for key in at}):
        for tool in (TREE, JSON):
            here = "%s, %s" % (python, tool)
            ps = wall("size", python, 10_000, "asyncio ps")
            ten_thousand = wall("size", python, 10_000, tool)
            if python == "3.15" and ps and ten_thousand:
                judge("wall-10000", here, ten_thousand / ps)
            judge("rss-10000", here, rss("size", python, 10_000, tool))
            large = wall("size", python, 100_000, tool)
            if large and ten_thousand:
                judge("wall-100000", here, large / ten_thousand)
            judge("rss-100000", here, rss("size", python, 100_000, tool))
            thousand = wall("size", python, 1_000, tool)
            judge("wall-1000", here, thousand and thousand * 1e3)
        dump, check = wall("check", python, 10_000, TREE), wall("check", python, 10_000, CHECK)
        if dump and check:
            judge("check-10000", python, (check - CHECK_S) / dump)
        spy, ten = wall("size", python, 10, "py-spy dump"), wall("size", python, 10, TREE)
        if spy and ten:
            judge("wall-10", "%s, %s" % (python, TREE), ten / spy)
    return found


def judge_run(row, judge):
    """The promises about a single row of ours."""
    where = "%s, %s, %s" % (row["python"].rpartition(".")[0], row["phase"], row["tool"])
    if row["size"]:
        where += ", {:,}".format(row["size"])
    if row["phase"] == "blocked":
        judge("blocked", where, row["runs"] - row["both"])
        return
    # In motion only what stands still can be counted from outside; `--no-pause` may miss some, but must end well.
    exact = row["phase"] != "churn"
    lacking = sum(
        standing < row["expected"]["standing"] or (exact and tasks != row["expected"]["tasks"])
        for tasks, standing in zip(row["tasks"], row["standing"])
    )
    if row["phase"] == "churn" and row["tool"] == NO_PAUSE:
        lacking = 0
    judge("complete", where, row["failures"] + lacking)
    if not row["gap_ns"]:
        return
    if row["phase"] == "churn":
        judge("churn-gap", where, (max(row["gap_ns"]) - max(row["baseline_ns"])) / 1e6)
    elif row["tool"] == NO_PAUSE:
        judge("no-pause-10000", where, (median(row["gap_ns"]) - median(row["baseline_ns"])) / 1e6)
    else:
        judge("pause-10000", where, (max(row["gap_ns"]) - max(row["baseline_ns"])) / 1e6)
