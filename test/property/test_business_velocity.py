#!/usr/bin/env python3
"""Velocity by the business clock: random lifecycles and histories with a calendar, against the visits that stage_spans
shows, measured by business_time (both have tests of their own) and read by survival.py; and with a calendar that is
always open, against the wall clock."""
import random
from collections import defaultdict

import common
import journeys
from common import Session, integer, micros, scaled, sql_lifecycle, sql_timestamp, whole
from survival import Curve, Stay

rng = random.Random(common.SEED)
tap = common.Tap()
wrong, checked = defaultdict(list), defaultdict(int)

CALENDARS = ("business_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00}', holidays => '{2024-03-29, 2024-11-01}')",
             "business_calendar('nights', 'America/New_York', '{mon-sat 22:00-06:00}')",
             "business_calendar('never', 'UTC', '{}')")
ALWAYS = "business_calendar('always', 'UTC', '{mon-sun 00:00-24:00}')"


def with_calendar(life, calendar):
    return sql_lifecycle(life)[:-1] + ", calendar => %s)" % calendar


class Case:
    def __init__(self):
        self.world = common.World(rng, "velocity")
        self.histories = [self.world.history() for _ in range(8)]
        self.since = None
        if self.world.life.given.get("visits") != "cumulative" and rng.random() < 0.5:
            self.since = self.world.as_of - self.world.unit * rng.randint(1, max(1, self.world.spread // 2))
        self.calendar = rng.choice(CALENDARS)

    def ask(self, s):
        args = "%s" % sql_timestamp(self.world.as_of) + (", " + sql_timestamp(self.since) if self.since else "")
        life, always = with_calendar(self.world.life, self.calendar), with_calendar(self.world.life, ALWAYS)
        self.text = "%s\n%s" % (life, args)
        s.run("TRUNCATE h, j")
        s.load("h", [(i, m.mark, journeys.sql_time(m.at), m.value, m.seq) for i, h in enumerate(self.histories) for m in h])
        s.run("INSERT INTO j SELECT id, journey(mark, at, value, seq) FROM h GROUP BY id")
        spans = "j, LATERAL (SELECT * FROM stage_spans(j, %s, %s)) x" % (life, args)
        measured = lambda until: "business_time(%s, x.entered_at, %s)" % (self.calendar, until)
        left = "coalesce(x.left_at, %s)" % sql_timestamp(self.world.as_of)
        self.durations = s.query("SELECT count(*) FILTER (WHERE x.business_duration IS DISTINCT FROM %s), count(*) FROM %s" % (
            measured(left), spans))
        late, age = "false", "interval '0'"
        if self.since:
            late = "x.entered_at < %s" % sql_timestamp(self.since)
            age = "CASE WHEN %s THEN %s ELSE interval '0' END" % (late, measured(sql_timestamp(self.since)))
        self.spans = s.query("SELECT id, x.attempt_no, x.stage, x.exit, %s, %s, %s FROM %s WHERE x.measured ORDER BY id, attempt_no, visit_no" % (
            micros("x.business_duration"), late, micros(age), spans))
        summary = "(SELECT stage_velocity(j, %s, %s) AS v FROM j) t" % (life, args)
        names = [self.world.life.name_of(n) for n in range(1, self.world.life.count + 1) if not self.world.life.is_terminal(n)]
        self.read = {name: s.query("SELECT visits(b, {0}), pending(b, {0}), {1}, {2} FROM (SELECT business_clock(v) AS b FROM {3}) u".format(
            common.quote(name), micros("quantile(b, %s, 0.5)" % common.quote(name)), micros("quantile(b, %s, 0.9)" % common.quote(name)),
            summary)) for name in names}
        self.same = s.query("SELECT (SELECT array_agg(x::text) FROM stages(business_clock(a.v)) x) IS NOT DISTINCT FROM "
                            "(SELECT array_agg(x::text) FROM stages(w.v) x), business_clock(a.v)::text::velocity_summary::text = business_clock(a.v)::text "
                            "FROM (SELECT stage_velocity(j, %s, %s) AS v FROM j) a, (SELECT stage_velocity(j, %s, %s) AS v FROM j) w" % (
                                always, args, sql_lifecycle(self.world.life), args))

    def stays(self, rows):
        """By stage: what was observed of each visit, or of the sum of each attempt's visits, in business time."""
        found, sums = defaultdict(list), {}
        for subject, attempt, stage, kind, duration, late, age in rows:
            duration, age = whole(duration), whole(age)
            if self.world.life.visits == "cumulative":
                sums[subject, attempt, stage] = sums.get((subject, attempt, stage), (0, None))[0] + duration, kind
            elif late == "f" or age < duration:
                found[stage].append(Stay(age, duration, kind))
        for (_, _, stage), (duration, kind) in sums.items():
            found[stage].append(Stay(0, duration, kind))
        return found

    def complain(self, title, got, want):
        wrong[title].append("%s\ngot  %r\nwant %r" % (self.text, got, want))

    def settle(self, answers):
        differ, count = answers[self.durations][0]
        checked["spans"] += int(count)
        if differ != "0":
            self.complain("spans", differ, 0)
        if self.same not in range(len(answers)) or answers[self.same] not in ([["t", "t"]], [["t", None]], []):
            self.complain("always", answers[self.same], [["t", "t"]])
        checked["always"] += 1
        stays = self.stays(answers[self.spans])
        for name, number in self.read.items():
            got = answers[number]
            if not got or got[0][0] is None:
                continue
            mine = stays.get(name, [])
            want = [len(mine), sum(x.kind is None for x in mine)]
            curve = Curve(mine) if mine else None
            times = [curve.quantile(p) if curve else None for p in (0.5, 0.9)]
            read = [whole(got[0][2]), whole(got[0][3])]
            near = all(g is None and t is None or g is not None and t is not None and abs(g - t) < 1 for g, t in zip(read, times))
            checked["quantiles"] += len(mine)
            if [integer(got[0][0]), integer(got[0][1])] != want or not near:
                self.complain("quantiles", got, want + times)


def main():
    s, cases = Session(), [Case() for _ in range(scaled(250))]
    s.run("CREATE TEMP TABLE h (id int, mark int, at timestamptz, value bigint, seq bigint)")
    s.run("CREATE TEMP TABLE j (id int, j journey)")
    for case in cases:
        case.ask(s)
    answers = s.go()
    for case in cases:
        case.settle(answers)
    tap.none(wrong["spans"], "business_duration of each visit is business_time from its entry to its end", checked["spans"])
    tap.none(wrong["quantiles"], "business_clock: visits, open ones and quantiles of what stage_spans shows", checked["quantiles"])
    tap.none(wrong["always"], "always open: the business clock is the wall clock", checked["always"])
    tap.done()


main()
