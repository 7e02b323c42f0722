"""The figures as Markdown tables."""
from statistics import median

from thresholds import JSON, THRESHOLDS, verdicts
from tools import CHECK_S


def table(head, body):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in body])


def ms(seconds):
    if not seconds:
        return "–"
    value = median(seconds) * 1e3
    return "%.1f ms" % value if value < 100 else "{:,.0f} ms".format(value)


def found(row):
    """How many tasks its runs found, whole chains in brackets, against the truth."""
    if not row["tasks"]:
        return "–"
    tasks = min(row["tasks"])
    text = "{:,}/{:,}".format(tasks, row["expected"]["tasks"])
    if row["phase"] == "churn":
        return "{:,}/{:,} standing".format(min(row["standing"]), row["expected"]["standing"])
    if min(row["standing"]) < row["expected"]["standing"]:
        text += ", {:,} whole".format(min(row["standing"]))
    return text


def failures(row):
    text = "%d of %d" % (row["failures"], row["runs"])
    return text + " (%s)" % row["why"].replace("|", "\\|") if row["failures"] else text


def sizes(rows):
    body = []
    for row in rows:
        group = [r for r in rows if (r["python"], r["size"]) == (row["python"], row["size"])]
        ours = next((r for r in group if r["tool"] == JSON and r["wall_s"]), None)
        ratio = "–"
        if ours and row["wall_s"]:
            ratio = "%.2f" % (median(row["wall_s"]) / median(ours["wall_s"]))
        rss = "%.0f MB" % (max(row["rss_kb"]) / 1024) if row["rss_kb"] else "–"
        body.append([row["python"], "{:,}".format(row["size"]), row["tool"], ms(row["wall_s"]), ratio, rss, found(row), failures(row)])
    return table(["Python", "tasks", "tool", "wall", "ratio to --json", "peak RSS", "tasks found", "failed runs"], body)


def gaps(rows):
    body = []
    for row in rows:
        cells = ["–"] * 4
        if row["gap_ns"]:
            pairs = [(f(row["gap_ns"]) / 1e6, f(row["baseline_ns"]) / 1e6) for f in (median, max)]
            cells = ["%.2f ms" % value for pair in pairs for value in pair]
        own = "%.2f ms" % (max(row["pause_us"]) / 1e3) if row["pause_us"] else "–"
        body.append([row["python"], row["tool"], ms(row["wall_s"]), *cells, own, found(row), failures(row)])
    head = ["Python", "tool", "wall", "gap, median", "without tool", "gap, longest", "without tool", "own figure", "tasks found", "failed runs"]
    return table(head, body)


def checks(rows):
    body = []
    for dump, check in zip(rows[::2], rows[1::2]):
        if dump["wall_s"] and check["wall_s"]:
            beyond = [seconds - CHECK_S for seconds in check["wall_s"]]
            for what, ours, theirs in ("wall", beyond, dump["wall_s"]), ("CPU", check["cpu_s"], dump["cpu_s"]):
                ratio = "%.2f" % (median(ours) / median(theirs))
                body.append([check["python"], "{:,}".format(check["size"]), what, ms(ours), ms(theirs), ratio])
    return table(["Python", "tasks", "time", "check", "dump", "ratio"], body)


def blocked(rows):
    body = [
        [r["python"], r["how"], r["tool"], *("%d of %d" % (r[key], r["runs"]) for key in ("frames_seen", "tasks_seen", "both")), failures(r)]
        for r in rows
    ]
    return table(["Python", "blocked in", "tool", "blocked frames", "all tasks", "both", "failed runs"], body)


def thresholds(rows):
    body = [
        [THRESHOLDS[key].row, where, "%.3g" % measured, "%.3g" % THRESHOLDS[key].limit, "yes" if holds else "**NO**"]
        for key, where, measured, holds in verdicts(rows)
    ]
    return table(["promise", "where", "measured", "limit", "holds"], body)


def everything(result):
    parts = ["%s. Peak RSS counts from %.0f MB, the process that starts the tools." % (result["machine"], result["rss_floor_kb"] / 1024)]
    for phase, title, render in (
        ("size", "Size and speed: parked tasks, the target asleep", sizes),
        ("check", "Check: the time beyond the %g s for which it looks" % CHECK_S, checks),
        ("pause", "Pause: {:,} parked tasks, the target's loop turning as fast as it can".format(result["pause_tasks"]), gaps),
        ("churn", "In motion: tasks that come and go beside 1,000 that stand", gaps),
        ("blocked", "Blocked loop", blocked),
    ):
        rows = [r for r in result["rows"] if r["phase"] == phase]
        if rows:
            parts.append("### %s\n\n%s" % (title, render(rows)))
    if verdicts(result["rows"]):
        parts.append("### Promises\n\n" + thresholds(result["rows"]))
    return "\n\n".join(parts)
