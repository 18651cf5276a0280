"""Figures: medians, pairs, and which runs count. No clock, no process, no file."""
import statistics

OTHERS_MAX = 0.05  # share of the machine that others may use during a run that counts
TRIES_MAX = 3      # of a run that is disturbed
NOISY_MAX = 12     # runs in a row that stayed disturbed: the machine is not going to be quiet


def others(run, cores):
    """The share of the machine that nobody of this run has used: other programs, and what the host stole."""
    known = run["own_cpu_s"] + sum(run["cpu_s"].values())
    rest = run["busy_s"] - known + run["stolen_s"]
    return max(0.0, rest / (run["seconds"] * cores))


class Patience:
    """How often a disturbed run is repeated: a bounded number of times, and once the machine has shown that it does
    not get quiet, no more."""

    def __init__(self, tries=TRIES_MAX, noisy=NOISY_MAX, limit=OTHERS_MAX):
        self.tries, self.noisy, self.limit = tries, noisy, limit
        self.noise = 0

    def measure(self, once):
        """Calls once() until it returns a quiet run; of those that are not, the least disturbed is kept and marked.
        once() returns a run with its "others" set."""
        best, count = None, 0
        while count < (self.tries if self.noise < self.noisy else 1):
            run = once()
            count += 1
            if best is None or run["others"] < best["others"]:
                best = run
            if best["others"] <= self.limit:
                break
        best["tries"] = count
        best["disturbed"] = best["others"] > self.limit
        self.noise = self.noise + 1 if best["disturbed"] else 0
        return best


def percentile(values, share):
    """The smallest value that at least this share (0..1) of all do not exceed."""
    ordered = sorted(values)
    # in whole thousandths, so that 0.99 of 100 is the 99th
    rank = -(-len(ordered) * round(share * 1000) // 1000)
    return ordered[max(rank, 1) - 1]


def spread(values):
    """(median, least, most)"""
    return statistics.median(values), min(values), max(values)


def ratios(ours, theirs):
    """Pair by pair: the runs of one round saw the same machine. Rounds that either lacks are left out."""
    return [ours[number] / theirs[number] for number in sorted(set(ours) & set(theirs)) if theirs[number]]


def series(runs, case, peer, figure):
    """{round: value} of one figure."""
    return {run["round"]: run["figures"][figure] for run in runs
            if run["case"] == case and run["peer"] == peer and run["figures"].get(figure) is not None}


def exponent(points):
    """The slope of a line through (log x, log y): y grows as x to this power. Least squares."""
    from math import log
    logs = [(log(x), log(y)) for x, y in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    return (sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs))


def short(value):
    """Three digits that matter."""
    if value == 0:
        return "0"
    digits = 2
    size = abs(value)
    while size >= 10 and digits > 0:
        size /= 10
        digits -= 1
    if abs(value) < 1:
        return "%.3g" % value
    return "{:,.{}f}".format(value, digits)
