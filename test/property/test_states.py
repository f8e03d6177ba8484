#!/usr/bin/env python3
"""What a distributed plan may do with states, without a cluster: for every aggregate of the extension, as the catalog
describes it, states in progress and finished ones, through text and through binary, combined in any tree over any
partition of the rows, give what the aggregate gives for all rows, to the byte.

Leaves are made row by row, each call of the transition function by a plan of its own: nothing that a function keeps at
its call site is there the next time.  Stored bytes are compared by record_image_eq.
"""
import random
import tempfile
from collections import Counter, defaultdict

import common
import journeys
from common import HOUR, Session, bail_out, scaled, sql_array, sql_lifecycle, sql_timestamp

rng = random.Random(common.SEED)
tap = common.Tap()
wrong, checked = defaultdict(list), Counter()
SMALL_ROUNDS, ROWS = scaled(5), 24
LARGE = -1                                          # the number of the round with states that had to change their form
LEAVES = 5
FORMS = ("kept", "finished", "text", "binary")      # what a state may have become on its way to the one who combines

# ---- the aggregates, from the catalog -------------------------------------------------------------------------------

# what stands for an argument: by its name, or by its type where it has none
ARGUMENTS = {"mark integer": "mark", "at timestamp with time zone": "at", "value bigint": "value", "seq bigint": "seq", "subject bigint": "subject",
             "subject text": "CASE subject % 3 WHEN 0 THEN subject::text ELSE 'ключ ' || subject END", "journey journey": "j", "pack journey_pack": "p",
             "lifecycle lifecycle": "l", "sla sla": "s", "as_of timestamp with time zone": "as_of", "since timestamp with time zone": "since",
             "amount numeric": "amount", "journey": "j", "journey_pack": "p", "funnel_summary": "f", "velocity_summary": "v", "breach_summary": "b"}


class Aggregate:
    def __init__(self, number, signature, arguments, type_, transition, combine, final):
        self.number, self.type, self.transition, self.combine, self.final = number, type_, transition, combine, final
        self.title = signature.replace("timestamp with time zone", "timestamptz")
        unknown = [a for a in arguments.split(", ") if a not in ARGUMENTS]
        if unknown:
            bail_out("%s has arguments this test knows nothing of: %s" % (signature, unknown))
        self.arguments = ", ".join(ARGUMENTS[a] for a in arguments.split(", "))
        self.types = signature[signature.index("(") + 1:-1]
        self.name = signature[:signature.index("(")]

    def leaf(self, round_, n, form="kept"):
        state = "(SELECT state FROM %s_%s WHERE round = %d AND aggregate = %d AND n = %d)" % (
            "wire" if form == "binary" else "leaf", self.type, round_, self.number, n)
        return self.sent(state, form)

    def sent(self, state, form):
        return {"finished": "%s(%s)" % (self.final, state), "text": "(%s)::text::%s" % (state, self.type)}.get(form, state)


s = Session()
q = s.query("""
    SELECT row_number() OVER (ORDER BY a.aggfnoid::regprocedure::text), a.aggfnoid::regprocedure, pg_get_function_arguments(a.aggfnoid), a.aggtranstype::regtype,
           a.aggtransfn::regproc, a.aggcombinefn::regproc, a.aggfinalfn::regproc
    FROM pg_aggregate a JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = a.aggfnoid
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid WHERE e.extname = 'revacct' AND d.deptype = 'e' ORDER BY 1""")
AGGREGATES = [Aggregate(int(r[0]), *r[1:]) for r in s.go()[q]]
TYPES = sorted({a.type for a in AGGREGATES})
SUMMARIES = ("funnel_summary", "velocity_summary", "breach_summary")

# ---- definitions and rows ------------------------------------------------------------------------------------------

OFFICE = "business_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}')"


def make_world(large):
    while True:
        w = common.World(rng, rng.choice(("funnel", "velocity")))
        w.marks = sorted({i for m in w.life.marks[1:] for i in m})
        # velocity needs one stage for each mark; and visits that can be observed since some time
        suits = w.life.visits != "cumulative" and 5 <= len(w.marks) == sum(map(len, w.life.marks[1:])) and w.life.steps >= 2
        if suits and (not large or w.unit >= HOUR and w.life.visits == "all" and not w.life.given.get("entry_range")):
            return w


def definition(w, business):
    """A row of defined: lifecycle, SLA of two policies, time, beginning."""
    life = sql_lifecycle(w.life)
    if business:
        life = life[:-1] + ", calendar => %s)" % OFFICE
    marks = sql_array(["%s=%d" % r for r in dict(zip("abcde", rng.sample(w.marks, 5)), f=500).items()])
    policy = ("sla('s', start => '{a}', stop => '{d}', pause => '{b}', resume => '{c}', segment => '{e}', cancel => '{f}', reopen => 'restart', phases => '{x until b, y}', "
              "marks => %s, target => interval '%d seconds'%s)")
    target = w.unit * w.spread // 4 // 1000000 + 1
    sla = "sla(ARRAY[%s, %s])" % (policy % (marks, target, ""), policy % (marks, target // 3 + 1, ", calendar => %s, segments => '{1}'" % OFFICE))
    return ", ".join((life, sla, sql_timestamp(w.as_of), sql_timestamp(w.as_of - w.unit * rng.randint(1, w.spread))))


def busy(w):
    """A history of two stages by turns, at times that no two have in common."""
    choices = [i for m in w.life.marks[1:3] for i in m] + w.marks
    return [journeys.Mark(w.start + rng.randrange(w.as_of - w.start), rng.choice(choices), rng.choice((None, None, 1, 2)), None) for _ in range(80)]


def load_round(s, number):
    """Rows, each with an argument of every kind: an event, a journey, a pack, summaries of a journey or two."""
    large = number == LARGE
    w = make_world(large)
    s.run("INSERT INTO defined (round, l, s, as_of, since) SELECT %d, %s" % (number, definition(w, number % 2 or large)))
    marks = []
    for i in range(400 if large else ROWS):
        marks += [(number, i, m.mark, journeys.sql_time(m.at), m.value, m.seq) for m in (busy(w) if large else w.history())]
    s.run("TRUNCATE raw")
    s.load("raw", marks)
    # (no row for a journey without a mark: its arguments are NULL)
    s.run("INSERT INTO rows (round, id, subject, j, amount) SELECT %d, i, i * 31 %% 17 - 3, (SELECT journey(mark, at, value, seq) FROM raw WHERE id = i), "
          "NULLIF(i * 7919 %% 1000, 9)::numeric / 8 FROM generate_series(0, %d) i" % (number, (400 if large else ROWS) - 1))
    s.run("UPDATE rows SET p = (SELECT journey_pack(r.subject, r.j) FROM rows r WHERE r.round = rows.round AND r.id %% 5 = rows.id %% 5 AND r.id <= rows.id + 5), "
          "(f, v, b) = (SELECT funnel_conversion(rows.j, l, as_of, rows.amount), stage_velocity(rows.j, l, as_of), sla_breach(rows.j, s, as_of) FROM defined WHERE round = %d) WHERE round = %d AND j IS NOT NULL"
          % (number, number))
    # more rows for what is made of single marks
    if large:
        s.run("INSERT INTO rows (round, id, subject) SELECT %d, 400 + i, i %% 300 FROM generate_series(0, 2999) i" % number)
    s.run("UPDATE rows SET mark = raw.mark, at = raw.at, value = raw.value, seq = raw.seq FROM (SELECT row_number() OVER (ORDER BY hashint4(id), at, mark) - 1 AS n, * FROM raw) raw "
          "WHERE rows.round = %d AND rows.id = raw.n" % number)


def make_states(s):
    for t in TYPES:
        s.run("CREATE TEMP TABLE leaf_{0} (round int, aggregate int, n int, state {0}); CREATE TEMP TABLE wire_{0} (LIKE leaf_{0})".format(t))
        # no compression: a state that is stored as it is can be changed where it lies
        s.run("ALTER TABLE leaf_%s ALTER state SET STORAGE EXTERNAL" % t)
    for a in AGGREGATES:
        s.run("CREATE AGGREGATE pg_temp.state_%d (%s) (SFUNC = %s, STYPE = %s)" % (a.number, a.types, a.transition, a.type))
        s.run("CREATE AGGREGATE pg_temp.merged_{0} ({1}) (SFUNC = {2}, STYPE = {1}, FINALFUNC = {3})".format(a.number, a.type, a.combine, a.final))
        s.run("""CREATE FUNCTION pg_temp.fold_{0} (of_round int, ids int[]) RETURNS {1} LANGUAGE plpgsql AS $$
                 DECLARE state {1}; i int;
                 BEGIN
                     FOREACH i IN ARRAY ids LOOP
                         EXECUTE 'SELECT {2}($1, {3}) FROM rows JOIN defined USING (round) WHERE round = $2 AND id = $3' INTO STRICT state USING state, of_round, i;
                     END LOOP;
                     RETURN state;
                 END $$""".format(a.number, a.type, a.transition, a.arguments.replace("'", "''")))
    for number in ROUNDS:
        ids = list(range(3400 if number == LARGE else ROWS))
        rng.shuffle(ids)
        # leaf 0 holds nothing, and is NULL, and so may be others that got rows without journeys
        cuts = sorted(rng.sample(range(1, len(ids)), LEAVES - 2))
        parts = [[]] + [ids[i:j] for i, j in zip([0] + cuts, cuts + [len(ids)])]
        for a in AGGREGATES:
            for n, part in enumerate(parts):
                array = "'{%s}'" % ",".join(map(str, part))
                made = ("(SELECT pg_temp.state_%d(%s) FROM rows JOIN defined USING (round) WHERE round = %d AND id = ANY (%s))" % (a.number, a.arguments, number, array)
                        if number == LARGE else "pg_temp.fold_%d(%d, %s)" % (a.number, number, array))
                s.run("INSERT INTO leaf_%s SELECT %d, %d, %d, %s" % (a.type, number, a.number, n, made))
            s.run("INSERT INTO truth_%s SELECT %d, %d, %s(%s) FROM rows JOIN defined USING (round) WHERE round = %d" % (a.type, number, a.number, a.name, a.arguments, number))


# ---- what is asked ----------------------------------------------------------------------------------------------------

class Questions:
    """Boolean queries, each of which must be true, under a title."""

    def __init__(self):
        self.session, self.asked = Session(), []

    def __call__(self, title, sql):
        self.asked.append((title, sql, self.session.query("SELECT " + sql)))

    def settle(self, answers):
        for title, sql, q in self.asked:
            checked[title] += 1
            if answers[q] != [["t"]]:
                wrong[title].append("%r for %s" % (answers[q], sql[:1000]))


def same(aggregate, a, b):
    """Are two values the same in every form?"""
    return "(SELECT record_image_eq(ROW(x), ROW(y)) AND x::text IS NOT DISTINCT FROM y::text AND {0}_send(x) IS NOT DISTINCT FROM {0}_send(y) FROM (SELECT {1} AS x, {2} AS y) t)".format(
        aggregate.type, a, b)


def random_tree(a, number, leaves):
    """An expression that combines the leaves, each once, states changing form on the way now and then."""
    if len(leaves) == 1:
        return a.leaf(number, leaves[0], rng.choice(FORMS))
    cut = rng.randrange(1, len(leaves))
    tree = "%s(%s, %s)" % (a.combine, random_tree(a, number, leaves[:cut]), random_tree(a, number, leaves[cut:]))
    return a.sent(tree, rng.choice(("kept", "kept", "finished", "text")))


def ask(number, a, ask_):
    truth = "(SELECT value FROM truth_%s WHERE round = %d AND aggregate = %d)" % (a.type, number, a.number)
    title = lambda text: "%s: %s" % (a.title, text)
    combined = lambda x, y: "%s(%s(%s, %s))" % (a.final, a.combine, x, y)

    # any tree over any partition
    for _ in range(6):
        leaves = list(range(LEAVES))
        rng.shuffle(leaves)
        ask_(title("any tree of its parts, in any order, in any form"), same(a, "%s(%s)" % (a.final, random_tree(a, number, leaves)), truth))
    # two states
    x, y, z = (a.leaf(number, n) for n in (1, 2, 3))
    plain = combined(x, y)
    pairs = [(form, other) for form in FORMS for other in FORMS]
    for form, other in rng.sample(pairs, 4) if number == LARGE else pairs:
        ask_(title("combine of two states, whatever their forms, and of the two the other way round"),
             "%s AND %s" % (same(a, combined(a.leaf(number, 1, form), a.leaf(number, 2, other)), plain), same(a, combined(a.leaf(number, 2, other), a.leaf(number, 1, form)), plain)))
    for form in FORMS:
        alone, finished = a.leaf(number, 1, form), a.leaf(number, 1, "finished")
        ask_(title("a state and NULL"), "%s AND %s" % (same(a, combined("NULL", alone), finished), same(a, combined(alone, "NULL"), finished)))
    ask_(title("a state and NULL"), "%s(NULL, NULL) IS NULL AND %s(NULL) IS NULL AND %s IS NULL" % (a.combine, a.final, a.leaf(number, 0)))
    two = lambda v, w: "%s(%s, %s)" % (a.combine, v, w)
    ask_(title("three states, from the left and from the right"), same(a, combined(two(x, y), z), combined(x, two(y, z))))
    # its forms
    for n in range(1, LEAVES):
        state, finished = a.leaf(number, n), a.leaf(number, n, "finished")
        for form in ("text", "binary"):
            ask_(title("in(out) and recv(send) give what is finished, to the byte"), same(a, a.leaf(number, n, form), finished))
        ask_(title("in(out) and recv(send) give what is finished, to the byte"), same(a, "%s(%s)" % (a.final, finished), finished))
        ask_(title("in progress it reads as what is finished"), "%s::text IS NOT DISTINCT FROM %s::text AND %s_send(%s) IS NOT DISTINCT FROM %s_send(%s)" % (state, finished, a.type, state, a.type, finished))
        # called on its own, and inside of an aggregate that is handed values of a tuple store
        ask_(title("final and combine leave their arguments as they were"), "pg_temp.unchanged_%d(%s)" % (a.number, state))
    leaves = "FROM leaf_%s WHERE round = %d AND aggregate = %d" % (a.type, number, a.number)
    ask_(title("final and combine leave their arguments as they were"),
         "(WITH given AS MATERIALIZED (SELECT n, state {0}), merged AS MATERIALIZED (SELECT pg_temp.merged_{1}(state) FROM given) "
         "SELECT bool_and(record_image_eq(ROW(g.state), ROW(l.state))) FROM given g JOIN (SELECT n, state {0}) l USING (n) WHERE (SELECT count(*) FROM merged) > 0)".format(leaves, a.number))
    # twice over and over: counters become wide, sums long (but not too long: seconds of many clocks are counted in 64 bits)
    doubled = lambda state: "pg_temp.doubled_%d(%s, %d)" % (a.number, state, 20 if number == LARGE else 33)
    ask_(title("doubled again and again, before or after they are combined"), same(a, combined(doubled(x), doubled(y)), "%s(%s)" % (a.final, doubled(plain))))
    ask_(title("a wide state and a narrow one"), "%s AND %s" % (same(a, combined(doubled(x), y), combined(y, doubled(x))),
                                                                same(a, combined(a.sent(doubled(x), "text"), y), combined(y, doubled(x)))))


def make_helpers(s):
    for a in AGGREGATES:
        s.run("""CREATE FUNCTION pg_temp.unchanged_{0} (given {1}) RETURNS boolean LANGUAGE plpgsql AS $$
                 DECLARE state {1} := given; saved text := given::text; copy record; other {1} := {2}(given);
                 BEGIN
                     copy := ROW(given);
                     PERFORM {2}(state);
                     PERFORM {3}(other, state);
                     PERFORM {3}(state, other);
                     PERFORM {3}(NULL, state), {3}(state, NULL), {3}(state, state);
                     RETURN record_image_eq(ROW(state), copy) AND state::text IS NOT DISTINCT FROM saved AND record_image_eq(ROW(other), ROW({2}(given)));
                 END $$""".format(a.number, a.type, a.final, a.combine))
        # (of journeys and packs, states in progress keep what they got twice)
        twice = "%s(state, state)" % a.combine
        s.run("""CREATE FUNCTION pg_temp.doubled_{0} (state {1}, times int) RETURNS {1} LANGUAGE plpgsql AS $$
                 BEGIN
                     FOR i IN 1 .. times LOOP
                         state := {2};
                     END LOOP;
                     RETURN state;
                 END $$""".format(a.number, a.type, twice if a.type in SUMMARIES else "%s(%s)" % (a.final, twice)))


def merging_what_differs(s):
    """States under every pair of definitions, times and beginnings: refused exactly if they differ, in any form."""
    w = make_world(False)
    life = sql_lifecycle(w.life)
    other = life.replace("revacct.lifecycle('world'", "revacct.lifecycle('other'")
    later = sql_timestamp(w.as_of + 1)
    at, since, after = sql_timestamp(w.as_of), sql_timestamp(w.as_of - 2 * w.unit), sql_timestamp(w.as_of - 2 * w.unit + 1)
    with_hours = life[:-1] + ", calendar => %s)" % OFFICE
    sla = "sla('s', start => '{a}', stop => '{b}', marks => '{a=%d, b=%d}', target => '%d hours')"
    a, b = w.marks[:2]
    journey = "'{%d@2000-01-01T00:00:00Z, %d@2000-01-02T00:00:00Z}'::journey" % (a, b)
    plain, days = "_funnel_add_journey(NULL, {j}, %s, %s)", "_velocity_add_journey(NULL, {j}, %s, %s%s)"
    clock = "_breach_add_journey(NULL, {j}, %s, %s)"
    kinds = {"funnel_summary": ("_funnel_add_summary", "_funnel_final", [plain % (life, at), plain % (other, at), plain % (life, later)]),
             "velocity_summary": ("_velocity_add_summary", "_velocity_final", [
                 days % (life, at, ""), days % (other, at, ""), days % (life, later, ""), days % (life, at, ", " + since), days % (life, at, ", " + after), days % (with_hours, at, "")]),
             "breach_summary": ("_breach_add_summary", "_breach_final", [clock % (sla % (a, b, 1), at), clock % (sla % (a, b, 2), at), clock % (sla % (a, b, 1), later)])}
    asked = []
    s.run("CREATE FUNCTION pg_temp.error_of (statement text) RETURNS text LANGUAGE plpgsql AS 'BEGIN EXECUTE statement; RETURN ''none''; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END'")
    for type_, (combine, final, states) in kinds.items():
        forms = ["%s", final + "(%s)", "(%s)::text::" + type_]
        for i, x in enumerate(states):
            for j, y in enumerate(states):
                for f in forms:
                    for g in forms:
                        call = "SELECT %s(%s, %s)" % (combine, f % x.replace("{j}", journey), g % y.replace("{j}", journey))
                        asked.append((type_, i == j, call, s.query("SELECT pg_temp.error_of(%s)" % common.quote(call))))
    return asked


# ---- all of it ----------------------------------------------------------------------------------------------------

ROUNDS = list(range(SMALL_ROUNDS)) + [LARGE]
questions = Questions()
s = questions.session
s.run("CREATE TEMP TABLE defined (round int, l lifecycle, s sla, as_of timestamptz, since timestamptz)")
s.run("CREATE TEMP TABLE raw (round int, id int, mark int, at timestamptz, value bigint, seq bigint)")
s.run("CREATE TEMP TABLE rows (round int, id int, subject bigint, mark int, at timestamptz, value bigint, seq bigint, j journey, amount numeric, p journey_pack, "
      "f funnel_summary, v velocity_summary, b breach_summary, PRIMARY KEY (round, id))")
for t in TYPES:
    s.run("CREATE TEMP TABLE truth_{0} (round int, aggregate int, value {0})".format(t))
for number in ROUNDS:
    load_round(s, number)
make_states(s)
make_helpers(s)
DEFINITIONS = ("lifecycle", "sla", "business_calendar")
s.run("CREATE TEMP TABLE agreed AS SELECT l AS lifecycle, s AS sla, %s AS business_calendar FROM defined" % OFFICE)
s.run("CREATE TEMP TABLE agreed_back (LIKE agreed); CREATE TEMP TABLE truth_back (LIKE truth_journey)")
with tempfile.TemporaryDirectory() as folder:
    for t in TYPES:
        s.run("\\copy leaf_%s TO '%s/leaf_%s' (FORMAT binary)" % (t, folder, t))
        s.run("\\copy wire_%s FROM '%s/leaf_%s' (FORMAT binary)" % (t, folder, t))
    s.run("\\copy agreed TO '%s/agreed' (FORMAT binary)" % folder)
    s.run("\\copy agreed_back FROM '%s/agreed' (FORMAT binary)" % folder)
    for t in DEFINITIONS:
        questions("%s: in(out) and recv(send) give the same bytes" % t, "count(*) = %d AND count(*) = count(*) FILTER (WHERE record_image_eq(ROW(a.%s), ROW(b.%s)) AND record_image_eq(ROW(a.%s), ROW(a.%s::text::%s))) "
                  "FROM (SELECT row_number() OVER (), * FROM agreed) a JOIN (SELECT row_number() OVER (), * FROM agreed_back) b USING (row_number)" % (len(ROUNDS), t, t, t, t, t))
    for number in ROUNDS:
        for a in AGGREGATES:
            ask(number, a, questions)
    q_forms = s.query("SELECT count(*) FILTER (WHERE (x.relative_error > 0)), count(*) FILTER (WHERE x.relative_error = 0) FROM leaf_velocity_summary l, stages(state) x WHERE l.round = %d" % LARGE)
    q_states = s.query("SELECT count(state), count(*) FROM (%s) l" % " UNION ALL ".join("SELECT state::text FROM leaf_%s WHERE n > 0" % t for t in TYPES))
    q_journeys = s.query("SELECT max(mark_count(state)) FROM leaf_journey")
    refusals = merging_what_differs(s)
    answers = s.go()
questions.settle(answers)
for type_, alike, call, q in refusals:
    title = "%s: states are combined exactly if definition, time and beginning are the same" % type_
    checked[title] += 1
    if (answers[q][0][0] == "none") != alike or not alike and not answers[q][0][0].startswith("RV00"):
        wrong[title].append("%s: %s" % (answers[q][0][0], call))
for title in checked:
    tap.none(wrong[title], title, checked[title])
tap.ok(int(answers[q_forms][0][0]) > 0 and int(answers[q_forms][0][1]) > 0 and int(answers[q_journeys][0][0]) > 1000,
       "states whose durations are in bins are among them, others with all of them, and long journeys", [answers[q_forms], answers[q_journeys]])
tap.ok(int(answers[q_states][0][0]) * 4 > int(answers[q_states][0][1]) * 3, "most states are not NULL", answers[q_states])
tap.done()
