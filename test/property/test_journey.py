#!/usr/bin/env python3
"""Random marks, folded by PostgreSQL in random order, against journeys.py: the value, its text and binary forms,
rollup in any partition, the operators, the accessors."""
import os
import random

import common
import journeys
from common import Session, micros, scaled, sql_lifecycle, sql_timestamp, time_of, whole
from journeys import DAY, SECOND, Mark
from lifecycles import read

rng = random.Random(common.SEED)
tap = common.Tap()
SCHEMA = "revacct_property_%d" % os.getpid()

BIG = (0, 1, -1, 127, 128, -128, -129, 1500, 2 ** 31, -2 ** 31, 2 ** 63 - 1, -2 ** 63, 10 ** 15)
BASE = journeys.at(2025, 1, 31, 9)


def random_time(kind):
    if kind == "days":
        return BASE // DAY * DAY + DAY * rng.randrange(-3, 40)
    if kind == "seconds":
        return BASE + SECOND * rng.randrange(0, 50)
    if kind == "micros":
        return BASE + rng.randrange(0, 60)
    if kind == "old":                    # BC too, and around the first year
        return journeys.at(rng.choice((-4712, -43, -1, 0, 1, 2, 476)), rng.randint(1, 12), rng.randint(1, 28)) + rng.choice(
            (0, SECOND, 1, 999999))
    if kind == "far":
        return journeys.at(rng.choice((9999, 10000, 99999, 294276)), 12, 31, 23, 59, 59, rng.choice((0, 1, 999999)))
    if kind == "ends":
        return rng.choice((journeys.MIN_TIME, journeys.MIN_TIME + 1, journeys.END_TIME - 1, 0, -1, 1,
                           journeys.at(2000, 1, 1), journeys.at(2000, 1, 1) - 1))
    return rng.randrange(journeys.MIN_TIME, journeys.END_TIME)


def random_marks():
    kinds = rng.choice((["days"], ["seconds"], ["micros"], ["days", "seconds", "micros"], ["old", "far", "ends", "any"],
                        ["micros", "any"]))
    plain, ordered = rng.random() < 0.4, rng.random() < 0.4
    out = []
    for _ in range(rng.choice((0, 1, 2, 3, 5, 8, 13, 40, 90))):
        value = None if plain or rng.random() < 0.4 else rng.choice(BIG + (rng.randrange(-2 ** 63, 2 ** 63),))
        seq = None if not ordered or rng.random() < 0.3 else rng.choice(BIG + (1, 2, 3))
        id_ = rng.choice((0, 1, 2, 3, 4, 5, 127, 128, 255, 256, 32767, rng.randrange(32768)))
        m = Mark(random_time(rng.choice(kinds)), id_, value, seq)
        if rng.random() < 0.03:
            m = m._replace(at=None)
        elif rng.random() < 0.03:
            m = m._replace(mark=None)
        out.append(m)
        if rng.random() < 0.1:
            out.append(m)
        if rng.random() < 0.1:
            out.append(m._replace(value=rng.choice(BIG)))
    return out


subjects = [random_marks() for _ in range(scaled(2500))]
# twins, so that equality has something to find
subjects += [list(rng.choice(subjects)) for _ in range(scaled(200))]
subjects += [[m for m in rng.choice(subjects)][:-1] for _ in range(scaled(200))]
events = [(s, m) for s, marks in enumerate(subjects) for m in marks]
rng.shuffle(events)
model = [journeys.journey(marks) for marks in subjects]
model_by_arity = {2: [journeys.journey([m._replace(value=None, seq=None) for m in x]) for x in subjects],
                  3: [journeys.journey([m._replace(seq=None) for m in x]) for x in subjects]}
tap.note("%d subjects, %d events" % (len(subjects), len(events)))


def texts(answer):
    """{subject: text}; no journey and a journey of nothing are the same to us (the page does not choose)."""
    return {int(r[0]): r[1] or "{}" for r in answer}


s = Session()
s.run("CREATE SCHEMA %s" % SCHEMA)
s.run("CREATE TABLE %s.e (id int, subject int, part int, part2 int, mark int, at timestamptz, value bigint, seq bigint)" % SCHEMA)
s.load(SCHEMA + ".e", ((i, subject, rng.randrange(7), rng.randrange(7), m.mark, None if m.at is None else journeys.sql_time(m.at),
                        m.value, m.seq) for i, (subject, m) in enumerate(events)))
s.run("CREATE TABLE %s.j AS SELECT subject, journey(mark, at, value, seq) AS j FROM %s.e GROUP BY subject" % (SCHEMA, SCHEMA))
s.run("SET search_path = revacct, public, " + SCHEMA)
q_text = s.query("SELECT subject, j::text FROM j ORDER BY subject")
q_random = s.query("SELECT subject, journey(mark, at, value, seq ORDER BY hashint4(id + 17))::text FROM e GROUP BY subject")
q_reverse = s.query("SELECT subject, journey(mark, at, value, seq ORDER BY at DESC, mark)::text FROM e GROUP BY subject")
q_2 = s.query("SELECT subject, journey(mark, at)::text FROM e GROUP BY subject")
q_3 = s.query("SELECT subject, journey(mark, at, value)::text FROM e GROUP BY subject")
q_marks = s.query("SELECT subject, m.at, m.mark, m.value, m.seq FROM j, marks(j) WITH ORDINALITY AS m(at, mark, value, seq, n) "
                  "ORDER BY subject, n")
q_access = s.query("SELECT subject, mark_count(j), first_at(j), last_at(j) FROM j WHERE j IS NOT NULL")
q_same_text = s.query("SELECT subject, j::text FROM j WHERE NOT (j::text::journey = j AND record_image_eq(row(j::text::journey), row(j)) "
                      "AND j::text::journey::text = j::text)")
# rollup: of parts that overlap (each mark is in part and, by another cut, in part2), of itself, one by one
q_rollup = s.query("""
    WITH parts AS (SELECT subject, part, journey(mark, at, value, seq) AS p FROM e GROUP BY subject, part
                   UNION ALL SELECT subject, part2 + 10, journey(mark, at, value, seq) FROM e WHERE part2 < 3 GROUP BY subject, part2),
         united AS (SELECT subject, rollup(p ORDER BY hashint4(part + subject)) AS u FROM parts GROUP BY subject)
    SELECT subject, u::text, j::text FROM united JOIN j USING (subject)
    WHERE u IS DISTINCT FROM j OR u::text IS DISTINCT FROM j::text OR NOT record_image_eq(row(u), row(j))""")
q_single = s.query("""
    WITH united AS (SELECT subject, rollup(p) AS u FROM (SELECT subject, journey(mark, at, value, seq) AS p FROM e GROUP BY subject, id) x
                    GROUP BY subject)
    SELECT subject, u::text, j::text FROM united JOIN j USING (subject) WHERE NOT record_image_eq(row(u), row(j)) AND j IS NOT NULL""")
q_twice = s.query("""
    SELECT subject FROM (SELECT subject, rollup(x) AS u FROM (SELECT subject, j AS x FROM j UNION ALL SELECT subject, j FROM j) y
                         GROUP BY subject) z JOIN j USING (subject) WHERE NOT record_image_eq(row(u), row(j))""")
q_nested = s.query("""
    SELECT subject FROM (SELECT subject, rollup(p2) AS u FROM (
        SELECT subject, part % 3, rollup(p) AS p2 FROM (
            SELECT subject, part, journey(mark, at, value, seq) AS p FROM e GROUP BY subject, part) a GROUP BY subject, part % 3) b
        GROUP BY subject) c JOIN j USING (subject) WHERE NOT record_image_eq(row(u), row(j))""")
# the operators
q_hash_groups = s.query("SELECT j::text, count(*) FROM j WHERE j IS NOT NULL GROUP BY j")
s.run("SET enable_hashagg = off")
q_sort_groups = s.query("SELECT j::text, count(*) FROM j WHERE j IS NOT NULL GROUP BY j")
s.run("RESET enable_hashagg")
q_sorted = s.query("""
    SELECT subject FROM (SELECT subject, j, lag(j) OVER (ORDER BY j, subject) AS before FROM j WHERE j IS NOT NULL) x
    WHERE before IS NOT NULL AND NOT (before <= j AND j >= before AND (before < j) = (before <> j) AND (j > before) = (j <> before)
                                      AND (j = before) = (j::text = before::text))""")
q_pairs = s.query("""
    SELECT a.subject, b.subject FROM j a JOIN j b ON b.subject %% 41 = a.subject %% 41 AND a.subject < %d
    WHERE a.j IS NOT NULL AND b.j IS NOT NULL AND
      NOT ((a.j < b.j)::int + (a.j = b.j)::int + (a.j > b.j)::int = 1 AND (a.j < b.j) = (b.j > a.j) AND (a.j <= b.j) = (b.j >= a.j)
           AND (a.j <= b.j) = (a.j < b.j OR a.j = b.j) AND (a.j <> b.j) = NOT (a.j = b.j) AND (a.j = b.j) = (a.j::text = b.j::text)
           AND (a.j <> b.j OR hash_record(row(a.j)) = hash_record(row(b.j))))""" % scaled(1500))
s.run("SET enable_mergejoin = off; SET enable_nestloop = off")
q_hash_join = s.query("SELECT count(*) FROM j a JOIN j b ON a.j = b.j")
s.run("SET enable_hashjoin = off; SET enable_mergejoin = on")
q_merge_join = s.query("SELECT count(*) FROM j a JOIN j b ON a.j = b.j")
s.run("RESET enable_hashjoin; RESET enable_nestloop")
answers = s.go()

wrong = []
got = texts(answers[q_text])
for i in got:
    if got[i] != journeys.text(model[i]):
        wrong.append("subject %d\ngot  %s\nwant %s" % (i, got[i], journeys.text(model[i])))
tap.none(wrong, "journey: text = model", len(got))

got_marks = {}
for subject, at, mark, value, seq in answers[q_marks]:
    got_marks.setdefault(int(subject), []).append(
        Mark(time_of(at), int(mark), common.integer(value), common.integer(seq)))
wrong = ["subject %d\ngot  %r\nwant %r" % (i, got_marks.get(i, []), model[i]) for i in got if got_marks.get(i, []) != model[i]]
tap.none(wrong, "journey: marks() = model, in order", len(got))

for number, name in ((q_random, "in random order"), (q_reverse, "in reverse order")):
    other = texts(answers[number])
    tap.none([str((i, other[i], got[i])) for i in got if other[i] != got[i]], "journey: folded %s is the same" % name, len(got))
for number, arity in ((q_2, 2), (q_3, 3)):
    other = texts(answers[number])
    tap.none([str((i, other[i], journeys.text(model_by_arity[arity][i]))) for i in got
              if other[i] != journeys.text(model_by_arity[arity][i])], "journey: of %d arguments" % arity, len(got))

wrong = []
for subject, count, first, last in answers[q_access]:
    m = model[int(subject)]
    want = (len(m), m[0].at if m else None, m[-1].at if m else None)
    if (int(count), time_of(first), time_of(last)) != want:
        wrong.append("%s: got %s want %s" % (subject, (count, first, last), want))
tap.none(wrong, "mark_count, first_at, last_at = model", len(answers[q_access]))
tap.none([str(r) for r in answers[q_same_text]], "text form there and back, to the byte")
tap.none([str(r) for r in answers[q_rollup]], "rollup of overlapping parts is byte-equal")
tap.none([str(r) for r in answers[q_single]], "rollup of single marks is byte-equal")
tap.none([str(r) for r in answers[q_twice]], "rollup is idempotent")
tap.none([str(r) for r in answers[q_nested]], "rollup of rollups is byte-equal")

classes = {}
for i in got:
    classes[tuple(model[i])] = classes.get(tuple(model[i]), 0) + 1
nulls = sum(r[1] is None for r in answers[q_text])
if nulls:
    classes[()] = classes.get((), 0) - nulls
sizes = sorted(n for n in classes.values() if n)
for number, name in ((q_hash_groups, "hash"), (q_sort_groups, "sort")):
    tap.ok(sorted(int(r[1]) for r in answers[number]) == sizes and len({r[0] for r in answers[number]}) == len(sizes),
           "GROUP BY journey: classes by %s = model" % name)
tap.none([str(r) for r in answers[q_sorted]], "ORDER BY journey: neighbours agree with all operators")
tap.none([str(r) for r in answers[q_pairs]], "operators: exactly one of <, =, >; hashes agree with =")
want = str(sum(n * n for n in sizes))
tap.ok(answers[q_hash_join] == [[want]], "hash join on = finds every pair", [answers[q_hash_join], want])
tap.ok(answers[q_merge_join] == [[want]], "merge join on = finds every pair", [answers[q_merge_join], want])

# ---- binary form: COPY out, in, and out again ----------------------------------------------------------------------
try:
    copy = "COPY (SELECT subject, j FROM %s.%s ORDER BY subject) TO STDOUT (FORMAT binary)"
    first = common.run_psql("", "-c", copy % (SCHEMA, "j"), raw=True)
    common.run_psql("CREATE TABLE %s.j2 (subject int, j revacct.journey)" % SCHEMA)
    common.run_psql(first, "-c", "COPY %s.j2 FROM STDIN (FORMAT binary)" % SCHEMA)
    again = common.run_psql("", "-c", copy % (SCHEMA, "j2"), raw=True)
    tap.ok(len(first) > 1000 and first == again, "binary form there and back, to the byte")
    s = Session()
    q = s.query("SELECT subject FROM %s.j JOIN %s.j2 b USING (subject) WHERE NOT record_image_eq(row(j.j), row(b.j))" % (SCHEMA, SCHEMA))
    tap.none([str(r) for r in s.go()[q]], "binary form: the value stored is byte-equal")
except RuntimeError as e:
    tap.ok(False, "binary form there and back", [e])

# ---- text in any order, with duplicates and spaces -----------------------------------------------------------------
s = Session()
s.run("CREATE TEMP TABLE t (id int, x text)")
sample = rng.sample([i for i in got if model[i]], min(500, sum(bool(model[i]) for i in got)))
rows = []
for i in sample:
    parts = [journeys.text([m])[1:-1] for m in model[i]]
    parts += rng.sample(parts, rng.randint(0, len(parts)))
    rng.shuffle(parts)
    rows.append((i, "{" + rng.choice((",", ", ", " , ")).join(parts) + "}"))
s.load("t", rows)
q = s.query("SELECT id, x::journey::text FROM t")
answer = s.go()[q]
tap.none(["%s: %s" % (r, journeys.text(model[int(r[0])])) for r in answer if r[1] != journeys.text(model[int(r[0])])],
         "text input in any order, with duplicates", len(answer))

# ---- entered, current_stage ----------------------------------------------------------------------------------------
s, cases = Session(), []
for _ in range(scaled(40)):
    world = common.World(rng, "velocity")
    histories = [world.history() for _ in range(12)]
    s.run("DROP TABLE IF EXISTS pg_temp.h")
    s.run("CREATE TEMP TABLE h (id int, mark int, at timestamptz, value bigint, seq bigint)")
    s.load("h", [(i, m.mark, journeys.sql_time(m.at), m.value, m.seq) for i, h in enumerate(histories) for m in h])
    life = sql_lifecycle(world.life)
    q_entered = s.query("SELECT id, stage, %s FROM (SELECT id, journey(mark, at, value, seq) AS j FROM h GROUP BY id) x, "
                        "unnest(%s) AS stage" % (micros("entered(j, %s, stage)" % life), common.sql_array(world.life.names)))
    q_current = s.query("SELECT id, current_stage(j, %s, %s) FROM (SELECT id, journey(mark, at, value, seq) AS j FROM h GROUP BY id) x"
                        % (life, sql_timestamp(world.as_of)))
    cases.append((world, histories, life, q_entered, q_current))
answers = s.go()
wrong, wrong_current, n = [], [], 0
for world, histories, life, q_entered, q_current in cases:
    for i, stage, at in answers[q_entered]:
        n += 1
        want = min((m.at for m, st in read(histories[int(i)], world.life, journeys.END_TIME)
                    if world.life.name_of(st[0]) == stage), default=None)
        if whole(at) != want:
            wrong.append("%s %s: got %s want %s" % (life, stage, at, want))
    for i, stage in answers[q_current]:
        seen = read(histories[int(i)], world.life, world.as_of)
        want = world.life.name_of(seen[-1][1][0]) if seen else None
        if stage != want:
            wrong_current.append("%s\n%s\ngot %s want %s" % (life, journeys.text(journeys.journey(histories[int(i)])), stage, want))
tap.none(wrong, "entered() = model", n)
tap.none(wrong_current, "current_stage() = model", n)

# ---- refusals ------------------------------------------------------------------------------------------------------
for statement, states in (
        ("SELECT journey(1, timestamptz 'infinity')", {"22023", "22008"}),
        ("SELECT journey(1, timestamptz '-infinity')", {"22023", "22008"}),
        ("SELECT journey(-1, now())", {"22023", "22003"}), ("SELECT journey(32768, now())", {"22023", "22003"}),
        ("SELECT '{1@2025-01-31T09:00:00Z'::journey", {"22P02"}), ("SELECT '{x@2025-01-31T09:00:00Z}'::journey", {"22P02"}),
        ("SELECT '{1@2025-01-31T09:00:00Z} '::journey", {"00000"}),
        ("SELECT '{1@2025-01-31T09:00:00Z,}'::journey", {"22P02"}), ("SELECT ''::journey", {"22P02"})):
    state = common.sqlstate(statement)
    tap.ok(state in states, "%s: %s" % (statement, " or ".join(sorted(states))), ["got " + state])

s = Session()
s.run("DROP SCHEMA %s CASCADE" % SCHEMA)
s.go()
tap.done()
