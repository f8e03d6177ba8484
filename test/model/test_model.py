#!/usr/bin/env python3
"""The model itself, before anything is held against it: cases worked by hand from docs/semantics.md, other systems'
published cases where they agree with that page, and published survival results.

The shared folder of vectors and data is env SHARED, or ../shared beside the repository.
"""
import csv
import json
import math
import os
import random
import sys
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import business_time                                                  # noqa: E402
import clocks                                                         # noqa: E402
import funnel                                                         # noqa: E402
import journeys                                                       # noqa: E402
import lifecycles                                                     # noqa: E402
import survival                                                       # noqa: E402
import velocity                                                       # noqa: E402
from clocks import HOUR                                               # noqa: E402
from business_time import Calendar, Dated, Intersection, Timeline, Union, Weekly     # noqa: E402
from journeys import DAY, SECOND, Mark, at                            # noqa: E402
from lifecycles import Lifecycle, Range, Span                         # noqa: E402
from survival import Stay                                             # noqa: E402

SHARED = os.environ.get("SHARED") or os.path.join(HERE, "..", "..", "..", "shared")
done = dict(n=0, failed=0)


def ok(good, text, *notes):
    done["n"] += 1
    done["failed"] += not good
    print("%s %d - %s" % ("ok" if good else "not ok", done["n"], text))
    if not good:
        for note in notes:
            print("# %s" % (note,))


def same(got, want, text):
    ok(got == want, text, "got  %r" % (got,), "want %r" % (want,))


def near(got, want, text, tolerance=1e-9):
    ok(got is None and want is None or got is not None and want is not None and abs(got - want) <= tolerance, text,
       "got  %r" % (got,), "want %r" % (want,))


def shared(*path):
    """A file of the shared folder, or None: a failure in CI, else a skip."""
    name = os.path.join(SHARED, *path)
    if os.path.exists(name):
        return name
    if os.environ.get("CI") == "true":
        ok(False, "shared file %s" % "/".join(path), "not found; set SHARED")
    else:
        done["n"] += 1
        print("ok %d - shared file %s # SKIP not found; set SHARED" % (done["n"], "/".join(path)))
    return None


def history(*pairs):
    """Marks from (day, mark[, value[, seq]])."""
    return [Mark(int(p[0] * DAY), *p[1:], *([None] * (4 - len(p)))) for p in pairs]


def status(rows):
    return {r["stage"]: r["status"] + ("*" if r["imputed"] else "") for r in rows if r["counted"]}


def one(life, as_of, *pairs):
    return status(funnel.rows(history(*pairs), life, int(as_of * DAY)))


# ---- journeys -----------------------------------------------------------------------------------------------------

def test_journeys():
    a, b = Mark(5, 1, None, None), Mark(5, 1, 0, None)
    same(journeys.journey([Mark(5, 2, None, 1), b, a, a, Mark(None, 1, 1, 1), Mark(5, None, 1, 1), Mark(4, 9, 9, 9)]),
         [Mark(4, 9, 9, 9), a, b, Mark(5, 2, None, 1)], "journey: order, NULL first, identical marks are one")
    same(journeys.journey([Mark(5, 2, None, None), Mark(5, 1, None, 7), Mark(5, 1, None, -7)]),
         [Mark(5, 2, None, None), Mark(5, 1, None, -7), Mark(5, 1, None, 7)], "journey: seq before mark")
    j = [Mark(at(2025, 1, 31, 9), 1, None, None), Mark(at(2025, 2, 3, 10, 30, 0, 500000), 2, 1500, 77)]
    page = "{1@2025-01-31T09:00:00Z, 2@2025-02-03T10:30:00.5Z=1500#77}"
    same(journeys.text(j), page, "journey: the text form of the reference page")
    same(journeys.parse(page), j, "journey: and back")
    same(journeys.text([]), "{}", "journey: nothing")
    far = [Mark(at(-43, 3, 15), 1, None, None), Mark(at(294276, 12, 31), 2, None, None)]
    same(journeys.text(far), "{1@-0043-03-15T00:00:00Z, 2@294276-12-31T00:00:00Z}", "journey: years before 1 and after 9999")
    same(journeys.parse(journeys.text(far)), far, "journey: and back")
    same(journeys.sql_time(journeys.MIN_TIME), "4714-11-24 00:00:00+00 BC", "time: the first")
    same(journeys.sql_time(journeys.END_TIME - 1), "294276-12-31 23:59:59.999999+00", "time: the last")
    same(journeys.sql_time(at(0, 2, 29)), "0001-02-29 00:00:00+00 BC", "time: a leap day in 1 BC")
    rng = random.Random(1)
    days = [rng.randrange(-2000000, 100000000) for _ in range(2000)]
    ok(all(journeys.days_from_civil(*journeys.civil_from_days(d)) == d for d in days), "time: calendar there and back")


# ---- windows ------------------------------------------------------------------------------------------------------

def test_windows():
    add = lifecycles.add
    same(add(at(2023, 1, 31, 9), Span(1), "UTC"), at(2023, 2, 28, 9), "window: a month, clipped to its end")
    same(add(at(2024, 1, 31, 9), Span(1), "UTC"), at(2024, 2, 29, 9), "window: a month of a leap year")
    same(add(at(2024, 1, 31, 9), Span(1, 1), "UTC"), at(2024, 3, 1, 9), "window: months, then days")
    # New York, 09:00 local on 9 March (UTC-5) to 09:00 local on 10 March (UTC-4): 23 hours
    same(add(at(2024, 3, 9, 14), Span(0, 1), "America/New_York"), at(2024, 3, 10, 13), "window: a local day of 23 hours")
    same(add(at(2024, 3, 9, 14), Span(0, 0, DAY), "America/New_York"), at(2024, 3, 10, 14), "window: 24 hours are exact")
    same(add(at(2024, 3, 9, 7, 30), Span(0, 1), "America/New_York"), at(2024, 3, 10, 7, 30),
         "window: 02:30 does not exist: read with the offset before, as PostgreSQL does")
    same(add(at(2024, 11, 2, 5, 30), Span(0, 1), "America/New_York"), at(2024, 11, 3, 6, 30),
         "window: 01:30 is there twice: the later, as PostgreSQL reads it")


# ---- funnel: impute and any ---------------------------------------------------------------------------------------

CRM = dict(stages=["S1", "S2", "S3", "S4"], won="WON", lost=["LOST"], recycled=["NURTURE"])
# marks: S1..S4 are 1..4, WON 5, LOST 6, NURTURE 7


def test_impute():
    life = Lifecycle(**CRM)
    same(one(life, 99, (1, 1), (5, 3)), {"S1": "converted", "S2": "converted*", "S3": "in_progress"},
         "impute: fc-skip: a skipped stage is imputed as passed")
    same(one(life, 99, (1, 3)), {"S1": "converted*", "S2": "converted*", "S3": "in_progress"},
         "impute: fc-created-mid: created in the middle")
    same(one(life, 99, (1, 5)), dict.fromkeys(("S1", "S2", "S3", "S4"), "converted*") | {"WON": "converted"},
         "impute: fc-created-won")
    same(one(life, 99, (1, 1), (3, 2), (5, 3), (9, 1)), {"S1": "converted", "S2": "converted", "S3": "in_progress"},
         "impute: fc-backward: the highest level counts, not the last place")
    same(one(life, 99, (1, 1), (4, 3), (8, 6)), {"S1": "converted", "S2": "converted*", "S3": "lost"},
         "impute: sightfull-progress: S1 progressed, S3 did not")
    four = Lifecycle(stages=["new", "qualified", "proposal"], won="won", lost=["lost"])
    same(one(four, 9, (1, 1), (2, 4)), {"new": "converted", "qualified": "converted*", "proposal": "converted*",
                                        "won": "converted"}, "impute: bx-conversion-open")
    same(one(four, 9, (1, 1), (2, 5)), {"new": "lost"}, "impute: bx-conversion-lost: nothing beyond the last stage")
    same(one(Lifecycle(stages=["created", "lead", "opportunity"], won="customer", skip="any"), 9, (1, 1), (2, 2), (3, 4)),
         {"created": "converted", "lead": "converted", "customer": "converted"}, "any: hs-any-stages")
    same(one(life, 3, (1, 1), (5, 3)), {"S1": "in_progress"}, "impute: marks later than as_of do not exist")
    same(one(life, 9, (1, 6), (2, 7)), {}, "impute: a terminal mark with none open is ignored")
    same(one(life, 9, (1, 5), (1, 1), (1, 3)), {"S1": "converted", "S2": "converted*", "S3": "converted",
                                                "S4": "converted*", "WON": "converted"},
         "impute: tied marks are read in stage order")
    same(one(life, 9, (1, 5, None, 1), (1, 1, None, 2)), dict.fromkeys(("S1", "S2", "S3", "S4"), "converted*")
         | {"WON": "converted"}, "impute: at one instant seq is obeyed; best takes the won attempt")

    rows = funnel.rows(history((1, 2), (2, 1), (3, 2), (4, 2), (5, 1), (6, 4), (7, 6)), life, 99 * DAY)
    same([(r["stage"], r["repeats"], r["regresses"], r["converted_at"]) for r in rows],
         [("S1", 1, 2, 3 * DAY), ("S2", 2, 0, 6 * DAY), ("S3", 0, 0, None), ("S4", 0, 0, None)],
         "impute: repeats, regresses, time to convert")

    again = history((1, 1), (2, 2), (3, 7), (4, 1), (6, 2), (7, 1))
    for attempt, want in (("first", [True, False]), ("last", [False, True]), ("best", [True, False]), ("all", [True] * 2)):
        got = [a.counted for a in funnel.attempts(again, Lifecycle(attempt=attempt, **CRM), 99 * DAY)]
        same(got, want, "impute: two attempts, %s counts" % attempt)
    from_4 = Range(4 * DAY, None, True, False)
    same([a.counted for a in funnel.attempts(again, Lifecycle(entry_range=from_4, **CRM), 99 * DAY)], [False, True],
         "impute: entry_range drops the attempt opened before it")


def test_impute_windows():
    life = Lifecycle(within=Span(0, 0, 10 * DAY), **CRM)
    same(one(life, 11, (1, 1)), {"S1": "in_progress"}, "within: inclusive at as_of")
    same(one(life, 11 + 1e-6, (1, 1)), {"S1": "expired"}, "within: past it")
    same(one(life, 99, (1, 1), (11, 2), (11.5, 3)), {"S1": "converted", "S2": "expired"}, "within: inclusive for a mark")
    same(one(life, 99, (1, 1), (5, 2), (12, 6)), {"S1": "converted", "S2": "expired"}, "within: a late loss is expired")
    same(one(life, 99, (1, 1), (5, 2), (11, 6)), {"S1": "converted", "S2": "lost"}, "within: a loss in time is lost")
    late = funnel.attempts(history((1, 2), (12, 3), (13, 2), (14, 5)), life, 99 * DAY)
    same([(a.opened_at // DAY, a.entry, a.level, a.outcome, a.ended_at // DAY) for a in late],
         [(1, 2, 2, "expired", 11), (13, 2, 5, "won", 14)],
         "within: a late mark beyond the entry step is ignored, one at or below it opens the next attempt")
    steps = Lifecycle(step_within=[Span(0, 0, DAY)] + [Span(0, 0, 2 * DAY)] * 4, **CRM)
    same(one(steps, 99, (1, 1), (3, 2), (5.5, 3), (6, 2), (6.1, 6)), {"S1": "converted", "S2": "lost"},
         "step_within: a late step is ignored, a terminal mark is still lost")
    same(one(steps, 5, (1, 1), (3, 2)), {"S1": "converted", "S2": "in_progress"}, "step_within: inclusive")
    same(one(steps, 5.1, (1, 1), (3, 2)), {"S1": "converted", "S2": "expired"}, "step_within: every later step is closed")
    some = Lifecycle(step_within=[None, Span(0, 0, 2 * DAY), None, None, None], **CRM)
    same(one(some, 50, (1, 1)), {"S1": "in_progress"}, "step_within: one later step is open still")
    won = funnel.attempts(history((1, 1), (3, 2), (9, 5)), steps, 99 * DAY)[0]
    same((won.level, won.outcome), (2, "expired"), "step_within: won too late ends the attempt as expired")
    strictly = Lifecycle(times="increasing", **CRM)
    same(one(strictly, 9, (1, 1), (1, 2)), {"S1": "in_progress"}, "increasing: a tied step is not later")
    same(one(strictly, 9, (1, 1), (1, 2), (2, 3)), {"S1": "converted", "S2": "converted*", "S3": "in_progress"},
         "increasing: it stays unobserved")


# ---- funnel: strict -----------------------------------------------------------------------------------------------

def strict_level(rows, nsteps, window=None, times="nondecreasing", longest=13):
    """Level of [[time, [steps]]]: a mark id for each set of steps.  None when it is too much for brute force."""
    sets = sorted({tuple(sorted(s for s in r[1] if s > 0)) for r in rows if [s for s in r[1] if s > 0]})
    if sum(bool(r[1]) for r in rows) > longest:
        return None
    marks = [[i for i, s in enumerate(sets, 1) if step in s] or [1000 + step] for step in range(1, nsteps + 1)]
    life = Lifecycle(stages=["s%d" % i for i in range(1, nsteps + 1)], marks=marks, skip="strict", times=times,
                     within=None if window is None else Span(0, 0, window))
    j = [Mark(r[0], sets.index(tuple(sorted(r[1]))) + 1, None, None)._replace(value=i)      # rows are distinct marks
         for i, r in enumerate(rows) if r[1] and min(r[1]) > 0]
    done_ = funnel.attempts(j, life, 10 ** 18)
    return done_[0].level if done_ else 0


def test_strict():
    abc = dict(stages=["A", "B", "C"], skip="strict")
    life = Lifecycle(**abc)
    same(one(life, 99, (1, 1), (2, 3)), {"A": "in_progress"}, "strict: mx-order-4: a skipped step stops it")
    same(one(life, 99, (1, 2), (1, 1), (1, 3)), {"A": "converted", "B": "converted", "C": "in_progress"},
         "strict: tied marks may be taken in any order")
    same(one(life, 99, (1, 2, None, 1), (1, 1, None, 2)), {"A": "in_progress"}, "strict: unless seq orders them")
    same(one(Lifecycle(times="increasing", **abc), 99, (1, 1), (1, 2)), {"A": "in_progress"}, "strict: increasing")
    hs = Lifecycle(stages=["created", "lead", "opportunity"], won="customer", skip="strict")
    same(one(hs, 9, (1, 1), (2, 2), (3, 4)), {"created": "converted", "lead": "lost"},
         "strict: hs-all-stages: the customer is hidden; won without the chain is lost")

    ten = Lifecycle(stages=["A", "B"], skip="strict", within=Span(0, 0, 10 * DAY))
    same(one(ten, 99, (0, 1), (20, 1), (25, 2)), {"A": "converted", "B": "expired"}, "strict: mx-reentry-s1: the better entry")
    ttc = funnel.attempts(history((0, 1), (1, 1), (2, 1), (3, 2)), ten, 99 * DAY)[0]
    same((ttc.opened_at // DAY, ttc.converted_at(1) // DAY), (2, 3), "strict: mx-ttc-last-entry: the latest start")
    early = funnel.attempts(history((0, 1), (1, 2), (3, 1), (4, 2)), ten, 99 * DAY)[0]
    same((early.opened_at // DAY, early.level_at // DAY), (0, 1), "strict: the earliest completion first")
    mid = funnel.attempts(history((0, 1), (1, 2), (2, 2), (3, 3)), life, 99 * DAY)[0]
    same([mid.first_at[s] // DAY for s in (1, 2, 3)], [0, 1, 3], "strict: then the earliest second mark")
    months = Lifecycle(stages=["A", "B"], skip="strict", within=Span(1))
    ends = funnel.attempts([Mark(at(2023, 1, 30), 1, None, None), Mark(at(2023, 1, 31), 1, None, None),
                            Mark(at(2023, 2, 1), 2, None, None)], months, at(2023, 6, 1))[0]
    same(ends.opened_at, at(2023, 1, 31), "strict: two starts with one window end: the later")

    # a local day from 02:30 ends at 03:30, because 02:30 is missing; from 03:00 it ends at 03:00
    clock = Lifecycle(stages=["A", "B"], skip="strict", within=Span(0, 1), time_zone="America/New_York")
    ends = funnel.attempts([Mark(at(2024, 3, 9, 7, 30), 1, None, None), Mark(at(2024, 3, 9, 8), 1, None, None),
                            Mark(at(2024, 3, 9, 20), 2, None, None)], clock, at(2024, 3, 12))[0]
    same(ends.opened_at, at(2024, 3, 9, 7, 30), "strict: the latest start is by the end of its window")

    both = Lifecycle(stages=["A", "A again"], marks=[[1], [1]], skip="strict")
    same(one(both, 9, (1, 1)), {"A": "in_progress"}, "strict: ph-repeat-steps: one mark satisfies one step only")
    same(one(both, 9, (1, 1), (2, 1)), {"A": "converted", "A again": "in_progress"}, "strict: two marks satisfy both")

    crm = Lifecycle(stages=["A", "B"], won="W", lost=["L"], skip="strict", attempt="all", within=Span(0, 0, 10 * DAY))
    got = funnel.rows(history((1, 1), (2, 4), (3, 2), (4, 1), (5, 2), (6, 3), (7, 1), (18, 4), (20, 1)), crm, 21 * DAY)
    same([(r["attempt_no"], r["stage"], r["status"]) for r in got],
         [(1, "A", "lost"), (2, "A", "converted"), (2, "B", "converted"), (2, "W", "converted"), (3, "A", "expired"),
          (4, "A", "in_progress")], "strict: terminal marks make episodes")
    rng = Range(4 * DAY, 7 * DAY, True, False)
    in_range = Lifecycle(stages=["A", "B"], skip="strict", entry_range=rng)
    got = funnel.attempts(history((3, 1), (5, 1), (6, 2), (8, 1)), in_range, 99 * DAY)
    same([(a.opened_at // DAY, a.level) for a in got], [(5, 2)], "strict: entry_range holds the first mark")

    name = shared("vectors", "funnel", "mixpanel_amplitude", "cases.jsonl")
    if name:
        cases = [json.loads(line) for line in open(name)]
        cases = [c for c in cases if c.get("fn") == "window_funnel" and "exact" in c]
        wrong = [c["id"] for c in cases if strict_level(c["rows"], c["nsteps"], c["window"]) != c["exact"]]
        ok(cases and not wrong, "strict: Mixpanel's cases (%d)" % len(cases), *wrong)
    for system in ("clickhouse", "doris", "duckdb_behavioral", "pinot", "starrocks"):
        name = shared("vectors", "funnel", system, "cases.jsonl")
        if not name:
            continue
        cases = [json.loads(line) for line in open(name)]
        wrong, checked = [], 0
        for c in cases:
            if c.get("fn") != "window_funnel" or not isinstance(c.get("exact"), dict):
                continue
            for times, key in (("nondecreasing", "any_tie"), ("increasing", "strict_inc")):
                level = strict_level(c["rows"], c["nsteps"], c["window"], times)
                if level is None or c["exact"].get(key) is None:
                    continue
                checked += 1
                if level != c["exact"][key]:
                    wrong.append("%s %s: got %s, want %s" % (c["id"], times, level, c["exact"][key]))
        ok(checked and not wrong, "strict: %s: the exact level (%d)" % (system, checked), *wrong)
    name = shared("vectors", "funnel", "posthog", "cases.jsonl")
    if name:
        wrong, checked = [], 0
        for c in map(json.loads, open(name)):
            if c["order"] != "ordered" or c["optional_steps"] or c.get("exclusions") or any(
                    s <= 0 for rows in c["people"].values() for r in rows for s in r[1]) or "44204" in json.dumps(c):
                continue
            levels = [strict_level(rows, c["nsteps"], c["window"]) for rows in c["people"].values()]
            if None in levels:
                continue
            for step, want in enumerate(c["expect_counts"], 1):
                if want is not None:
                    checked += 1
                    got = sum(level >= step for level in levels)
                    if got != want:
                        wrong.append("%s step %d: got %d, want %d" % (c["id"], step, got, want))
        ok(checked and not wrong, "strict: PostHog's ordered cases (%d)" % checked, *wrong)


def test_conversion():
    life = Lifecycle(attempt="all", **CRM)
    subjects = [(history((1, 1), (2, 3), (4, 5), (5, 0)), Fraction("10.25")), (history((1, 1), (3, 6), (4, 1)), Fraction(3)),
                (history((2, 2), (3, 7)), None), ([], Fraction(1))]
    t = funnel.conversion(subjects, life, 99 * DAY)
    same((t["subjects"], t["attempts"], t["recycled"], t["unknown_marks"]), (4, 4, 1, 1), "conversion: what was read")
    s1 = t["stages"][1]
    same([s1[k] for k in ("entered", "observed", "imputed", "converted", "lost", "recycled", "in_progress")],
         [4, 3, 1, 2, 1, 0, 1], "conversion: the counts of S1")
    same((s1["amount_entered"], s1["amount_converted"], s1["amount_lost"], s1["amount_squares"]),
         (Fraction("16.25"), Fraction("10.25"), 3, Fraction("105.0625") + 18), "conversion: its amounts")
    same((s1["timed_count"], s1["time"]), (1, DAY), "conversion: its times")
    for s in t["stages"].values():
        same(s["converted"] + s["lost"] + s["in_progress"] + s["expired"], s["entered"], "conversion: statuses sum to entered")


# ---- velocity -----------------------------------------------------------------------------------------------------

def test_velocity():
    life = Lifecycle(stages=["A", "B"], won="W")
    h = [Mark(0, 1, None, None), Mark(100, 2, None, None), Mark(250, 1, None, None), Mark(300, 2, None, None),
         Mark(900, 3, None, None), Mark(950, 3, None, None)]
    got = velocity.visits(h, life, 1000)
    same([(v.stage, v.duration, v.exit) for v in got], [(1, 100, "forward"), (2, 150, "back"), (1, 50, "forward"),
                                                       (2, 600, "won")], "velocity: hs-stage-props-reentry: visits tile")
    for option, want in (("last", {1: [50], 2: [600]}), ("cumulative", {1: [150], 2: [750]}), ("first", {1: [100], 2: [150]}),
                         ("all", {1: [100, 50], 2: [150, 600]})):
        st = velocity.stays(h, Lifecycle(stages=["A", "B"], won="W", visits=option), 1000)
        same({k: [x.duration for x in v] for k, v in st.items()}, want, "velocity: hs-stage-props-reentry: " + option)
    st = velocity.stays(h[:3], Lifecycle(stages=["A", "B"], won="W", visits="cumulative"), 400)
    same(st, {1: [Stay(0, 250, None)], 2: [Stay(0, 150, "back")]}, "velocity: hs-stage-props-open: accrues to as_of")
    st = velocity.stays(h, life, 1000, 260)
    same(st, {1: [Stay(10, 50, "forward")], 2: [Stay(0, 600, "won")]}, "velocity: since: late entry at its age then")
    same(velocity.stays(h, life, 1000, 250), {1: [Stay(0, 50, "forward")], 2: [Stay(0, 600, "won")]},
         "velocity: since: finished at it is dropped, started at it is not late")


# ---- business time ------------------------------------------------------------------------------------------------

def opening(days, opens, closes):
    """Hours of weekdays (0 is Monday), which may run over midnight."""
    return Weekly(frozenset(days), business_time.row(int(opens * HOUR), int(closes * HOUR)))


def on(y, m, d, opens, closes):
    day = business_time.local_date(y, m, d)
    return Dated(day, day, business_time.row(opens * HOUR, closes * HOUR))


def line(calendar, *first, days):
    return Timeline(calendar, at(*first), at(*first) + days * DAY)


def hours(calendar, *first, days=2):
    """Open hours from a UTC midnight on."""
    x = line(calendar, *first, days=days)
    return x.business_time(x.start, x.end) / HOUR


def test_business_time():
    office = line(Calendar(weekly=[opening(range(5), 9, 17)]), 2024, 5, 31, days=11)        # 2024-06-01 was a Saturday
    add = lambda day, hour, n: office.business_add(at(2024, 6, day, hour), n * HOUR)
    same((add(1, 15, 1), add(1, 20, 1)), (at(2024, 6, 3, 10), at(2024, 6, 3, 10)),
         "business time: Saturday 15:00 or 20:00 and an hour is Monday 10:00 (Frappe CRM: Monday 16:00, Tuesday 10:00)")
    same((add(3, 16, 1), add(3, 16, 2), add(4, 9, -1), add(3, 10, -1), add(2, 3, 0)),
         (at(2024, 6, 3, 17), at(2024, 6, 4, 10), at(2024, 6, 3, 16), at(2024, 6, 3, 9), at(2024, 6, 2, 3)),
         "business time: added up to a closing time; back to an opening; nothing leaves a closed instant alone")
    same((add(4, 9, -8), add(3, 9, 80)), (at(2024, 6, 3, 9), business_time.OUTSIDE),
         "business time: a whole day back; too far")
    same(office.business_time(at(2024, 6, 4, 12), at(2024, 6, 3, 12)), -8 * HOUR, "business time: backwards negative")
    nine, five = at(2024, 6, 3, 9), at(2024, 6, 3, 17)
    same([office.calendar.is_open(t) for t in (nine - 1, nine, five - 1, five)], [False, True, True, False],
         "business time: half-open")
    same((office.next_open(at(2024, 6, 1)), office.next_open(nine + HOUR)), (nine, nine + HOUR),
         "business time: the next opening; now, when open")

    sunday = lambda zone, opens, closes: Calendar(zone, [opening([6], opens, closes)])
    rows = ((1, 4), (2, 3), (1.5, 2.5), (0, 24))
    same([hours(sunday("Europe/Berlin", *r), 2024, 3, 30) for r in rows], [2, 0, 0.5, 23],
         "business time: an hour is skipped")
    same([hours(sunday("Europe/Berlin", *r), 2024, 10, 26) for r in rows], [4, 2, 1.5, 25],
         "business time: an hour is repeated")
    twice = line(sunday("Europe/Berlin", 2, 2.5), 2024, 10, 26, days=2)
    same(twice.open_intervals(twice.start, twice.end), [(at(2024, 10, 27, 0), at(2024, 10, 27, 0, 30)),
                                                         (at(2024, 10, 27, 1), at(2024, 10, 27, 1, 30))],
         "business time: half of the repeated hour is two intervals")
    same([hours(sunday("Australia/Lord_Howe", 0, 24), *d) for d in ((2024, 4, 6), (2024, 10, 5))], [24.5, 23.5],
         "business time: half an hour, on Lord Howe Island")
    same([hours(sunday("Antarctica/Troll", 0, 24), *d) for d in ((2024, 3, 30), (2024, 10, 26))], [22, 26],
         "business time: two hours, at Troll")
    saturday = Calendar("America/Sao_Paulo", [opening([5], 22, 24)])
    same((hours(sunday("America/Sao_Paulo", 0, 2), 2018, 11, 3), hours(saturday, 2018, 2, 17)), (1, 3),
         "business time: at midnight, in Sao Paulo")
    same(hours(sunday("America/St_Johns", 0, 1 / 60), 2010, 11, 6), 2 / 60,
         "business time: at 00:01 back to the evening before, in St. John's: one minute comes again")
    apia = lambda *rows: hours(Calendar("Pacific/Apia", rows), 2011, 12, 29, days=3)
    same([apia(opening([day], *r)) for r in ((9, 17), (22, 6)) for day in (3, 4)], [8, 0, 2, 6],
         "business time: Friday 2011-12-30 was skipped in Apia, but not what runs into Saturday from it")
    same(hours(Calendar("Pacific/Apia", [opening([0], 9, 17)]), 1892, 7, 3, days=4), 16,
         "business time: Monday 1892-07-04 came twice")

    night = [opening(range(7), 22, 6)]
    christmas = {business_time.local_date(2025, 12, 25)}

    def around(**options):
        """Less the end of the night before, and the beginning of the night after."""
        return hours(Calendar(weekly=night, holidays=christmas, **options), 2025, 12, 24, days=3) - 6 - 2
    same(around(), 2, "business time: a holiday ends the night before, and no night starts on it")
    same(around(shifts=[on(2025, 12, 25, 10, 12)]), 2 + 6 + 2, "business time: a shift beats the holiday")
    same(around(shifts=[on(2025, 12, 24, 20, 4)]), 4, "business time: a shift runs into the holiday no more than a row")
    same(around(weekly_breaks=[opening([2], 23, 1)]), 1, "business time: a break over midnight")
    both = Calendar(weekly=[opening([0], 9, 12), opening([0], 11, 13), opening([0], 13, 14)])
    same(line(both, 2024, 6, 3, days=7).intervals, [(at(2024, 6, 3, 9), at(2024, 6, 3, 14))],
         "business time: rows that overlap and touch are one")
    other = Calendar("America/New_York", [opening([0], 9, 17)])
    same([hours(c, 2024, 6, 3) for c in (both, other, Union(both, other), Intersection(both, other))], [5, 8, 12, 1],
         "business time: union and intersection of two zones")
    once = line(Calendar(shifts=[on(2024, 6, 5, 9, 10)]), 2024, 6, 1, days=10)
    same((once.business_add(nine, HOUR), once.business_add(nine, HOUR + 1), once.next_open(at(2024, 6, 6))),
         (at(2024, 6, 5, 10), None, None), "business time: what comes to an end")

    berlin = Calendar("Europe/Berlin", holidays=christmas)
    midnight = at(2025, 12, 25, 23)
    same([berlin.beyond_horizon(t) for t in (midnight - 1, midnight)], [False, True],
         "business time: the last holiday is the horizon")
    endless = Calendar(holidays=christmas, known_until="infinity")
    same([c.beyond_horizon(midnight) for c in (Calendar(), endless, Union(endless, berlin), Union(endless, endless))],
         [False, False, True, False], "business time: no horizon; that of any part")
    same([hours(sunday("Europe/Berlin", 0, 24), y, 3, d) for y, d in ((2100, 27), (250000, 25), (1, 31))], [23, 23, 24],
         "business time: the last rule for ever, no rule before the first")
    short = Calendar("America/Juneau", [opening(range(7), 15.5, 16), opening([4], 0, 1)], [on(1867, 10, 19, 15, 9)])
    start = at(1867, 10, 18, 23)
    same(Timeline(short, start, start + 4 * HOUR).intervals, Timeline(short, start, start + 4 * HOUR, SECOND).intervals,
         "business time: long steps and steps of a second")


# ---- survival -----------------------------------------------------------------------------------------------------

def recursion(stays, kind, upto):
    """Greenwood's matrix recursion, as etm computes it, against our double sum: state 0 and one state for each kind."""
    rows = survival.table(stays)
    kinds = sorted({s.kind for s in stays if s.kind})
    k = len(kinds) + 1
    P = [1.0] + [0.0] * (k - 1)
    V = [[0.0] * k for _ in range(k)]
    for r in rows:
        if r.t > upto:
            break
        if not r.d:
            continue
        a = [-r.d / r.n] + [r.exits[x] / r.n for x in kinds]
        cov = [[((i == j) * r.n * r.exits[kinds[i]] - r.exits[kinds[i]] * r.exits[kinds[j]]) / r.n ** 3
                for j in range(k - 1)] for i in range(k - 1)]
        full = [[0.0] * k for _ in range(k)]
        for i in range(k - 1):
            for j in range(k - 1):
                full[i + 1][j + 1] = cov[i][j]
            full[0][i + 1] = full[i + 1][0] = -sum(cov[i])
        full[0][0] = sum(map(sum, cov))
        step = lambda v: [v[j] + v[0] * a[j] for j in range(k)]
        half = [step(row) for row in V]
        V = [list(c) for c in zip(*[step(list(col)) for col in zip(*half)])]
        V = [[V[i][j] + P[0] ** 2 * full[i][j] for j in range(k)] for i in range(k)]
        P = step(P)
    i = kinds.index(kind) + 1
    return P[i], V[i][i]


def test_survival_hand():
    edges = survival.bin_edges(10 ** 15)
    same(edges[:5], [0, 1, 2, 3, 4], "bins: the first are single microseconds")
    ok(all(b - a <= max(1, a * 2 // 99 + 1) for a, b in zip(edges, edges[1:])), "bins: their width")
    ok(all(abs(v - d) * 200 <= 2 * v + 100 for i in range(len(edges) - 1) for v in [survival.bin_value(i, edges)]
           for d in (edges[i], edges[i + 1] - 1)), "bins: a duration is within 1 % of what its bin stands for (and half a microsecond)")
    rng = random.Random(2)
    ok(all(edges[survival.bin_of(d, edges)] <= d < edges[survival.bin_of(d, edges) + 1]
           for d in (rng.randrange(10 ** rng.randint(1, 15)) for _ in range(2000))), "bins: a duration is in its bin")
    # 4 leave at 1, 2, 3, 4: F(2) = 1/2 exactly, a plateau
    four = [Stay(0, t, "x") for t in (1, 2, 3, 4)]
    c = survival.Curve(four)
    same((c.quantile(0.5), c.quantile(0.5, "min"), c.quantile(0.6), c.quantile(1.0)), (Fraction(5, 2), 2, 3, 4),
         "quantile: midpoint of a plateau, or its start")
    c = survival.Curve(four[:2] + [Stay(0, 9, None)] * 2)
    same((c.quantile(0.5), c.quantile(0.51)), (Fraction(11, 2), None), "quantile: midpoint to the last observed; NULL")
    # events before censorings at a tie; late entries after both
    c = survival.Curve([Stay(0, 2, "x"), Stay(0, 2, None), Stay(2, 5, "x"), Stay(1, 3, None)])
    same([(r.t, r.n) for r in c.rows], [(2, 3), (3, 2), (5, 1)], "at risk: one who enters at 2 is not at risk at 2")
    same(c.S, [Fraction(2, 3), Fraction(2, 3), 0], "Kaplan-Meier with late entries")
    c = survival.Curve([Stay(0, 0, "x"), Stay(0, 4, None)])
    same((c.rows[0].n, c.S[0]), (2, Fraction(1, 2)), "zero durations count at 0")
    near(c.std_error(0), math.sqrt(1 / 8), "Greenwood by hand")
    same(survival.Curve(four).restricted_mean()[0], Fraction(5, 2), "restricted mean of finished stays is their mean")
    same(survival.Curve(four[:2] + [Stay(0, 9, None)]).restricted_mean(10), None, "restricted mean: refused past the end")
    ab = [Stay(0, 1, "a"), Stay(0, 1, "b"), Stay(0, 2, None), Stay(0, 3, "a"), Stay(0, 4, "b")]
    f = survival.Incidence(ab, "a")
    same([f.at(t) for t in (0, 1, 2, 3, 9)], [0, Fraction(1, 5), Fraction(1, 5), Fraction(1, 2), Fraction(1, 2)],
         "Aalen-Johansen by hand")
    near(f.variance(0), 0.2 * 0.8 / 5, "its variance at the first time is binomial")
    same(survival.exit_probability(ab, "a", 1, 2), (Fraction(1, 2), 3), "exit probability by hand")
    same(survival.exit_probability(ab[:4] + [Stay(0, 5, None)], "a", 1, 9), (None, 3), "exit probability: beyond support")

    wrong = []
    for case in range(200):
        stays = [Stay(*((e, e + rng.randint(1, 6)) if (e := rng.choice((0, 0, 0, 1, 2, 3))) else (0, rng.randint(0, 8))),
                      rng.choice((None, "a", "b", "c"))) for _ in range(rng.randint(1, 14))]
        curve = survival.Curve(stays)
        kinds = sorted({s.kind for s in stays if s.kind})
        fs = [survival.Incidence(stays, k) for k in kinds]
        if any(sum(f.F[i] for f in fs) + curve.S[i] != 1 for i in range(len(curve.rows))):
            wrong.append("sum of incidences and S is not 1: %r" % stays)
        for f, k in zip(fs, kinds):
            for i, r in enumerate(curve.rows):
                p, v = recursion(stays, k, r.t)
                if abs(p - f.F[i]) > 1e-12 or abs(v - f.variance(i)) > 1e-12:
                    wrong.append("%r %s at %d: %r, %r" % (stays, k, r.t, (p, v), (f.F[i], f.variance(i))))
        if len(kinds) == 1 and any(abs(fs[0].variance(i) - (curve.std_error(i) or 0) ** 2) > 1e-12
                                   for i in range(len(curve.rows))):
            wrong.append("with one kind it is Greenwood's: %r" % stays)
    ok(not wrong, "Aalen-Johansen: the double sum is the matrix recursion (200 samples)", *wrong[:3])
    # binning: the bracket holds the exact curve, whatever is tied within a bin
    stays = [Stay(0, int(rng.lognormvariate(20, 2)), rng.choice((None, "a", "b"))) for _ in range(6000)]
    exact, rough = survival.Curve(stays), survival.Curve(survival.binned(stays))
    edges = survival.bin_edges(exact.last)
    bad = [r.t for r, (low, high) in zip(rough.rows, rough.bracket())
           if not low - 1e-12 <= exact.at(edges[survival.bin_of(r.t, edges) + 1] - 1) <= high + 1e-12]
    ok(not bad and len(rough.rows) < len(exact.rows), "bins: the bracket holds the exact curve", *bad[:3])
    near(survival.chi_square_sf(3.841458820694124, 1), 0.05, "chi square, 1 degree", 1e-12)
    near(survival.chi_square_sf(5.991464547107979, 2), 0.05, "chi square, 2 degrees", 1e-12)
    near(survival.chi_square_sf(7.814727903251179, 3), 0.05, "chi square, 3 degrees", 1e-12)
    near(survival.chi_square_sf(9.487729036781154, 4), 0.05, "chi square, 4 degrees", 1e-12)


def test_survival_published():
    name = shared("data", "survival", "reference.json")
    if not name:
        return
    reference = json.load(open(name))
    table = lambda f: list(csv.DictReader(open(os.path.join(os.path.dirname(name), f))))
    lung = [(r, Stay(0, int(r["time"]), "dead" if r["status"] == "2" else None)) for r in table("lung.csv")]
    ovarian = [(r, Stay(0, int(r["futime"]), "dead" if r["fustat"] == "1" else None)) for r in table("ovarian.csv")]
    aml = [(r, Stay(0, int(r["time"]), "dead" if r["cens"] == "1" else None)) for r in table("aml.csv")]

    def group(rows, column=None, value=None):
        return [s for r, s in rows if column is None or r[column] == value]

    def summary(stays, want, text):
        c = survival.Curve(stays)
        # R's default, and so the reference's, is the log limits
        got = [len(stays), sum(r.d for r in c.rows), c.quantile(0.5), *c.quantile_limits(0.5, kind="log")]
        same(got, [want[k] for k in ("n", "events", "median", "lcl95", "ucl95")], text)

    summary(group(lung), reference["lung"]["overall"], "lung: n, events, median and limits")
    c = survival.Curve(group(lung))
    for t, want in reference["lung"]["S"].items():
        near(float(c.at(int(t))), want, "lung: S(%s)" % t, 6e-7)
    for sex, want in reference["lung"]["by_sex"].items():
        summary(group(lung, "sex", sex), want, "lung: sex %s" % sex)
    for ecog, want in reference["lung"]["by_ph_ecog"].items():
        summary(group(lung, "ph.ecog", ecog), want, "lung: ph.ecog %s" % ecog)
    for ecog, want in reference["lung"]["rmean730_by_ph_ecog"].items():
        c = survival.Curve(group(lung, "ph.ecog", ecog))
        near(float(c.area(0, 730)), want, "lung: restricted mean, ph.ecog %s" % ecog, 6e-7)
    summary(group(ovarian), reference["ovarian"]["overall"], "ovarian: n, events, median and limits")
    for rx, want in reference["ovarian"]["by_rx"].items():
        summary(group(ovarian, "rx", rx), want, "ovarian: rx %s" % rx)
    # aml.csv numbers its groups: the larger survival is Maintained
    aml_groups = {"Maintained": group(aml, "group", "1"), "Nonmaintained": group(aml, "group", "2")}
    for x, want in reference["aml"]["by_x"].items():
        summary(aml_groups[x], want, "aml: " + x)
    curves = [("ovarian", group(ovarian), reference["ovarian"]["curve"])]
    curves += [("aml " + x, aml_groups[x], reference["aml"]["curves"][x]) for x in aml_groups]
    for text, stays, want in curves:
        c = survival.Curve(stays)
        got = [[r.t, r.n, r.d, float(c.S[i]), c.std_error(i), *c.limits(i, kind="log")] for i, r in enumerate(c.rows) if r.d]
        good = len(got) == len(want) and all(a is None and b is None or a is not None and b is not None
                                             and abs(a - b) < 6e-7 for g, w in zip(got, want) for a, b in zip(g, w))
        ok(good, text + ": the curve", got, want)
    tests = [("lung sex", [group(lung, "sex", s) for s in "12"], reference["lung"]["logrank_sex"]),
             ("ovarian rx", [group(ovarian, "rx", s) for s in "12"], reference["ovarian"]["logrank_rx"]),
             ("aml x", list(aml_groups.values()), reference["aml"]["logrank_x"])]
    for text, groups, want in tests:
        chi, df, p, observed, expected = survival.log_rank(groups)
        good = (abs(chi - want["chisq"]) < 6e-7 and df == want["df"] and abs(p - want["p"]) < 6e-7
                and observed == want["observed"] and all(abs(a - b) < 6e-7 for a, b in zip(expected, want["expected"])))
        ok(good, text + ": log-rank", (chi, df, p, observed, [float(e) for e in expected]), want)


# ---- SLA clocks ---------------------------------------------------------------------------------------------------

def test_clocks():
    for case in clocks.CASES:
        covered, not_covered, _ = clocks.clocks(case.history, case.sla, case.as_of)
        got = [{column: getattr(r, column) for column in want} for r, want in zip(covered, case.want)]
        same((len(covered), not_covered, got), (len(case.want), case.not_covered, case.want), "clocks: " + case.title)
        if case.spent is not None:
            same([{name: spent for _, name, spent, _ in r.phases()} for r in covered], case.spent,
                 "clocks: %s: by phase" % case.title)
        if case.raised is not None:
            same({step.recipient: (t, due) for _, step, t, due in covered[-1].escalations()}, case.raised,
                 "clocks: %s: when raised" % case.title)


def test_clock_calendar():
    c = clocks.Calendar("c", [(0, 9 * HOUR, 12 * HOUR), (0, 13 * HOUR, 17 * HOUR), (1, 0, 24 * HOUR)],
                        [at(2025, 6, 10) // DAY])
    when = clocks.when
    same(c.measure(when("mon 08:00"), when("mon 18:00")), 7 * HOUR, "clocks: open time of a Monday")
    same(c.measure(when("mon 18:00"), when("mon 08:00")), -7 * HOUR, "clocks: and backwards")
    same(c.measure(when("mon 10:30"), when("mon2 10:00")), int(5.5 * HOUR) + DAY + HOUR, "clocks: over a week")
    same(c.measure(when("mon2 16:00"), when("wed2 00:00")), HOUR, "clocks: Tuesday is a holiday")
    same(c.add(when("mon 08:00"), 3 * HOUR), when("mon 12:00"), "clocks: add ends at a closing time")
    same(c.add(when("mon 08:00"), 3 * HOUR + 1), when("mon 13:00") + 1, "clocks: or goes on after it")
    same(c.add(when("sun 08:00"), 0), when("sun 08:00"), "clocks: add nothing")
    same(c.next_open(when("mon 12:00")), when("mon 13:00"), "clocks: next_open, closed at noon")
    same(c.next_open(when("mon2 17:00")), when("mon3 09:00"), "clocks: next_open, over the holiday")
    same((clocks.Calendar("never").add(0, 1), clocks.Calendar("never").next_open(0)), (None, None), "clocks: never open")
    same([c.beyond_horizon(when(t)) for t in ("tue2 23:59", "wed2 00:00")], [False, True], "clocks: the horizon")


def test_clock_summary():
    """One clock of each status, 8 hours of an office day, read on Tuesday at nine."""
    sla = clocks.Sla("summary", [clocks.policy(4, version="all")], **clocks.BASIC)
    stories = {"met": ["mon 09:00 new", "mon 12:00 done"], "late": ["mon 09:00 new", "mon 15:00 done"],
               "untouched": ["mon 09:00 new"], "running": ["mon 16:00 new"], "at risk": ["mon 13:30 new"],
               "paused": ["mon 09:00 new", "mon 10:00 hold"], "cancelled": ["mon 09:00 new", "mon 11:00 spam"],
               "no clock": ["mon 09:00 done"]}
    readings = []
    for marks in stories.values():
        history = [clocks.Case("", sla.policies, [m], "tue 09:00", []).history[0] for m in marks]
        readings += clocks.clocks(history, sla, clocks.when("tue 09:00"))[0]
    n = clocks.counts(readings)
    same([n[k] for k in ("started", "met", "breached", "running", "paused", "cancelled", "at_risk", "overdue")],
         [7, 1, 2, 2, 1, 1, 1, 1], "clocks: counts")
    same(clocks.breach_rate(readings)[0], 2 / 3, "clocks: breached of those decided")
    # stopped after 3 and 6 hours; censored at 1 (running, paused), 2, 3.5 and 8: 4 at risk at 3, 2 at 6
    same([clocks.quantile(clocks.elapsed_stays(readings), Fraction(p, 8)) for p in (1, 2, 3, 5, 6)],
         [3 * HOUR, Fraction(9 * HOUR, 2), 6 * HOUR, 7 * HOUR, None], "clocks: elapsed, the untouched censored")
    same(clocks.quantile(clocks.overdue_stays(readings), 0.5), 3 * HOUR, "clocks: overdue, the untouched censored")


for test in (test_journeys, test_windows, test_impute, test_impute_windows, test_strict, test_conversion, test_velocity,
             test_business_time, test_survival_hand, test_survival_published, test_clocks, test_clock_calendar,
             test_clock_summary):
    test()
print("1..%d" % done["n"])
sys.exit(1 if done["failed"] else 0)
