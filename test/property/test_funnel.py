#!/usr/bin/env python3
"""Random lifecycles, random histories full of ties, as_of in the middle: funnel_attempts row by row and
funnel_conversion count by count against funnel.py."""
import random
from collections import Counter, defaultdict
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import common
import funnel
import journeys
import lifecycles
from common import DAY, ZONES, Session, close, micros, real, scaled, sql_lifecycle, sql_timestamp, whole
from lifecycles import Span
from proportions import wilson

rng = random.Random(common.SEED)
tap = common.Tap()
STRICT_LONGEST = 9         # the brute force tries every chain


def cents(x):
    """numeric(18,2) of an exact sum."""
    return (Decimal(x.numerator) / Decimal(x.denominator)).quantize(Decimal("0.01"), ROUND_HALF_UP)


class Case:
    def __init__(self, clock_change):
        self.world = common.World(rng, "funnel", clock_change)
        self.life = self.world.life
        longest = 14 if self.life.skip != "strict" else STRICT_LONGEST if self.life.steps < 6 else 7
        self.histories = [self.world.history(longest) for _ in range(24)]
        self.amounts = [rng.choice((None, Fraction(0), Fraction(rng.randrange(10 ** 4)), Fraction(rng.randrange(10 ** 9), 100),
                                    Fraction(rng.randrange(10 ** 8), 10 ** 4))) for _ in self.histories]
        if rng.random() < 0.3:
            self.amounts = [None] * len(self.histories)
        self.sql = sql_lifecycle(self.life)

    def describe(self, subject=None):
        out = "%s\nas_of %s" % (self.sql, journeys.sql_time(self.world.as_of))
        if subject is not None:
            out += "\njourney %s" % journeys.text(journeys.journey(self.histories[subject]))
        return out

    def ask(self, s):
        as_of = sql_timestamp(self.world.as_of)
        has_amount = any(a is not None for a in self.amounts)
        s.run("TRUNCATE h, a, j")
        s.load("h", [(i, m.mark, journeys.sql_time(m.at), m.value, m.seq) for i, h in enumerate(self.histories) for m in h])
        s.load("a", [(i, None if a is None else "%.4f" % (Decimal(a.numerator) / a.denominator))
                     for i, a in enumerate(self.amounts)])
        s.run("INSERT INTO j SELECT id, journey(mark, at, value, seq), amount FROM h JOIN a USING (id) GROUP BY id, amount")
        self.rows = s.query(
            "SELECT id, f.attempt_no, f.counted, %s, %s, f.outcome, f.stage_no, f.stage, f.imputed, %s, f.status, %s, f.repeats, "
            "f.regresses FROM j, funnel_attempts(j, %s, %s) WITH ORDINALITY AS f(attempt_no, counted, opened_at, ended_at, outcome, "
            "stage_no, stage, imputed, entered_at, status, converted_at, repeats, regresses, n) ORDER BY id, n"
            % (micros("f.opened_at"), micros("f.ended_at"), micros("f.entered_at"), micros("f.converted_at"), self.sql, as_of))
        summary = "(SELECT funnel_conversion(j, %s, %s%s) FROM j)" % (self.sql, as_of, ", amount" if has_amount else "")
        self.has_amount = has_amount
        self.stages = s.query("SELECT t.stage_no, t.stage, t.category, %s FROM stages(%s) AS t" % (
            ", ".join("t." + c for c in COLUMNS), summary))
        self.totals = s.query("SELECT subjects(x), attempts(x), recycled_attempts(x), unknown_marks(x), %s, fingerprint(x) = fingerprint(%s), "
                              "fingerprint(lifecycle(x)) = fingerprint(x) FROM %s AS s(x)" % (micros("as_of(x)"), self.sql, summary))
        self.accessors = s.query(
            "SELECT st, entered(x, st), observed(x, st), imputed(x, st), converted(x, st), lost(x, st), in_progress(x, st), expired(x, st), "
            "conversion_rate(x, st), conversion_rate(x, st, 'decided'), conversion_rate_low(x, st, 'entered', 0.9), "
            "conversion_rate_high(x, st, 'decided') FROM %s AS s(x), unnest(%s) AS st"
            % (summary, common.sql_array(self.life.names[:self.life.steps])))
        # the same from parts, rolled up
        self.parts = s.query("SELECT rollup(p ORDER BY g)::text = %s::text FROM (SELECT id %% 4 AS g, funnel_conversion(j, %s, %s%s) AS p "
                             "FROM j GROUP BY 1) x" % (summary, self.sql, as_of, ", amount" if has_amount else ""))


COLUMNS = ("entered", "observed", "imputed", "converted", "lost", "no_decision", "recycled", "churned", "in_progress", "expired",
           "conversion_rate", "rate_low", "rate_high", "decided_rate", "decided_low", "decided_high", "repeats", "regresses",
           "timed_count", "mean_days_to_convert", "amount_entered", "amount_converted", "amount_lost", "amount_rate",
           "amount_n_effective")

wrong = defaultdict(list)
checked = Counter()
FIELDS = ("attempt_no", "counted", "opened_at", "outcome", "stage_no", "stage", "imputed", "entered_at", "status", "converted_at",
          "repeats", "regresses")


def parse_row(r):
    return dict(attempt_no=int(r[1]), counted=r[2] == "t", opened_at=whole(r[3]), ended_at=whole(r[4]), outcome=r[5],
                stage_no=int(r[6]), stage=r[7], imputed=r[8] == "t", entered_at=whole(r[9]), status=r[10],
                converted_at=whole(r[11]), repeats=int(r[12]), regresses=int(r[13]))


def judge_rows(case, answer):
    got = defaultdict(list)
    for r in answer:
        got[int(r[0])].append(parse_row(r))
    kind = "strict" if case.life.skip == "strict" else "impute and any"
    for i, h in enumerate(case.histories):
        want = funnel.rows(journeys.journey(h), case.life, case.world.as_of)
        if not h:
            continue
        checked[kind] += 1
        for outcome in {r["attempt_no"]: r["outcome"] for r in want}.values():
            checked["ended " + outcome] += 1
        if [{k: r[k] for k in FIELDS} for r in got[i]] != [{k: r[k] for k in FIELDS} for r in want]:
            wrong[kind].append(case.describe(i) + "".join("\ngot  %s" % list(r.values()) for r in got[i])
                               + "".join("\nwant %s" % list(r.values()) for r in want))
        elif [r["ended_at"] for r in got[i]] != [r["ended_at"] for r in want]:
            wrong["ended_at"].append(case.describe(i) + "".join("\ngot  %s want %s" % (g, w["ended_at"])
                                                                for g, w in zip(got[i], want)))
        checked["ended_at"] += 1
    return got


def aggregate(rows):
    """The counted rows of all subjects, added up by stage."""
    out = defaultdict(Counter)
    for r in rows:
        if r["counted"]:
            st = out[r["stage_no"]]
            st["entered"] += 1
            st["imputed" if r["imputed"] else "observed"] += 1
            st[r["status"]] += 1
            if r["status"] == "lost" and r["outcome"] != "lost":
                st[r["outcome"]] += 1
            st["repeats"] += r["repeats"]
            st["regresses"] += r["regresses"]
            st["timed_count"] += r["converted_at"] is not None
    return out


def judge_summary(case, stages, totals, accessors, rows):
    subjects = [(journeys.journey(h), a) for h, a in zip(case.histories, case.amounts) if h]
    if not subjects:
        return
    want = funnel.conversion(subjects, case.life, case.world.as_of)
    by_rows = aggregate(rows)
    if [int(r[0]) for r in stages] != list(range(1, case.life.steps + 1)):
        wrong["counts"].append(case.describe() + "\nstages %r" % [r[:3] for r in stages])
        return
    for r in stages:
        n = int(r[0])
        w, got = want["stages"][n], dict(zip(COLUMNS, r[3:]))
        where = "%s\nstage %d: " % (case.describe(), n)
        if [r[1], r[2]] != [case.life.name_of(n), case.life.category[n]]:
            wrong["counts"].append(where + "got %r" % r[:3])
        counts = {k: int(got[k]) for k in funnel.COUNTS}
        checked["stages"] += 1
        if counts != {k: w[k] for k in funnel.COUNTS}:
            wrong["counts"].append(where + "got %r\nwant %r" % (counts, {k: w[k] for k in funnel.COUNTS}))
        if counts != {k: by_rows[n][k] for k in funnel.COUNTS}:
            wrong["rows add up"].append(where + "got %r\nrows %r" % (counts, dict(by_rows[n])))
        if counts["converted"] + counts["lost"] + counts["in_progress"] + counts["expired"] != counts["entered"]:
            wrong["sum"].append(where + "%r" % counts)
        decided = w["converted"] + w["lost"] + w["expired"]
        for names, trials in ((("conversion_rate", "rate_low", "rate_high"), w["entered"]),
                              (("decided_rate", "decided_low", "decided_high"), decided)):
            limits = wilson(w["converted"], trials)
            if not all(close(got[k], v, 1.01e-6) for k, v in zip(names, limits)):
                wrong["rates"].append(where + "got %r want %r" % ([got[k] for k in names], limits))
        mean = Fraction(w["time"], w["timed_count"] * DAY) if w["timed_count"] else None
        if (mean is None) != (got["mean_days_to_convert"] is None) or mean is not None and abs(
                Fraction(got["mean_days_to_convert"]) - mean) > Fraction(501, 10 ** 5):
            wrong["mean"].append(where + "got %s want %s" % (got["mean_days_to_convert"], mean and float(mean)))
        if case.has_amount:
            for k in ("amount_entered", "amount_converted", "amount_lost"):
                if got[k] is None and w[k] == 0:
                    continue
                if got[k] is None or Decimal(got[k]) != cents(Fraction(w[k])):
                    wrong["amounts"].append(where + "%s got %s want %s" % (k, got[k], cents(Fraction(w[k]))))
            rate = w["amount_converted"] / w["amount_entered"] if w["amount_entered"] else None
            size = w["amount_entered"] ** 2 / w["amount_squares"] if w["amount_squares"] else None
            if not close(got["amount_rate"], rate, 1.01e-6):
                wrong["amounts"].append(where + "rate got %s want %s" % (got["amount_rate"], rate and float(rate)))
            if not (size is None and got["amount_n_effective"] is None) and not (
                    size is not None and got["amount_n_effective"] is not None
                    and abs(Fraction(got["amount_n_effective"]) - size) <= Fraction(501, 10 ** 5)):
                wrong["amounts"].append(where + "n_effective got %s want %s" % (got["amount_n_effective"], size and float(size)))
    t = totals[0]
    if [int(x) for x in t[:4]] != [want[k] for k in ("subjects", "attempts", "recycled", "unknown_marks")]:
        wrong["totals"].append(case.describe() + "\ngot %r want %r" % (
            t[:4], [want[k] for k in ("subjects", "attempts", "recycled", "unknown_marks")]))
    if whole(t[4]) != case.world.as_of or t[5:] != ["t", "t"]:
        wrong["totals"].append(case.describe() + "\nas_of, fingerprints: %r" % t[4:])
    checked["accessors"] += len(accessors)
    for r in accessors:
        w = want["stages"][case.life.names.index(r[0]) + 1]
        counts = [w[k] for k in ("entered", "observed", "imputed", "converted", "lost", "in_progress", "expired")]
        decided = w["converted"] + w["lost"] + w["expired"]
        rates = [wilson(w["converted"], w["entered"])[0], wilson(w["converted"], decided)[0],
                 wilson(w["converted"], w["entered"], 0.9)[1], wilson(w["converted"], decided)[2]]
        if [int(x) for x in r[1:8]] != counts or not all(close(real(a), b, 1e-9) for a, b in zip(r[8:], rates)):
            wrong["accessors"].append(case.describe() + "\ngot %r\nwant %r %r" % (r, counts, rates))


# ---- the model's calendar is PostgreSQL's --------------------------------------------------------------------------
s = Session()
s.run("CREATE TEMP TABLE w (id int, at timestamptz, span interval)")
calendar = []
for zone in ZONES:
    s.run("TRUNCATE w; SET timezone = %s" % common.quote(zone))
    cases = [(journeys.at(rng.choice((1999, 2021, 2023, 2024, 2026)), rng.randint(1, 12), rng.randint(1, 28)) + rng.choice((0, DAY, 2 * DAY))
              + 15 * 60 * journeys.SECOND * rng.randrange(96), Span(rng.choice((0, 1, 1, 2, 12)), rng.choice((0, 0, 1, 2, 30)),
              rng.choice((0, common.HOUR)))) for _ in range(scaled(2000))]
    s.load("w", [(i, journeys.sql_time(t), common.sql_span(span)) for i, (t, span) in enumerate(cases)])
    calendar.append((zone, cases, s.query("SELECT id, %s FROM w ORDER BY id" % micros("(at + span)"))))
answers = s.go()
for zone, cases, q in calendar:
    for (t, span), (i, end) in zip(cases, answers[q]):
        checked["calendar"] += 1
        if lifecycles.add(t, span, zone) != whole(end):
            wrong["calendar"].append("%s %s + %s: PostgreSQL %s, model %s" % (zone, t, span, end, lifecycles.add(t, span, zone)))

# ---- random worlds -------------------------------------------------------------------------------------------------
BATCH = 60
left = scaled(600)
while left > 0:
    # one in six: strict funnels whose windows end in an hour that is missing, or is there twice
    batch = [Case(i % 6 == 5) for i in range(min(BATCH, left))]
    left -= len(batch)
    s = Session()
    s.run("CREATE TEMP TABLE h (id int, mark int, at timestamptz, value bigint, seq bigint);"
          "CREATE TEMP TABLE a (id int, amount numeric);"
          "CREATE TEMP TABLE j (id int, j journey, amount numeric)")
    for case in batch:
        case.ask(s)
    answers = s.go()
    for case in batch:
        got = judge_rows(case, answers[case.rows])
        judge_summary(case, answers[case.stages], answers[case.totals], answers[case.accessors],
                      [r for rows in got.values() for r in rows])
        if answers[case.parts] not in ([["t"]], [["\\N"]], [[None]]):
            wrong["parts"].append(case.describe() + "\n%r" % answers[case.parts])
        checked["worlds"] += 1
        checked["option " + case.life.skip + ", " + case.life.attempt] += 1

tap.note(", ".join("%s: %d" % kv for kv in sorted(checked.items()) if kv[0].startswith(("option", "ended "))))
for key, title, count in (
        ("calendar", "the model's month and day windows are PostgreSQL's", "calendar"),
        ("impute and any", "funnel_attempts = model, impute and any", "impute and any"),
        ("strict", "funnel_attempts = model, strict", "strict"),
        ("ended_at", "funnel_attempts: ended_at (an expired attempt ends where its last chance did)", "ended_at"),
        ("counts", "stages(): every count = model", "stages"),
        ("rows add up", "stages(): every count = the counted rows of funnel_attempts", "stages"),
        ("sum", "converted + lost + in_progress + expired = entered", "stages"),
        ("rates", "stages(): rates and Wilson limits", "stages"),
        ("mean", "stages(): mean days to convert", "stages"),
        ("amounts", "stages(): amounts are exact", "stages"),
        ("totals", "subjects, attempts, recycled, unknown_marks, as_of, fingerprint", "worlds"),
        ("accessors", "entered() … conversion_rate_high() by stage", "accessors"),
        ("parts", "rollup of parts is byte-equal", "worlds")):
    tap.none(wrong[key], title, checked[count])

# ---- strict at the limit: the page's 64 steps, and many marks at one instant ---------------------------------------
s = Session()
names = ["s%d" % i for i in range(64)]
life = lifecycles.Lifecycle(stages=names, marks=[[1]] * 64, skip="strict")
q_64 = s.query("SELECT (SELECT count(*) FROM funnel_attempts(j, %s, now())) FROM (SELECT journey(1, timestamptz '2025-01-01', v) AS j "
               "FROM generate_series(1, 63) v) x" % sql_lifecycle(life))
q_all = s.query("SELECT (SELECT count(*) FROM funnel_attempts(j, %s, now())) FROM (SELECT journey(1, timestamptz '2025-01-01', v) AS j "
                "FROM generate_series(1, 20000) v) x" % sql_lifecycle(life))
answers = s.go()
tap.ok(answers[q_64] == [["63"]], "strict: 63 tied marks reach step 63 of 64", answers[q_64])
tap.ok(answers[q_all] == [["64"]], "strict: 20,000 tied marks reach step 64", answers[q_all])
tap.done()
