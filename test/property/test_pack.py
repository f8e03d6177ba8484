#!/usr/bin/env python3
"""Packs of random journeys: what goes in comes out, in any partition to the byte, and every aggregate says the same of a
pack as of its journeys."""
import random

import common
import journeys
from common import Session, scaled, sql_lifecycle, sql_timestamp

rng = random.Random(common.SEED)
tap = common.Tap()
INT_MIN, INT_MAX = -2 ** 63, 2 ** 63 - 1


def number_key():
    return rng.choice((rng.randrange(-5, 200), rng.randrange(10 ** 6), -rng.randrange(10 ** 9), rng.randrange(INT_MIN, INT_MAX),
                       INT_MIN, INT_MIN + 1, INT_MAX, INT_MAX - 1, 0, -1))


ODD_KEYS = ("", "042", "42", "-42", "-0", "0", "00", "+5", " 7", "7 ", "1e3", "1.0", "9223372036854775807", "9223372036854775808",
            "-9223372036854775808", "-9223372036854775809", "99999999999999999999", "0x10", "Ω", "ünïcode", "日本語", "🙂", "a", "A",
            "a b", "tab\there", "new\nline", "back\\slash", "{}", "quote'", 'quote"', "NULL", "\x01", "z" * 300, "é", "é")


def text_key():
    return rng.choice((rng.choice(ODD_KEYS), "lead-%06d" % rng.randrange(300), str(rng.randrange(10 ** 4)),
                       "%08x" % rng.randrange(2 ** 32), "00%d" % rng.randrange(50)))


def is_number(key):
    """A text key that is the number a bigint would print."""
    try:
        n = int(key)
    except ValueError:
        return False
    return str(n) == key and INT_MIN <= n <= INT_MAX


def key_order(key):
    """Numbers first, in order, then text (by its bytes)."""
    return (0, int(key), b"") if is_number(key) else (1, 0, key.encode())


s, checks = Session(), []
total = 0
for round_ in range(scaled(60)):
    world = common.World(rng, "funnel")
    velocity = common.World(rng, "velocity")
    numeric = round_ % 2 == 0
    n = rng.choice((1, 3, 40, 300))
    keys = sorted({str(number_key()) if numeric else text_key() for _ in range(n)})
    histories = {k: [m for m in rng.choice((world, velocity)).history()] for k in keys}
    total += len(keys)
    rows = [(k, rng.randrange(6), m.mark, journeys.sql_time(m.at), m.value, m.seq) for k, h in histories.items() for m in h]
    rng.shuffle(rows)
    type_ = "bigint" if numeric else "text"
    s.run("DROP TABLE IF EXISTS pg_temp.h, pg_temp.j, pg_temp.parts")
    s.run("CREATE TEMP TABLE h (id serial, subject %s, part int, mark int, at timestamptz, value bigint, seq bigint)" % type_)
    s.load("h (subject, part, mark, at, value, seq)", rows)
    s.run("CREATE TEMP TABLE j AS SELECT subject, journey(mark, at, value, seq) AS j FROM h GROUP BY subject ORDER BY hashint8(min(id))")
    s.run("CREATE TEMP TABLE parts AS SELECT subject, part, journey(mark, at, value, seq) AS j FROM h GROUP BY subject, part")
    pack = "(SELECT journey_pack(subject, j) FROM j)"
    funnel, as_of = sql_lifecycle(world.life), sql_timestamp(world.as_of)
    stays, as_of_2 = sql_lifecycle(velocity.life), sql_timestamp(velocity.as_of)
    since = (sql_timestamp(velocity.start + velocity.unit) if rng.random() < 0.4 and velocity.life.visits != "cumulative"
             and velocity.start + velocity.unit < velocity.as_of else None)
    stays_args = "%s, %s%s" % (stays, as_of_2, ", " + since if since else "")
    known = {
        "unpack": s.query("SELECT subject, journey::text FROM unpack(%s)" % pack),
        "counts": s.query("SELECT subject_count(p), mark_count(p) FROM %s AS x(p)" % pack),
        "journeys": s.query("SELECT subject::text, j::text FROM j"),
        "whole": s.query("SELECT %s::text" % pack),
        "order": s.query("SELECT journey_pack(subject, j ORDER BY hashint8(length(j::text)), subject)::text FROM j"),
        "united": s.query("SELECT journey_pack(subject, j)::text FROM parts"),
        "rollup": s.query("SELECT rollup(p ORDER BY part DESC)::text FROM (SELECT part, journey_pack(subject, j) AS p FROM parts GROUP BY part) x"),
        "overlap": s.query("SELECT rollup(p)::text FROM (SELECT part, journey_pack(subject, j) AS p FROM parts GROUP BY part "
                           "UNION ALL SELECT 1, journey_pack(subject, j) FROM parts WHERE part < 3) x"),
        "nested": s.query("SELECT rollup(q)::text FROM (SELECT rollup(p) AS q FROM (SELECT part, journey_pack(subject, j) AS p FROM parts "
                          "GROUP BY part) x GROUP BY part % 2) y"),
        "one by one": s.query("SELECT rollup(p)::text FROM (SELECT journey_pack(subject, j) AS p FROM j GROUP BY subject) x"),
        "image": s.query("SELECT record_image_eq(row(rollup(p)), row(%s)) FROM (SELECT journey_pack(subject, j) AS p FROM parts GROUP BY part) x" % pack),
        "text form": s.query("SELECT record_image_eq(row((p::text)::journey_pack), row(p)) FROM %s AS x(p)" % pack),
        "funnel": s.query("SELECT funnel_conversion(p, %s, %s)::text FROM %s AS x(p)" % (funnel, as_of, pack)),
        "funnel of journeys": s.query("SELECT funnel_conversion(j, %s, %s)::text FROM j" % (funnel, as_of)),
        "funnel of parts": s.query("SELECT funnel_conversion(p, %s, %s)::text FROM (SELECT journey_pack(subject, j) AS p FROM j "
                                   "GROUP BY hashint8(mark_count(j)) %% 3) x" % (funnel, as_of)),
        "velocity": s.query("SELECT stage_velocity(p, %s)::text FROM %s AS x(p)" % (stays_args, pack)),
        "velocity of journeys": s.query("SELECT stage_velocity(j, %s)::text FROM j" % stays_args),
        "velocity of parts": s.query("SELECT stage_velocity(p, %s)::text FROM (SELECT journey_pack(subject, j) AS p FROM j "
                                     "GROUP BY hashint8(mark_count(j)) %% 3) x" % stays_args),
    }
    if numeric:
        folded = "(SELECT journey_pack(subject, j) FROM (SELECT subject, journey(mark, at) AS j FROM h GROUP BY subject) x)"
        known["raw"] = s.query("SELECT record_image_eq(row(p), row(%s)), p::text = %s::text FROM (SELECT journey_pack(subject, mark, at) AS p "
                               "FROM h) y" % (folded, folded))
        known["raw in order"] = s.query("SELECT record_image_eq(row(journey_pack(subject, mark, at ORDER BY subject DESC, at DESC)), "
                                        "row(%s)) FROM h" % folded)
    checks.append((funnel, stays, keys, histories, known))
answers = s.go()
tap.note("%d packs of %d subjects" % (len(checks), total))

wrong = {}


def complain(what, note):
    wrong.setdefault(what, []).append(note)


seen = set()
for funnel, stays, keys, histories, known in checks:
    got = {name: answers[number] for name, number in known.items()}
    model = {k: journeys.journey(h) for k, h in histories.items() if h}
    out = [(k, j) for k, j in got["unpack"]]
    want = {k: journeys.text(j) for k, j in model.items()}
    if sorted(out) != sorted(want.items()):
        complain("unpack", "only in one: %r" % sorted(set(out) ^ set(want.items()))[:4])
    if [k for k, _ in out] != sorted(want, key=key_order):
        complain("order of unpack", "got %r" % [k for k, _ in out][:20])
    if got["counts"] and got["counts"][0][0] is not None and [int(x) for x in got["counts"][0]] != [
            len(model), sum(map(len, model.values()))]:
        complain("counts", "%r, want %d, %d" % (got["counts"], len(model), sum(map(len, model.values()))))
    whole = got["whole"]
    for name in ("order", "united", "rollup", "overlap", "nested", "one by one"):
        if got[name] != whole:
            complain(name, "%d keys\ngot  %.300r\nwant %.300r" % (len(keys), got[name], whole))
    for name in ("image", "text form", "raw", "raw in order"):
        if name in got:
            seen.add(name)
            if any(x == "f" for r in got[name] for x in r):
                complain(name, "%d keys: %r" % (len(keys), got[name]))
    for name, life in (("funnel", funnel), ("velocity", stays)):
        for other in (" of journeys", " of parts"):
            if got[name + other] != got[name] and model:
                complain(name + other, life)

titles = (("unpack", "unpack gives back what was packed"), ("order of unpack", "unpack: numbers first, in order, then text"),
          ("counts", "subject_count, mark_count"), ("order", "packing in another order is byte-equal"),
          ("united", "journeys of one subject are united"), ("rollup", "rollup of a partition is byte-equal to packing at once"),
          ("overlap", "rollup of overlapping packs"), ("nested", "rollup of rollups"), ("one by one", "rollup of packs of one"),
          ("image", "rollup is byte-equal in storage"), ("text form", "text form there and back, to the byte"),
          ("raw", "folding raw events is folding, then packing"), ("raw in order", "folding raw events in another order"),
          ("funnel of journeys", "funnel_conversion of a pack is that of its journeys"),
          ("funnel of parts", "funnel_conversion of several packs"),
          ("velocity of journeys", "stage_velocity of a pack is that of its journeys"),
          ("velocity of parts", "stage_velocity of several packs"))
for name, title in titles:
    tap.none(wrong.get(name, []), title, len(checks))

# ---- the same keys from both kinds of pack, and a large pack -------------------------------------------------------
s = Session()
s.run("CREATE TEMP TABLE a AS SELECT 1 AS n, journey_pack(42::bigint, '{1@2025-01-01T00:00:00Z}'::journey) AS p "
      "UNION ALL SELECT 2, journey_pack('x42'::text, '{2@2025-01-01T00:00:00Z}'::journey) "
      "UNION ALL SELECT 3, journey_pack('042'::text, '{3@2025-01-01T00:00:00Z}'::journey)")
q_mixed = s.query("SELECT rollup(p)::text = rollup(p ORDER BY n DESC)::text, subject_count(rollup(p)) FROM a")
n = scaled(20000)
s.run("CREATE TEMP TABLE big AS SELECT (hashint8(g) %% 5000)::bigint AS subject, (hashint8(g + 1) & 7) AS mark, "
      "timestamptz '2025-01-01' + (hashint8(g + 2) & 1048575) * interval '1 second' AS at FROM generate_series(1, %d) g" % n)
q_big = s.query("SELECT record_image_eq(row(journey_pack(subject, mark, at)), row((SELECT journey_pack(subject, j) FROM "
                "(SELECT subject, journey(mark, at) AS j FROM big GROUP BY subject) x))) FROM big")
q_lost = s.query("SELECT count(*) FROM (SELECT subject::text, journey(mark, at)::text FROM big GROUP BY subject EXCEPT "
                 "SELECT subject, journey::text FROM unpack((SELECT journey_pack(subject, mark, at) FROM big))) x")
answers = s.go()
tap.ok(answers[q_mixed] == [["t", "3"]], "packs of numbers and of text roll up together", [answers[q_mixed]])
tap.ok(answers[q_big] == [["t"]], "a large pack from %d raw events" % n, [answers[q_big]])
tap.ok(answers[q_lost] == [["0"]], "a large pack loses nobody", [answers[q_lost]])
tap.done()
