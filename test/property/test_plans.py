#!/usr/bin/env python3
"""The same answer, to the byte, whatever the plan: every aggregate of the extension over the same rows, serial and with
2 and 4 workers, hashed and sorted, spilled, compiled, over partitioned tables, over states kept in materialized views,
in any physical order, as a window, behind a cursor, prepared.  EXPLAIN is asked whether each plan was what it should
be, so a test cannot pass by accident.

One answer is the text and the binary form of all groups; a value whose stored bytes are not those of its text counts as
another answer, so the bytes are compared as well.
"""
import os
import random
import re
from collections import Counter, defaultdict

import common
import journeys
from common import HOUR, Session, scaled, sql_array, sql_lifecycle, sql_timestamp

rng = random.Random(common.SEED)
tap = common.Tap()
SCHEMA = "revacct_plans_%d" % os.getpid()
# (never fewer: for few rows the planner would not do what is asked of it)
SUBJECTS, BUSY = max(900, scaled(900)), max(100, scaled(100))

# ---- what is measured ---------------------------------------------------------------------------------------------

# one world for the funnel; one for velocity and SLAs, in which hours and days are told apart and stages are visited again
while True:
    funnel = common.World(rng, "funnel")
    if funnel.life.steps >= 3 and funnel.life.won:
        break
while True:
    velocity = common.World(rng, "velocity")
    ids = sorted({i for s in velocity.life.marks[1:] for i in s})
    steps = [sorted(s) for s in velocity.life.marks[1:velocity.life.steps + 1]]
    if velocity.unit >= HOUR and velocity.life.steps >= 3 and len(ids) >= 5 and velocity.life.visits == "all" and not velocity.life.given.get("entry_range"):
        break
OFFICE = "business_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}')"
roles = dict(zip("abcde", rng.sample(ids, 5)), f=500)
ONE_POLICY = ("sla('s', start => '{a}', stop => '{d}', pause => '{b}', resume => '{c}', segment => '{e}', cancel => '{f}', reopen => 'restart', "
              "phases => '{x until b, y}', marks => %s, target => %%s)" % sql_array(["%s=%d" % r for r in roles.items()]))
TARGET = "interval '%d hours'" % (velocity.unit * velocity.spread // 4 // HOUR + 1)
SINCE = velocity.as_of - velocity.unit * (velocity.spread // 3)
# type of the definition, definition, time
FUNNEL = ("lifecycle", sql_lifecycle(funnel.life), sql_timestamp(funnel.as_of))
VELOCITY = ("lifecycle", sql_lifecycle(velocity.life), sql_timestamp(velocity.as_of))
BUSINESS = ("lifecycle", VELOCITY[1][:-1] + ", calendar => %s)" % OFFICE, VELOCITY[2])
BREACH = ("sla", "sla(ARRAY[%s, %s])" % (ONE_POLICY % TARGET, ONE_POLICY % (TARGET + " / 3, calendar => %s, segments => '{1}'" % OFFICE)), VELOCITY[2])


class Aggregate:
    """A way to call an aggregate: which one, the table of its rows, the call ({d}, {t}: definition and time), its type."""

    def __init__(self, title, signature, table, type_, call, definition=None):
        self.title, self.signature, self.table, self.type, self.call, self.definition = title, signature, table, type_, call, definition

    def called(self, parameters=False):
        """The call, with the definition written out or as parameters of a prepared statement."""
        if not self.definition:
            return self.call
        return self.call.format(d="$2" if parameters else self.definition[1], t="$3" if parameters else self.definition[2])


AT = "timestamp with time zone"
AGGREGATES = [
    Aggregate("journey", "journey(integer,%s)" % AT, "e", "journey", "journey(mark, at)"),
    Aggregate("journey with values", "journey(integer,%s,bigint)" % AT, "e", "journey", "journey(mark, at, value)"),
    Aggregate("journey with values and numbers", "journey(integer,%s,bigint,bigint)" % AT, "e", "journey", "journey(mark, at, value, seq)"),
    Aggregate("rollup of journeys", "rollup(journey)", "jp", "journey", "rollup(j)"),
    Aggregate("pack of journeys", "journey_pack(bigint,journey)", "jp", "journey_pack", "journey_pack(subject, j)"),
    Aggregate("pack of journeys under texts", "journey_pack(text,journey)", "jp", "journey_pack", "journey_pack('s ' || subject, j)"),
    Aggregate("pack of events", "journey_pack(bigint,integer,%s)" % AT, "e", "journey_pack", "journey_pack(subject, mark, at)"),
    Aggregate("rollup of packs", "rollup(journey_pack)", "p", "journey_pack", "rollup(p)"),
    Aggregate("funnel", "funnel_conversion(journey,lifecycle,%s)" % AT, "j", "funnel_summary", "funnel_conversion(j, {d}, {t})", FUNNEL),
    Aggregate("funnel with amounts", "funnel_conversion(journey,lifecycle,%s,numeric)" % AT, "j", "funnel_summary",
              "funnel_conversion(j, {d}, {t}, amount)", FUNNEL),
    Aggregate("funnel of packs", "funnel_conversion(journey_pack,lifecycle,%s)" % AT, "p", "funnel_summary", "funnel_conversion(p, {d}, {t})", FUNNEL),
    Aggregate("rollup of funnels", "rollup(funnel_summary)", "s", "funnel_summary", "rollup(f)"),
    Aggregate("velocity", "stage_velocity(journey,lifecycle,%s)" % AT, "j", "velocity_summary", "stage_velocity(j, {d}, {t})", VELOCITY),
    Aggregate("velocity since", "stage_velocity(journey,lifecycle,%s,%s)" % (AT, AT), "j", "velocity_summary",
              "stage_velocity(j, {d}, {t}, %s)" % sql_timestamp(SINCE), VELOCITY),
    Aggregate("velocity of packs", "stage_velocity(journey_pack,lifecycle,%s)" % AT, "p", "velocity_summary", "stage_velocity(p, {d}, {t})", VELOCITY),
    Aggregate("velocity of packs since", "stage_velocity(journey_pack,lifecycle,%s,%s)" % (AT, AT), "p", "velocity_summary",
              "stage_velocity(p, {d}, {t}, %s)" % sql_timestamp(SINCE), VELOCITY),
    Aggregate("velocity by business time", "stage_velocity(journey,lifecycle,%s)" % AT, "j", "velocity_summary", "stage_velocity(j, {d}, {t})", BUSINESS),
    Aggregate("velocity of packs by business time", "stage_velocity(journey_pack,lifecycle,%s)" % AT, "p", "velocity_summary",
              "stage_velocity(p, {d}, {t})", BUSINESS),
    Aggregate("rollup of velocities", "rollup(velocity_summary)", "s", "velocity_summary", "rollup(v)"),
    Aggregate("rollup of velocities by business time", "rollup(velocity_summary)", "s", "velocity_summary", "rollup(bv)"),
    Aggregate("breaches", "sla_breach(journey,sla,%s)" % AT, "j", "breach_summary", "sla_breach(j, {d}, {t})", BREACH),
    Aggregate("breaches of packs", "sla_breach(journey_pack,sla,%s)" % AT, "p", "breach_summary", "sla_breach(p, {d}, {t})", BREACH),
    Aggregate("rollup of breaches", "rollup(breach_summary)", "s", "breach_summary", "rollup(b)"),
]
# What must be one value, however it was come by; all of it over the same subjects.
SAME = (("funnel", "funnel of packs", "rollup of funnels"), ("velocity", "velocity of packs", "rollup of velocities"),
        ("velocity since", "velocity of packs since"), ("breaches", "breaches of packs", "rollup of breaches"),
        ("velocity by business time", "velocity of packs by business time", "rollup of velocities by business time"),
        ("journey with values and numbers", "rollup of journeys"), ("pack of journeys", "rollup of packs"))

# ---- the same rows in tables of every kind ------------------------------------------------------------------------

# Each table has a number for each row, and two keys: g has few groups, h has so many that small memory does not hold
# their states; the planner is told that these are few, too, so that it plans for both alike.  e: events, some twice. jp: partial journeys. j: journeys. p: packs. s: summaries.
ORDERS = {"as made": "id", "by subject": "h, id", "shuffled": "hashint4(id)", "backwards": "id DESC"}
PARTITIONED = "partitioned"
PARTITIONS = 4
TABLES = ("e", "jp", "j", "p", "s")
PARTS = 480


def table(name, kind):
    return "%s.%s_%s" % (SCHEMA, name, kind.replace(" ", "_"))


def events():
    for k in range(SUBJECTS):
        for m in (velocity if k % 2 else funnel).history():
            yield k, m
    # many visits of lengths that no two have in common: more durations than are kept one by one
    for k in range(SUBJECTS, SUBJECTS + BUSY):
        for _ in range(130):
            at = velocity.start + rng.randrange(velocity.as_of - velocity.start)
            yield k, journeys.Mark(at, rng.choice(rng.choice(steps[:2])), None, None)


def make_tables():
    rows = [(k, rng.randrange(16), m) for k, m in events()]
    rows += rng.sample(rows, len(rows) // 20)
    tap.note("%d subjects, %d events" % (SUBJECTS + BUSY, len(rows)))
    s = Session()
    s.run("DROP SCHEMA IF EXISTS %s CASCADE; CREATE SCHEMA %s" % (SCHEMA, SCHEMA))
    s.run("CREATE FUNCTION %s.backend() RETURNS int STABLE PARALLEL SAFE LANGUAGE plpgsql AS 'BEGIN RETURN pg_backend_pid(); END'" % SCHEMA)
    few = "ALTER COLUMN h SET (n_distinct = 8, n_distinct_inherited = 8)"
    s.run("CREATE TEMP TABLE raw (id int, subject bigint, part int, mark int, at timestamptz, value bigint, seq bigint)")
    s.load("raw", ((i, k, part, m.mark, journeys.sql_time(m.at), m.value, m.seq) for i, (k, part, m) in enumerate(rows)))
    makers = {
        "e": "SELECT id, subject %% 5 AS g, subject AS h, subject, part, mark, at, value, seq FROM raw",
        "jp": "SELECT row_number() OVER (ORDER BY part, subject)::int AS id, subject %% 5 AS g, subject AS h, subject, journey(mark, at, value, seq) AS j "
              "FROM raw GROUP BY subject, part",
        "j": "SELECT (subject * 7919 %% 1000003)::int AS id, subject %% 5 AS g, subject %% 240 AS h, subject, journey(mark, at, value, seq) AS j, "
             "(subject * 7919 %% 100003)::numeric / 100 AS amount FROM raw GROUP BY subject",
        "p": "SELECT (subject %% {n})::int AS id, subject %% 5 AS g, subject %% 240 AS h, journey_pack(subject, j) AS p FROM {j} GROUP BY 1, 2, 3",
        "s": "SELECT (subject %% {n})::int AS id, subject %% 5 AS g, subject %% 240 AS h, funnel_conversion(j, {f[1]}, {f[2]}) AS f, "
             "stage_velocity(j, {v[1]}, {v[2]}) AS v, stage_velocity(j, {w[1]}, {w[2]}) AS bv, sla_breach(j, {b[1]}, {b[2]}) AS b "
             "FROM {j} GROUP BY 1, 2, 3"}
    for name in TABLES:
        first = table(name, "as made")
        for kind, by in ORDERS.items():
            source = makers[name].replace("%%", "%").format(n=PARTS, j=table("j", "as made"), f=FUNNEL, v=VELOCITY, w=BUSINESS, b=BREACH)
            s.run("CREATE TABLE %s AS SELECT * FROM (%s) q ORDER BY %s" % (table(name, kind), source if kind == "as made" else "TABLE " + first, by))
        whole = table(name, PARTITIONED)
        s.run("CREATE TABLE %s (LIKE %s) PARTITION BY HASH (h)" % (whole, first))
        for i in range(PARTITIONS):
            s.run("CREATE TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS %d, REMAINDER %d) WITH (parallel_workers = 2)" % (whole, i, whole, PARTITIONS, i))
            s.run("ALTER TABLE %s_%d %s" % (whole, i, few))
        s.run("INSERT INTO {0} SELECT * FROM {1}; ALTER TABLE {0} {2}; ANALYZE {0}".format(whole, table(name, "shuffled"), few))
        for kind in ORDERS:
            s.run("ALTER TABLE {0} SET (parallel_workers = 4), {1}; ANALYZE {0}".format(table(name, kind), few))
    s.go()


# ---- ways to run a query ------------------------------------------------------------------------------------------

s = Session()
s.run("SET jit = on")
q_version, q_jit = s.query("SELECT current_setting('server_version_num')"), s.query("SELECT pg_jit_available()")
q_aggregates = s.query("SELECT a.aggfnoid::regprocedure FROM pg_aggregate a JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = a.aggfnoid "
                       "JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass WHERE e.extname = 'revacct' AND d.deptype = 'e'")
answers = s.go()
DEBUG_PARALLEL = "debug_parallel_query" if int(answers[q_version][0][0]) >= 160000 else "force_parallel_mode"
have_jit = answers[q_jit] == [["t"]]
extension_aggregates = {r[0] for r in answers[q_aggregates]}

DEFAULTS = {"max_parallel_workers": 8, "max_parallel_workers_per_gather": 0, "parallel_setup_cost": 0, "parallel_tuple_cost": 0, "min_parallel_table_scan_size": 0,
            "parallel_leader_participation": "on", "enable_hashagg": "on", "enable_sort": "on",
            "work_mem": "'1GB'", "hash_mem_multiplier": 1, "cpu_tuple_cost": 0.01,
            "enable_partitionwise_aggregate": "off", "jit": "off", "jit_above_cost": 0, "jit_inline_above_cost": 0, "jit_optimize_above_cost": 0,
            "plan_cache_mode": "auto", DEBUG_PARALLEL: "off"}
HASH = {"enable_sort": "off"}
SORT = {"enable_hashagg": "off"}


def workers(n, leader="on"):
    return {"max_parallel_workers_per_gather": n, "parallel_leader_participation": leader}


def settings(*changes):
    merged = dict(DEFAULTS)
    for change in changes:
        merged.update(change)
    return "; ".join("SET %s = %s" % item for item in merged.items())


def explain(query, analyze=True):
    return "EXPLAIN (%sVERBOSE OFF) %s" % ("ANALYZE, BUFFERS OFF, TIMING OFF, " if analyze else "COSTS OFF, ", query)


def grouped(aggregate, kind, key, parameters=False, where=""):
    return "SELECT %s AS k, %s AS v FROM %s%s%s" % (key or "0", aggregate.called(parameters), table(aggregate.table, kind), where,
                                                    " GROUP BY " + key if key else "")


def fingerprint(aggregate):
    """Of rows (k, v), as an aggregate: their texts and bytes, how many, and whether all are stored as their texts would be."""
    return ("concat_ws(' ', md5(string_agg(concat(k, '=', v, encode(%s_send(v), 'hex')), ';' ORDER BY k)), count(v), sum(length(v::text)), "
            "bool_and(record_image_eq(ROW(v), ROW(v::text::%s))))" % (aggregate.type, aggregate.type))


def digest(aggregate, query):
    return "SELECT %s, %s.backend() FROM (%s) q" % (fingerprint(aggregate), SCHEMA, query)


def squeezed(s, name, query, *changes):
    """Prepares a query with memory enough, and leaves little: what EXECUTE runs then is the plan that was made."""
    s.run("PREPARE %s AS %s" % (name, query))
    s.run(settings(*changes, {"plan_cache_mode": "force_generic_plan"}))
    s.show("EXPLAIN EXECUTE " + name)
    s.run(settings(*changes, {"plan_cache_mode": "force_generic_plan"}, SMALL))
    return "EXECUTE " + name


class Way:
    """A way to run a query: settings, for which keys and on which kinds of tables, and what EXPLAIN must say."""

    def __init__(self, name, changes, judge, keys=(None, "g"), kinds=("shuffled",), elsewhere=False, little_memory=False):
        self.name, self.changes, self.judge, self.keys, self.kinds = name, changes, judge, keys, kinds
        self.elsewhere, self.little_memory = elsewhere, little_memory


def all_of(*judges):
    return lambda plan, key: next((fault for fault in (judge(plan, key) for judge in judges) if fault), None)


def says(*words):
    return lambda plan, key: next(("no '%s'" % w for w in words if w not in plan), None)


def lacks(*words):
    return lambda plan, key: next(("'%s', which should not be" % w for w in words if w in plan), None)


def serial(plan, key):
    return "parallel" if "Gather" in plan else None


# Sessions of this test take workers from each other now and then; most plans must have had as many as they were planned for.
gathered, all_launched = Counter(), Counter()


def in_parallel(n):
    def judge(plan, key):
        if "Gather" not in plan or "Partial " not in plan or "Finalize " not in plan:
            return "no partial aggregation under a Gather"
        if "Workers Planned: %d" % n not in plan:
            return "not planned for %d workers" % n
        launched = re.search(r"Workers Launched: (\d+)", plan)
        all_launched[n] += launched is not None and int(launched[1]) == n
        gathered[n] += 1
        return None if launched and int(launched[1]) else "no worker was launched"
    return judge


def by(method):
    """The partial half of a plan decides how transition states are kept; a hash plan may finish either way."""
    wanted, other = ("HashAggregate", "GroupAggregate")[::1 if method == "hash" else -1]

    def judge(plan, key):
        if key is None:
            return None
        if "Partial " in plan:
            return None if "Partial " + wanted in plan else "partial aggregation not by " + method
        return None if wanted in plan and other not in plan else "not by " + method
    return judge


def partitionwise(plan, key):
    """Groups of the partition key are finished in each partition, others in part."""
    if "Append" not in plan:
        return "no Append"
    partial = len(re.findall(r"Partial (Hash|Group)?Aggregate", plan))
    finished = len(re.findall(r"-> +(HashAggregate|GroupAggregate)", plan))
    if key == "h":
        return None if (partial, finished) == (0, PARTITIONS) or partial == PARTITIONS else "not finished in each partition"
    return None if partial == PARTITIONS and "Finalize " in plan else "no partial aggregation in each partition"


WAYS = []
for n in (0, 2, 4):
    for leader in ("on", "off") if n else ("on",):
        for method, changes in (("hash", HASH), ("sort", SORT)):
            WAYS.append(Way("%d workers%s, %s" % (n, "" if leader == "on" else " without the leader", method), (workers(n, leader), changes),
                            all_of(in_parallel(n) if n else serial, by(method)), (None, "g") if method == "hash" else ("g",),
                            tuple(ORDERS) if n == 0 else ("backwards", "by subject") if n == 4 and leader == "on" else ("shuffled",)))
# (planned with memory enough and run with little, or the planner would see to it that nothing is spilled)
SMALL = {"work_mem": "'64kB'"}
WAYS += [Way("many groups", (HASH,), all_of(serial, by("hash")), ("h",)),
         Way("many groups, sorted", (SORT,), all_of(serial, by("sort")), ("h",)),
         Way("spilled", (HASH,), all_of(serial, by("hash"), says("Disk Usage")), ("h",), little_memory=True),
         Way("spilled by 2 workers", (HASH, workers(2)), all_of(in_parallel(2), by("hash"), says("Disk Usage")), ("h",), little_memory=True),
         Way("sorted on disk", (SORT,), all_of(serial, by("sort"), says("external merge")), ("h",), little_memory=True)]
# (rows that are dear to append)
PARTITIONWISE = {"enable_partitionwise_aggregate": "on", "cpu_tuple_cost": 1}
ALL_KEYS, WHOLE = (None, "g", "h"), (PARTITIONED,)
WAYS += [Way("partitioned", (HASH,), all_of(serial, says("Append"), lacks("Partial")), ALL_KEYS, WHOLE),
         Way("partitionwise", (HASH, PARTITIONWISE), all_of(serial, partitionwise), ALL_KEYS, WHOLE),
         Way("partitionwise, sorted", (SORT, PARTITIONWISE), all_of(serial, partitionwise), ("g", "h"), WHOLE),
         Way("parallel append", (HASH, workers(2)), all_of(in_parallel(2), says("Parallel Append")), ALL_KEYS, WHOLE),
         Way("parallel append, partitionwise", (HASH, PARTITIONWISE, workers(2)), all_of(says("Append", "Gather"), partitionwise), ALL_KEYS, WHOLE)]
FAR = {"parallel_setup_cost": 1e9}
WAYS += [Way("in a worker", (HASH, FAR, workers(2), {DEBUG_PARALLEL: "on"}), says("Single Copy: true", "Workers Launched: 1"), elsewhere=True),
         # such a Gather is not shown
         Way("in a worker, unseen", (HASH, FAR, workers(2), {DEBUG_PARALLEL: "regress"}), lacks("Gather"), elsewhere=True)]
if have_jit:
    compiled = says("JIT:", "Inlining true, Optimization true")
    WAYS += [Way("compiled", (HASH, {"jit": "on"}), all_of(serial, compiled), ("g",)),
             Way("compiled by 2 workers", (HASH, {"jit": "on"}, workers(2)), all_of(in_parallel(2), compiled), (None,))]

reference = {}                      # (aggregate, key): the answer of the first way
plan_wrong, byte_wrong = defaultdict(list), defaultdict(list)
plans, compared = Counter(), Counter()


def compare(aggregate, key, got, where):
    compared[aggregate.title] += 1
    first = reference.setdefault((aggregate.title, key), (got, where))
    if got != first[0]:
        byte_wrong[aggregate.title].append("%s, by %s: %r, but %s: %r" % (where, key, got, first[1], first[0]))


def judge(way, aggregate, where, fault, plan):
    plans[way] += 1
    if fault:
        plan_wrong[way].append("%s, %s: %s\n%s" % (aggregate.title, where, fault, plan))


def run_ways(aggregate):
    s, asked = Session(), []
    for way in WAYS:
        s.run(settings(*way.changes))
        q_here = s.query("SELECT pg_backend_pid()")
        for key in way.keys:
            for kind in way.kinds:
                query = digest(aggregate, grouped(aggregate, kind, key))
                if way.little_memory:
                    query = squeezed(s, "way_%d" % WAYS.index(way), "SELECT %s FROM (%s) q" % (fingerprint(aggregate), grouped(aggregate, kind, key)), *way.changes)
                    asked.append((way, key, kind, s.show(explain(query)), s.show(query), q_here))
                else:
                    asked.append((way, key, kind, s.show(explain(query)), s.query(query), q_here))
    answers = s.go()
    for way, key, kind, q_plan, q_digest, q_here in asked:
        plan = "\n".join(r[0] for r in answers[q_plan])
        got, *backend = answers[q_digest][0]
        fault = way.judge(plan, key)
        if way.elsewhere and [backend] == answers[q_here]:
            fault = fault or "not run by a worker"
        judge(way.name, aggregate, "%s by %s" % (kind, key), fault, plan)
        compare(aggregate, key, got, "%s, %s" % (way.name, kind))


# ---- grouping sets, prepared statements, kept states, cursors, windows ----------------------------------------------

def run_sets(aggregate):
    """Grouping sets change the aggregate's context between calls. Each set is the aggregate by its key."""
    s, asked = Session(), []
    query = ("SELECT s, %s FROM (SELECT grouping(g, h) AS s, coalesce(h, g, 0) AS k, %s AS v FROM %s GROUP BY GROUPING SETS ((g), (h), ())) q "
             "GROUP BY s ORDER BY s" % (fingerprint(aggregate), aggregate.called(), table(aggregate.table, "shuffled")))
    s.run(settings(HASH))
    asked.append(("mixed", says("MixedAggregate", "Hash Key: "), s.show(explain(query)), s.query(query)))
    execute = squeezed(s, "spilled", query, HASH)
    asked.append(("mixed and spilled", says("MixedAggregate", "Hash Key: ", "Disk Usage"), s.show(explain(execute)), s.show(execute)))
    s.run(settings(SORT))
    asked.append(("sorted", all_of(says("GroupAggregate", "Sort Key: "), lacks("Hash Key")), s.show(explain(query)), s.query(query)))
    answers = s.go()
    for name, want, q_plan, q in asked:
        plan = "\n".join(r[0] for r in answers[q_plan])
        judge("grouping sets, " + name, aggregate, "", want(plan, None), plan)
        # (psql shows the columns of EXECUTE with bars between them)
        got = dict(r if len(r) > 1 else r[0].split("|") for r in answers[q])
        for key, number in (("g", "1"), ("h", "2"), (None, "3")):
            compare(aggregate, key, got.get(number), "grouping sets, " + name)


def run_prepared(aggregate):
    """The definition as a parameter: known when a custom plan is made, and not when a generic one is."""
    s, asked = Session(), []
    kind_of, definition, as_of = aggregate.definition or (None, None, None)
    types = "int" + (", %s, timestamptz" % kind_of if kind_of else "")
    values = "0" + (", %s, %s" % (definition, as_of) if kind_of else "")
    for key in (None, "g"):
        query = "SELECT %s FROM (%s) q" % (fingerprint(aggregate), grouped(aggregate, "shuffled", key, True, " WHERE g >= $1"))
        s.run("PREPARE p_%s (%s) AS %s" % (key or "all", types, query))
        execute = "EXECUTE p_%s (%s)" % (key or "all", values)
        for mode in ("force_generic_plan", "force_custom_plan"):
            for n in (0, 2):
                s.run("DISCARD PLANS; " + settings(HASH, workers(n), {"plan_cache_mode": mode}))
                asked.append(("prepared, " + mode, key, n, s.show("EXPLAIN (VERBOSE, COSTS OFF) " + execute), [s.show(execute) for _ in range(2)]))
    answers = s.go()
    for name, key, n, q_plan, results in asked:
        plan = "\n".join(r[0] for r in answers[q_plan])
        parameters = set(re.findall(r"\$(\d)", plan))
        want = set() if "custom" in name else {"1", "2", "3"} if kind_of else {"1"}
        # (a constant array of many SLAs is no parameter; the filter always has one)
        judge(name, aggregate, "%d workers by %s" % (n, key), None if parameters == want and ("Gather" in plan) == (n > 0) else "parameters %s" % parameters, plan)
        for q in results:
            compare(aggregate, key, answers[q][0][0], "%s with %d workers" % (name, n))


def run_kept(aggregate):
    """Parts in a materialized view, rolled up; parts of those in another one, rolled up again; read in any plan."""
    s, asked = Session(), []
    view = SCHEMA + ".kept"
    s.run(settings(HASH, workers(2)))
    s.run("CREATE MATERIALIZED VIEW %s_1 AS SELECT g, h, hashint4(id) & 7 AS part, %s AS v FROM %s GROUP BY 1, 2, 3 WITH NO DATA" % (
        view, aggregate.called(), table(aggregate.table, "shuffled")))
    s.run("CREATE MATERIALIZED VIEW {0}_2 AS SELECT g, h, part & 1 AS part, rollup(v) AS v FROM {0}_1 GROUP BY 1, 2, 3 WITH NO DATA".format(view))
    for level in (1, 2):
        s.run("ALTER MATERIALIZED VIEW {0}_{1} SET (parallel_workers = 2), ALTER COLUMN h SET (n_distinct = 8); "
              "REFRESH MATERIALIZED VIEW {0}_{1}; ANALYZE {0}_{1}".format(view, level))
    for level in (1, 2):
        for n in (0, 2):
            s.run(settings(HASH, workers(n)))
            for key in ALL_KEYS:
                query = "SELECT %s FROM (SELECT %s AS k, rollup(v) AS v FROM %s_%d%s) q" % (
                    fingerprint(aggregate), key or "0", view, level, " GROUP BY " + key if key else "")
                asked.append((level, n, key, s.show(explain(query)), s.query(query)))
    s.run("DROP MATERIALIZED VIEW %s_1 CASCADE" % view)
    answers = s.go()
    for level, n, key, q_plan, q in asked:
        plan = "\n".join(r[0] for r in answers[q_plan])
        judge("kept states", aggregate, "level %d by %s" % (level, key), (in_parallel(n) if n else serial)(plan, key), plan)
        compare(aggregate, key, answers[q][0][0], "kept in a view of level %d, %d workers" % (level, n))


def run_cursors(aggregate):
    """Two cursors on one query take turns, one goes back and forth; one outlives its transaction."""
    s, asked = Session(), []
    for method, changes in (("hash", HASH), ("sort", SORT)):
        query = "SELECT concat(k, '=', md5(concat(v, encode(%s_send(v), 'hex')))) FROM (%s) q" % (
            aggregate.type, grouped(aggregate, "shuffled", "g"))
        s.run(settings(changes))
        plain = s.query(query)
        s.run("BEGIN; DECLARE a CURSOR FOR {0}; DECLARE b SCROLL CURSOR FOR {0}; DECLARE c CURSOR WITH HOLD FOR {0}".format(query))
        first, second = [], []
        for step in (2, 1, 2):
            first.append(s.show("FETCH %d FROM a" % step))
            second.append(s.show("FETCH %d FROM b" % step))
        s.run("MOVE ABSOLUTE 0 FROM b")
        again = s.show("FETCH ALL FROM b")
        q_plan = s.show(explain("DECLARE d CURSOR FOR " + query, False))
        s.run("COMMIT")
        held = s.show("FETCH ALL FROM c")
        s.run("CLOSE c")
        asked.append((method, plain, (("a", first), ("b", second), ("b again", [again]), ("c", [held])), q_plan))
    answers = s.go()
    for method, plain, cursors, q_plan in asked:
        plan = "\n".join(r[0] for r in answers[q_plan])
        judge("cursors", aggregate, method, all_of(serial, by(method))(plan, "g"), plan)
        for name, parts in cursors:
            compared[aggregate.title] += 1
            got = [row for q in parts for row in answers[q]]
            if sorted(got) != sorted(answers[plain]) or not got:
                byte_wrong[aggregate.title].append("cursor %s, %s: %r, not %r" % (name, method, got, answers[plain]))


FRAMES = (("ROWS UNBOUNDED PRECEDING", "y.n <= x.n"),
          ("ROWS BETWEEN 5 PRECEDING AND 2 FOLLOWING", "y.n BETWEEN x.n - 5 AND x.n + 2"),
          ("ROWS BETWEEN CURRENT ROW AND 4 FOLLOWING EXCLUDE CURRENT ROW", "y.n BETWEEN x.n + 1 AND x.n + 4"))


def run_windows(aggregate):
    """A running frame calls the final function again and again on a state that goes on; a moving one starts anew."""
    s, asked = Session(), []
    s.run(settings())
    # numbered in a table: PostgreSQL 15 stops a window too early when a correlated query is run again
    s.run("CREATE TEMP TABLE few AS SELECT row_number() OVER (ORDER BY id) AS n, * FROM %s" % table(aggregate.table, "as made"))
    s.run("DELETE FROM few WHERE n > 40; ANALYZE few")
    for frame, rows in FRAMES:
        window = "SELECT n, %s OVER (ORDER BY n %s) AS v FROM few" % (aggregate.called(), frame)
        asked.append((frame, s.show(explain(window, False)), s.query(
            "SELECT count(*), count(*) FILTER (WHERE concat(x.v, {0}_send(x.v)) IS DISTINCT FROM concat(z.v, {0}_send(z.v)) "
            "OR NOT record_image_eq(ROW(x.v), ROW(z.v))) FROM ({1}) x, LATERAL (SELECT {2} AS v FROM few y WHERE {3}) z".format(aggregate.type, window, aggregate.called(), rows))))
    answers = s.go()
    for frame, q_plan, q in asked:
        plan = "\n".join(r[0] for r in answers[q_plan])
        judge("windows", aggregate, frame, says("WindowAgg")(plan, None), plan)
        compared[aggregate.title] += 1
        if answers[q] != [["40", "0"]]:
            byte_wrong[aggregate.title].append("%s: %r of its frames differ" % (frame, answers[q]))


def random_partitions():
    """Any tree over any partition of the rows, for a value made in one go."""
    s, asked = Session(), []
    s.run(settings())
    for aggregate in AGGREGATES:
        for k in range(scaled(3)):
            cut = "hashint4(id * 31 + %d) & %d" % (k, rng.choice((1, 3, 7, 63)))
            query = "SELECT 0 AS k, rollup(v) AS v FROM (SELECT rollup(v) AS v FROM (SELECT %s AS c, %s AS v FROM %s GROUP BY 1) x GROUP BY c & %d) y" % (
                cut, aggregate.called(), table(aggregate.table, rng.choice(tuple(ORDERS))), k + 1)
            asked.append((aggregate, cut, s.query("SELECT %s FROM (%s) q" % (fingerprint(aggregate), query))))
    answers = s.go()
    for aggregate, cut, q in asked:
        compare(aggregate, None, answers[q][0][0], "parts by %s, rolled up twice" % cut)


make_tables()
for aggregate in AGGREGATES:
    for run in (run_ways, run_sets, run_prepared, run_kept, run_cursors, run_windows):
        run(aggregate)
random_partitions()

untested = extension_aggregates ^ {a.signature for a in AGGREGATES}
tap.none(sorted(untested), "every aggregate of the extension is here", len(extension_aggregates))
for aggregate in AGGREGATES:
    tap.none(byte_wrong[aggregate.title], "%s: one answer from every plan" % aggregate.title, compared[aggregate.title])
for way in plans:
    tap.none(plan_wrong[way], "EXPLAIN, %s: every plan was what it was meant to be" % way, plans[way])
for n in sorted(gathered):
    tap.ok(2 * all_launched[n] > gathered[n], "most plans for %d workers had them all" % n, "%d of %d" % (all_launched[n], gathered[n]))
if not have_jit:
    tap.skip("compiled expressions give the same answers", "this server has no JIT provider")
empty = ["%s by %s: %s" % (*which, answer) for which, (answer, _) in reference.items() if not re.fullmatch(r"[0-9a-f]{32} [1-9]\d* [1-9]\d* t", answer)]
tap.none(empty, "no answer is empty, and all values are stored as their texts would be", len(reference))
for titles in SAME:
    answers = {t: reference[t, None][0] for t in titles}
    tap.ok(len(set(answers.values())) == 1, " = ".join(titles) + ", to the byte", [answers])

s = Session()
q_form = s.query("SELECT count(*) FILTER (WHERE relative_error > 0), count(*) FILTER (WHERE relative_error = 0) FROM (SELECT g, x.* FROM "
                 "(SELECT h, NULL::bigint AS g, v FROM {0} UNION ALL SELECT NULL, 0, rollup(v) FROM {0}) t, stages(v) x) y".format(table("s", "as made")))
# a pack of events has no values and no sequence numbers; so it is the pack of such journeys
pack = next(a for a in AGGREGATES if a.title == "pack of events")
q_pack = s.query("SELECT %s FROM (SELECT 0 AS k, journey_pack(subject, j) AS v FROM (SELECT subject, journey(mark, at) AS j FROM %s GROUP BY subject) a) q"
                 % (fingerprint(pack), table("e", "shuffled")))
s.run("DROP SCHEMA %s CASCADE" % SCHEMA)
answers = s.go()
tap.ok(answers[q_pack][0][0] == reference["pack of events", None][0], "pack of events = pack of journeys made of them", [answers[q_pack]])
tap.ok("0" not in answers[q_form][0], "durations kept one by one and durations kept in bins are among them", [answers[q_form]])
tap.done()
