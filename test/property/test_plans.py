#!/usr/bin/env python3
"""The same answer, to the byte, whatever the plan: 0, 2 and 4 workers, hashed and sorted, any physical order, any
partition rolled up.  EXPLAIN is asked whether the plan was what it should be, so a test cannot pass by accident."""
import os
import random
from collections import Counter

import common
import journeys
from common import Session, scaled, sql_lifecycle, sql_timestamp

rng = random.Random(common.SEED)
tap = common.Tap()
SCHEMA = "revacct_plans_%d" % os.getpid()
SUBJECTS = scaled(3000)

# one world for the funnel, one for velocity, both with something to see
while True:
    funnel = common.World(rng, "funnel")
    if funnel.life.steps >= 3 and funnel.life.won:
        break
while True:
    velocity = common.World(rng, "velocity")
    if velocity.life.steps >= 3:
        break
histories = [(funnel if k % 2 else velocity).history() for k in range(SUBJECTS)]
events = [(k, rng.randrange(16), m) for k, h in enumerate(histories) for m in h]
events += rng.sample(events, len(events) // 20)                                # some twice
tap.note("%d subjects, %d events" % (SUBJECTS, len(events)))

FUNNEL = "%s, %s" % (sql_lifecycle(funnel.life), sql_timestamp(funnel.as_of))
VELOCITY = "%s, %s" % (sql_lifecycle(velocity.life), sql_timestamp(velocity.as_of))

# name → (query that gives one value a group, is it grouped)
QUERIES = {
    "journeys": ("SELECT subject AS k, journey(mark, at, value, seq)::text AS v FROM %(e)s GROUP BY subject", True),
    # many rows to a group, or the planner sees no use in partial aggregation
    "rollup of journeys": ("SELECT g AS k, rollup(j)::text AS v FROM %(jp)s GROUP BY g", True),
    "pack from events": ("SELECT 0 AS k, journey_pack(subject, mark, at)::text AS v FROM %(e)s", False),
    "pack of journeys": ("SELECT 0 AS k, journey_pack(subject, j)::text AS v FROM %(jp)s", False),
    "packs by group": ("SELECT g AS k, journey_pack(subject, mark, at)::text AS v FROM %(e)s GROUP BY g", True),
    "rollup of packs": ("SELECT 0 AS k, rollup(p)::text AS v FROM %(p)s", False),
    "funnel": ("SELECT 0 AS k, funnel_conversion(j, " + FUNNEL.replace("%", "%%") + ")::text AS v FROM %(j)s", False),
    "funnel with amounts": ("SELECT 0 AS k, funnel_conversion(j, " + FUNNEL.replace("%", "%%") + ", amount)::text AS v FROM %(j)s", False),
    "funnel by group": ("SELECT g AS k, funnel_conversion(j, " + FUNNEL.replace("%", "%%") + ", amount)::text AS v FROM %(j)s "
                        "GROUP BY g", True),
    "funnel of packs": ("SELECT 0 AS k, funnel_conversion(p, " + FUNNEL.replace("%", "%%") + ")::text AS v FROM %(p)s", False),
    "rollup of funnels": ("SELECT 0 AS k, rollup(f)::text AS v FROM %(f)s", False),
    "velocity": ("SELECT 0 AS k, stage_velocity(j, " + VELOCITY.replace("%", "%%") + ")::text AS v FROM %(j)s", False),
    "velocity by group": ("SELECT g AS k, stage_velocity(j, " + VELOCITY.replace("%", "%%") + ")::text AS v FROM %(j)s "
                          "GROUP BY g", True),
    "velocity of packs": ("SELECT 0 AS k, stage_velocity(p, " + VELOCITY.replace("%", "%%") + ")::text AS v FROM %(p)s", False),
    "rollup of velocities": ("SELECT 0 AS k, rollup(s)::text AS v FROM %(f)s", False),
}
ORDERS = {"as made": "id", "by subject": "subject, id", "shuffled": "hashint4(id)", "backwards": "at DESC, id DESC"}


def tables(order):
    return {t: "%s.%s_%d" % (SCHEMA, t, list(ORDERS).index(order)) for t in ("e", "j", "jp", "p", "f")}


s = Session()
s.run("DROP SCHEMA IF EXISTS %s CASCADE; CREATE SCHEMA %s" % (SCHEMA, SCHEMA))
s.run("CREATE TABLE %s.e (id int, subject bigint, part int, mark int, at timestamptz, value bigint, seq bigint)" % SCHEMA)
s.load(SCHEMA + ".e", ((i, k, part, m.mark, journeys.sql_time(m.at), m.value, m.seq) for i, (k, part, m) in enumerate(events)))
for order, by in ORDERS.items():
    t = tables(order)
    # (g: groups the planner has statistics of)
    s.run("CREATE TABLE %(e)s AS SELECT *, subject %% 5 AS g FROM " % t + SCHEMA + ".e ORDER BY " + by)
    # whole journeys with an amount, partial journeys, packs of partial journeys, summaries of parts
    key = {"as made": "min(id)", "by subject": "subject", "shuffled": "hashint8(subject)", "backwards": "max(at) DESC, subject"}[order]
    s.run("CREATE TABLE %(j)s AS SELECT subject, subject %% 7 AS g, journey(mark, at, value, seq) AS j, (subject * 7919 %% 100003)::numeric / 100 AS amount "
          "FROM %(e)s GROUP BY subject ORDER BY " % t + key)
    s.run("CREATE TABLE %(jp)s AS SELECT subject, part, subject %% 50 AS g, journey(mark, at, value, seq) AS j FROM %(e)s GROUP BY subject, part ORDER BY part, " % t + key)
    s.run("CREATE TABLE %(p)s AS SELECT subject %% 40 AS g, journey_pack(subject, j) AS p FROM %(j)s GROUP BY 1 ORDER BY " % t
          + ("g DESC" if order == "backwards" else "hashint8(subject % 40)" if order == "shuffled" else "g"))
    s.run(("CREATE TABLE %(f)s AS SELECT subject %% 60 AS g, funnel_conversion(j, " + FUNNEL.replace("%", "%%") + ") AS f, stage_velocity(j, "
           + VELOCITY.replace("%", "%%") + ") AS s FROM %(j)s GROUP BY 1 ORDER BY ") % t
          + ("g DESC" if order == "backwards" else "hashint8(subject % 60)" if order == "shuffled" else "g"))
    for table in t.values():
        s.run("ALTER TABLE %s SET (parallel_workers = 4); ANALYZE %s" % (table, table))
s.go()

PARALLEL = ("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; "
            "SET parallel_leader_participation = %s; ")
SETTINGS = []          # (name, settings, workers, method)
for workers in (0, 2, 4):
    for method in ("hash", "sort"):
        for leader in ("on", "off") if workers else ("on",):
            SETTINGS.append(("%d workers%s, %s" % (workers, "" if leader == "on" else " without the leader", method),
                             "SET max_parallel_workers_per_gather = %d; " % workers + PARALLEL % leader
                             + "SET enable_hashagg = %s; SET enable_sort = %s" % (("on", "off") if method == "hash" else ("off", "on")),
                             workers, method))


def judge_plan(lines, workers, method, grouped):
    """What is wrong with a plan, or None."""
    plan = "\n".join(lines)
    if workers == 0:
        if "Gather" in plan:
            return "parallel, and should not be"
    else:
        if "Gather" not in plan or "Partial " not in plan or "Finalize " not in plan:
            return "no partial aggregation under a Gather"
        if "Workers Planned: %d" % workers not in plan:
            return "not planned for %d workers" % workers
        launched = [int(x.split(":")[1]) for x in lines if "Workers Launched" in x]
        if not launched or launched[0] == 0:
            return "no worker was launched"
    if grouped:
        wanted, other = ("HashAggregate", "GroupAggregate")[:: 1 if method == "hash" else -1]
        if wanted not in plan:
            return "no " + wanted
        # the partial half decides how transition states are kept; a hash plan may finish either way
        if workers and "Partial " + wanted not in plan or not workers and other in plan:
            return "not by " + method
    return None


reference, plan_wrong, byte_wrong = {}, [], []
plans, compared = Counter(), Counter()
for name, (query, grouped) in QUERIES.items():
    s, asked = Session(), []
    for setting, sql, workers, method in SETTINGS:
        if method == "sort" and not grouped:
            continue
        for order in ORDERS if workers != 2 else ("shuffled",):
            s.run(sql)
            # the digest of all groups, and the length so that a difference says something
            text = ("SELECT md5(string_agg(k || '=' || coalesce(v, 'NULL'), ';' ORDER BY k)), count(*), sum(length(v)) FROM (%s) q"
                    % (query % tables(order)))
            plan, digest = s.show("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + text), s.query(text)
            asked.append((setting, workers, method, order, plan, digest))
    answers = s.go()
    for setting, workers, method, order, plan, digest in asked:
        lines = [r[0] for r in answers[plan]]
        fault = judge_plan(lines, workers, method, grouped)
        plans[setting] += 1
        if fault:
            plan_wrong.append("%s, %s, %s: %s\n%s" % (name, setting, order, fault, "\n".join(lines)))
        got = answers[digest][0]
        reference.setdefault(name, (got, setting, order))
        compared[name] += 1
        if got != reference[name][0]:
            byte_wrong.append((name, "%s, %s: %r, but %s, %s: %r" % (setting, order, got, *reference[name][1:], reference[name][0])))
for name in QUERIES:
    tap.none([note for n, note in byte_wrong if n == name], "%s: one answer from every plan and order" % name, compared[name])
tap.none(plan_wrong, "EXPLAIN: every plan was parallel, hashed or sorted as it was meant to be", sum(plans.values()))

# the ways to one value agree with each other
SAME = (("funnel", "funnel of packs"), ("funnel", "rollup of funnels"),
        ("velocity", "velocity of packs"), ("velocity", "rollup of velocities"), ("pack of journeys", "rollup of packs"))
for a, b in SAME:
    tap.ok(reference[a][0] == reference[b][0], "%s = %s, to the byte" % (a, b), [reference[a], reference[b]])
# a pack from raw events has no values and no sequence numbers; so it is the pack of such journeys
s = Session()
t = tables("shuffled")
q = s.query("SELECT md5(string_agg('0=' || v, ';')), count(*), sum(length(v)) FROM (SELECT journey_pack(subject, j)::text AS v FROM "
            "(SELECT subject, journey(mark, at) AS j FROM %(e)s GROUP BY subject) x) y" % t)
q_journeys = s.query("SELECT count(*) FROM (SELECT subject, rollup(j)::text AS v FROM %(jp)s GROUP BY subject) x JOIN %(j)s z USING (subject) "
                     "WHERE x.v <> z.j::text" % t)
# random partitions, several times, rolled up by random trees
partitions = []
for k in range(scaled(6)):
    cut = "hashint8(subject * 31 + %d) & %d" % (k, rng.choice((1, 3, 7, 63)))
    cut_events = "hashint4(id * 17 + %d) & %d" % (k, rng.choice((1, 3, 7, 63)))
    partitions.append((
        s.query("SELECT rollup(r)::text = (SELECT funnel_conversion(j, %s)::text FROM %s) FROM (SELECT rollup(f) AS r FROM (SELECT %s AS g, "
                "funnel_conversion(j, %s) AS f FROM %s GROUP BY 1) x GROUP BY g & %d) y" % (FUNNEL, t["j"], cut, FUNNEL, t["j"], k)),
        s.query("SELECT rollup(r)::text = (SELECT stage_velocity(j, %s)::text FROM %s) FROM (SELECT rollup(f) AS r FROM (SELECT %s AS g, "
                "stage_velocity(j, %s) AS f FROM %s GROUP BY 1) x GROUP BY g & %d) y" % (VELOCITY, t["j"], cut, VELOCITY, t["j"], k)),
        s.query("SELECT rollup(r)::text = (SELECT journey_pack(subject, mark, at)::text FROM %s) FROM (SELECT rollup(f) AS r FROM (SELECT %s AS g, "
                "journey_pack(subject, mark, at) AS f FROM %s GROUP BY 1) x GROUP BY g & %d) y" % (t["e"], cut_events, t["e"], k)),
        s.query("SELECT count(*) FROM (SELECT subject, rollup(f)::text AS v FROM (SELECT subject, %s AS g, journey(mark, at, value, seq) AS f "
                "FROM %s GROUP BY 1, 2) x GROUP BY 1) y JOIN %s z USING (subject) WHERE y.v <> z.j::text" % (cut_events, t["e"], t["j"]))))
answers = s.go()
tap.ok(answers[q][0] == reference["pack from events"][0], "pack from events = pack of journeys folded from them",
       [answers[q][0], reference["pack from events"]])
tap.ok(answers[q_journeys] == [["0"]], "rollup of partial journeys = journeys, to the byte", answers[q_journeys])
for i, (name, good) in enumerate((("funnel_conversion", [["t"]]), ("stage_velocity", [["t"]]), ("journey_pack", [["t"]]), ("journey", [["0"]]))):
    tap.none([str(answers[p[i]]) for p in partitions if answers[p[i]] != good], "%s: random partitions, rolled up" % name, len(partitions))

# grouping sets change the aggregate's context between calls; a window frame calls the final function again and again
s = Session()
j = t["j"]
q_sets = s.query("SELECT count(*) FROM (SELECT subject % 3 AS a, subject % 4 AS b, funnel_conversion(j, FUNNEL)::text AS v, "
                 "stage_velocity(j, VELOCITY)::text AS w, journey_pack(subject, j)::text AS p FROM T GROUP BY GROUPING SETS ((1), (2), ())) x "
                 "WHERE v <> (SELECT funnel_conversion(j, FUNNEL)::text FROM T WHERE (x.a IS NULL OR subject % 3 = x.a) AND (x.b IS NULL OR subject % 4 = x.b)) "
                 "OR w <> (SELECT stage_velocity(j, VELOCITY)::text FROM T WHERE (x.a IS NULL OR subject % 3 = x.a) AND (x.b IS NULL OR subject % 4 = x.b)) "
                 "OR p <> (SELECT journey_pack(subject, j)::text FROM T WHERE (x.a IS NULL OR subject % 3 = x.a) AND (x.b IS NULL OR subject % 4 = x.b))"
                 .replace("FUNNEL", FUNNEL).replace("VELOCITY", VELOCITY).replace("FROM T", "FROM " + j))
q_window = s.query("SELECT count(*) FROM (SELECT subject, (funnel_conversion(j, FUNNEL) OVER w)::text AS v, "
                   "(stage_velocity(j, VELOCITY) OVER w)::text AS s, (journey_pack(subject, j) OVER w)::text AS p "
                   "FROM (SELECT * FROM T WHERE subject < 60) a WINDOW w AS (ORDER BY subject)) x "
                   "WHERE v <> (SELECT funnel_conversion(j, FUNNEL)::text FROM T y WHERE y.subject <= x.subject) "
                   "OR s <> (SELECT stage_velocity(j, VELOCITY)::text FROM T y WHERE y.subject <= x.subject) "
                   "OR p <> (SELECT journey_pack(subject, j)::text FROM T y WHERE y.subject <= x.subject)"
                   .replace("FUNNEL", FUNNEL).replace("VELOCITY", VELOCITY).replace("FROM T", "FROM " + j))
answers = s.go()
tap.ok(answers[q_sets] == [["0"]], "grouping sets: each set is the aggregate of its rows", answers[q_sets])
tap.ok(answers[q_window] == [["0"]], "running windows: each frame is the aggregate of its rows", answers[q_window])

s = Session()
s.run("DROP SCHEMA %s CASCADE" % SCHEMA)
s.go()
tap.done()
