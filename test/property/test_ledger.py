#!/usr/bin/env python3
"""Random walks of loads, single records, links, definitions and refreshes against ledger.py: what every load says it did, what is set
aside and why, every journey and its group after every refresh, and every journey as it was recorded by an earlier instant."""
import json
import os
import random
import zoneinfo
from collections import Counter, defaultdict

import common
import journeys
import ledger
import lifecycles
from common import DAY, Session, micros, quote, scaled, whole
from ledger import INFINITE

rng = random.Random(common.SEED)
tap = common.Tap()
AVOID = set(filter(None, os.environ.get("AVOID", "").split(",")))        # shapes of rows to leave out, to see past a defect
SOURCES = ("crm", "desk", "erp")
RUN = "ledger_%08x_" % random.SystemRandom().randrange(1 << 32)          # what the names of its roles begin with: roles belong to the whole cluster
COLUMNS = {
    "event": dict(subject_kind="text", subject_key="text", event="text", occurred_at="timestamptz", source_key="text", lifecycle="text", stage="text",
                  field="text", code="text", code_list="text", party="text", actor="text", amount="numeric", currency="text", program="text",
                  seq="bigint", value="bigint", corrects="text", details="jsonb"),
    "link": dict(from_source="text", from_kind="text", from_key="text", to_source="text", to_kind="text", to_key="text", role="text",
                 valid_from="timestamptz", valid_until="timestamptz", share="numeric", source_key="text"),
    "money": dict(source_key="text", kind="text", subject_kind="text", subject_key="text", program="text", party="text", starts_on="date",
                  ends_on="date", amount="numeric", currency="text", corrects="text"),
    "commitment": dict(source_key="text", kind="text", subject_kind="text", subject_key="text", from_party="text", to_party="text", promised="text",
                       amount="numeric", due_at="timestamptz", delivered_at="timestamptz", outcome="text", verified_by="text", metric="text",
                       corrects="text")}
# what a source does not say at all: its views have no such column
ABSENT = {"crm": (), "desk": ("seq", "program", "valid_from", "metric"), "erp": ("value", "details", "actor", "share", "party")}
REASONS = {  # what the reasons begin with -> how the model calls them
    "event": {"it has no subject_kind": "no subject_kind", "unknown subject_kind": "unknown subject_kind", "it has no subject_key": "no subject_key",
              "it has no source_key": "no source_key", "its key is longer": "long key", "it has no occurred_at": "no occurred_at",
              "its occurred_at is not between": "time out of range", "it has no event": "no event", "stage_entered needs": "no stage",
              "field_set needs": "no field", "retracted needs": "retracts nothing", "it corrects itself": "corrects itself",
              "its amount is no amount": "no amount", '"': "unknown event", "another row of this load": "twice in a load",
              "it is on record otherwise": "otherwise on record", "what it corrects is corrected already": "corrected already",
              "there is no event of the key it corrects": "corrects what is not there"},
    "link": {"unknown role": "unknown role", "it has no from_key": "no key", "it has no to_key": "no key", "unknown from_kind": "unknown kind", "unknown to_kind": "unknown kind",
             "it links a subject to itself": "to itself", "it ends before it begins": "ends before it begins",
             "subjects of two kinds": "two kinds", "its share is not": "no share", "another row of this load": "twice in a load",
             "another link between the two": "overlaps"},
    "money": {"it is on record otherwise": "otherwise on record", "it has no source_key": "no source_key", "unknown kind of": "unknown kind",
              "it has no starts_on": "no starts_on", "it ends before": "ends before it begins", "its amount is no": "no amount",
              "it has no currency": "no currency", "what it corrects": "corrected already", "there is no": "corrects what is not there", "it corrects itself": "corrects itself", "it has no subject_key": "no subject_key", "unknown subject_kind": "unknown subject_kind",
              "another row": "twice in a load", "its times are": "infinite time"}}
REASONS["commitment"] = REASONS["money"]


def object_key(*names):
    return "/".join(n.replace("/", "\\/") for n in names)


def key_of(mark):
    return (mark[0], object_key(*mark[1:]))


def column(row, name, type_):
    x = row.get(name)
    if x is None or x in (INFINITE, "NaN"):
        return x
    return journeys.sql_time(x) if type_ == "timestamptz" else x


def literal(row, name, type_):
    x = column(row, name, type_)
    return "NULL" if x is None else str(x) if type_ == "bigint" else quote(str(x)) + "::" + type_


# ---- the walk: what is done, and what must come of it -------------------------------------------------------------

model = ledger.Ledger()
s = Session()
wrong, checked = defaultdict(list), Counter()
later = []                                  # what to judge once the answers are there: (query number, function)
instants = [0]                              # the write that was last at each instant kept


def expect(query, judge):
    later.append((s.query(query), judge))


def check(what, good, note):
    checked[what] += 1
    if not good:
        wrong[what].append(note())


s.run("""
SELECT grant_access('loader', 'postgres'), grant_access('steward', 'postgres') \\g /dev/null
CREATE ROLE ledger_test_ana;
CREATE ROLE ledger_test_cleo;
SELECT grant_access('steward', 'ledger_test_ana'), grant_access('council', 'ledger_test_cleo') \\g /dev/null
CREATE TABLE instant (no int, at timestamptz);
CREATE FUNCTION agreed(statements text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
BEGIN
    SET SESSION AUTHORIZATION ledger_test_ana;
    number := revacct.draft_change('a test');
    EXECUTE statements;
    PERFORM revacct.propose_change(number);
    SET SESSION AUTHORIZATION ledger_test_cleo;
    PERFORM revacct.approve(number);
    RESET SESSION AUTHORIZATION;
END $$;
CREATE FUNCTION attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'taken in';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE FUNCTION digest() RETURNS TABLE (name text, digest text) LANGUAGE plpgsql AS $$
BEGIN
    FOR name IN SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'revacct_data'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE ALL ('{refreshed,%\\_figure,open\\_clock}') ORDER BY c.relname LOOP
        EXECUTE format($q$ SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM revacct_data.%I AS t $q$, name) INTO digest;
        RETURN NEXT;
    END LOOP;
END $$
""".replace("ledger_test_", RUN))
for source in SOURCES:
    for fact, columns in COLUMNS.items():
        name = "%s_%s" % (source, fact)
        s.run("CREATE TABLE t_%s (%s)" % (name, ", ".join("%s %s" % c for c in columns.items())))
        shown = [c for c in columns if c not in ABSENT[source]]
        rng.shuffle(shown)
        s.run("CREATE VIEW v_%s AS SELECT %s FROM t_%s" % (name, ", ".join(shown), name))
    s.run("SELECT map_source('%s', 'v_%s_event', 'v_%s_link', 'v_%s_money', 'v_%s_commitment') \\g /dev/null" % ((source,) * 5))


class Definitions:
    """What is agreed of lifecycles: the stages in force, and which retired ones are counted as which."""

    def __init__(self):
        self.zone, self.stages, self.successor = {}, defaultdict(list), {}

    def marks(self, lifecycle):
        def counted(stage):
            while stage in self.successor:
                stage = self.successor[stage]
            return stage in self.stages[lifecycle]
        names = set(self.stages[lifecycle]) | {x for x in self.successor if x[0] == lifecycle}
        return {("stage",) + x for x in names if counted(x)}


definitions = Definitions()
STAGES = ("new", "mql", "a/b", "won", "lost", "nurture", "Größe", "verbal, ok")


def instant():
    """Times that meet: a few of each world, in several years, and any other."""
    return rng.choice(pool) if rng.random() < 0.8 else journeys.at(rng.choice((1900, 2019, 2024, 2025, 2031, 2199)), rng.randint(1, 12), rng.randint(1, 28)) \
        + rng.randrange(DAY)


class Offers:
    """All rows that a source ever showed, by key, and new ones."""

    def __init__(self, source):
        self.source, self.rows, self.no = source, defaultdict(dict), 0

    def key(self, fact):
        self.no += 1
        return "%s/%06d" % (fact, self.no)

    def without_absent(self, row):
        return {k: v for k, v in row.items() if v is not None and k not in ABSENT[self.source]}

    def event(self):
        kind = rng.choice(("stage_entered",) * 6 + ("field_set",) * 6 + ("assigned", "assigned", "created", "touch_out", "disposition_set", "demo_given", "offered", "retracted"))
        row = dict(subject_kind=rng.choice(("lead", "lead", "opportunity", "case")), subject_key=str(rng.randint(1, 5)), event=kind, occurred_at=instant(),
                   source_key=self.key("event"))
        if rng.random() < 0.3:
            row["seq"] = rng.choice((-1, 1, 2, 3))
        if rng.random() < 0.2:
            row["actor"] = rng.choice(people)
        if rng.random() < 0.2:
            row["program"] = rng.choice(("fair", "ads"))
        if kind == "stage_entered":
            row.update(lifecycle=rng.choice(processes), stage=rng.choice(STAGES))
            if rng.random() < 0.2:
                row["amount"] = "%d.5" % rng.randrange(1000)
            if rng.random() < 0.1 and "stage party" not in AVOID:
                row["party"] = rng.choice(people)
        elif kind == "field_set":
            field = row["field"] = rng.choice(("segment", "segment", "lead_source", "lead_source", "amount", "amount", "industry", "expected_close"))
            if field == "amount":
                row.update(amount="%d.%0*d" % (rng.randrange(10 ** rng.randint(1, 13)), *rng.choice(((2, 25), (4, 1234), (1, 0)))),
                           currency=rng.choice((None, "EUR", "USD")))
                if rng.random() < 0.1 and "amount party" not in AVOID:
                    row["party"] = rng.choice(people)
                if rng.random() < 0.1:
                    row["amount"] = None
            elif field == "expected_close":
                row["details"] = json.dumps({"value": "2026-01-%02d" % rng.randint(1, 28)})
            elif rng.random() < 0.9:
                row["code"] = rng.choice(("Web", "web", "SMB", "a/b"))
                if rng.random() < 0.1:
                    row["code_list"] = "other"
            elif rng.random() < 0.5 and "minus one" not in AVOID:
                row["value"] = rng.choice((-1, 0))
        elif kind in ("assigned", "offered", "touch_out"):
            row["party"] = rng.choice(people + (None,)) if kind == "touch_out" else rng.choice(people)
            if kind == "touch_out" and rng.random() < 0.3:
                row["value"] = rng.choice((0, 7, -3, 2 ** 40))
        elif kind == "disposition_set":
            row["code"] = rng.choice(("no budget", "other"))
            if rng.random() < 0.3:
                row["code_list"] = "loss_reason"
        if kind == "retracted" or rng.random() < 0.15:
            row["corrects"] = rng.choice([k for k in self.rows["event"] if k < row["source_key"]] or [None]) if rng.random() < 0.9 else "event/x"
        return row

    def changed_event(self, row):
        """The same key, and something else."""
        row = dict(row)
        what = rng.choice(("occurred_at", "subject_key", "seq", "code", "stage", "amount") + (() if "details" in AVOID else ("details", "actor", "program")))
        if what == "code" and row.get("code"):
            row["code"] = "another"
        elif what == "stage" and row.get("stage"):
            row["stage"] = "another"
        elif what == "amount" and row.get("amount"):
            row["amount"] = "77.01"
        elif what == "subject_key":
            row["subject_key"] = "6"
        elif what == "seq":
            row["seq"] = 4
        elif what == "details":
            row["details"] = '{"value": "2027-12-31"}'
        elif what in ("actor", "program"):
            row[what] = "somebody else"
        else:
            row["occurred_at"] += rng.choice((1, DAY))
        return row

    def faulty_event(self):
        row = dict(rng.choice([self.event() for _ in range(4)]))
        fault = rng.choice((dict(subject_kind=None), dict(subject_kind="deal"), dict(subject_key=None), dict(subject_key=""), dict(source_key=None if "reasons" in AVOID else rng.choice((None, ""))),
                            dict(source_key="x" * 1001), dict(occurred_at=None), dict(occurred_at=INFINITE),
                            dict(occurred_at=ledger.FIRST - 1), dict(occurred_at=ledger.LAST), dict(event=None), dict(event="nonsense"), dict(event=""),
                            dict(event="stage_entered", lifecycle=None, stage="new"), dict(event="stage_entered", lifecycle="deal", stage=""),
                            dict(event="field_set", field=None), dict(amount="NaN"), dict(amount="100000000000000"), dict(event="retracted", corrects=None),
                            dict(corrects=row["source_key"])))
        row.update(fault)
        if "reasons" in AVOID and row["event"] == "stage_entered" and ("amount" in fault or "corrects" in fault):
            row.update(event="created")
        return row

    def link(self):
        other = rng.choice(SOURCES)
        kind = rng.choice(("lead", "opportunity", "case"))
        role = rng.choice(("same_as",) * 4 + ("account", "originated"))
        row = dict(from_kind=kind, from_key=str(rng.randint(1, 5)), to_source=rng.choice((other, None)), role=role, to_key=str(rng.randint(1, 5)),
                   to_kind=kind if role == "same_as" else rng.choice(("account", "opportunity", "person")), source_key=self.key("link"))
        if rng.random() < 0.2:
            row["from_source"] = rng.choice(SOURCES)
        if rng.random() < 0.3:
            row["valid_from"] = rng.choice(pool)
        if rng.random() < 0.3:
            row["valid_until"] = rng.choice(pool)
        if rng.random() < 0.2:
            row["share"] = rng.choice(("0.5", "1", "0.25"))
        return row

    def changed_link(self, row):
        row = dict(row)
        if rng.random() < 0.3:
            row["from_key"], row["to_key"] = str(rng.randint(1, 5)), str(rng.randint(1, 5))
        elif rng.random() < 0.5:
            row["to_key"] = str(rng.randint(1, 5))
        elif rng.random() < 0.5:
            row["valid_until"] = rng.choice(pool + [None])
        else:
            row["share"] = rng.choice(("0.75", None))
        return row

    def faulty_link(self):
        return dict(self.link(), **dict(dict(valid_from=None, valid_until=None), **rng.choice((dict(role=None), dict(role="friend"), dict(from_key=""), dict(to_key=None), dict(role="account", from_kind="deal"), dict(role="account", to_kind=None),
                                               dict(share="0"), dict(share="1.5"), dict(role="same_as", from_kind="lead", to_kind="case"),
                                               dict(valid_from=pool[0], valid_until=pool[0])))))

    def money(self):
        row = dict(source_key=self.key("money"), kind=rng.choice(ledger.MONEY), starts_on="2025-0%d-01" % rng.randint(1, 9), currency="EUR",
                   amount="%d.%02d" % (rng.randrange(10 ** 6), rng.randrange(100)), ends_on=rng.choice((None, "2026-01-01")),
                   subject_kind="account", subject_key=rng.choice((None, "1", "2")), party=rng.choice((None, "alice")), program=rng.choice((None, "fair")))
        return row

    def commitment(self):
        return dict(source_key=self.key("commitment"), kind=rng.choice(ledger.COMMITMENTS), subject_kind="opportunity", subject_key=rng.choice((None, "1", "2")),
                    from_party="alice", to_party=rng.choice((None, "bob")), promised=rng.choice((None, "a demo")), amount=rng.choice((None, "5.00")),
                    due_at=rng.choice((None, pool[0])), delivered_at=rng.choice((None, pool[1])), outcome=rng.choice((None, "kept")), metric=rng.choice((None, "win_rate")))

    def other(self, fact):
        row = self.money() if fact == "money" else self.commitment()
        if rng.random() < 0.2:
            row["corrects"] = rng.choice([k for k in self.rows[fact] if k < row["source_key"]] or ["x"])
        return row

    def changed_other(self, fact, row):
        if "others" in AVOID:
            return dict(row, amount="77.01")
        return dict(row, **rng.choice((dict(amount="77.01"), dict(subject_kind="account", subject_key="3"), dict(party="carol") if fact == "money" else dict(metric="nps"))))

    def faulty_other(self, fact):
        common_faults = (dict(source_key=""), dict(source_key=None), dict(kind="rent"), dict(kind=None), dict(amount="NaN"), dict(amount="1e14"),
                         dict(subject_key="1", subject_kind="deal"))
        own = (dict(starts_on=None), dict(starts_on=INFINITE, ends_on=None), dict(starts_on="2025-01-02", ends_on="2025-01-02"), dict(amount=None), dict(currency=""), dict(currency=None)) \
            if fact == "money" else (dict(due_at=INFINITE), dict(delivered_at=INFINITE))
        if "reasons" in AVOID:
            return dict(self.other(fact), corrects=None, **rng.choice(common_faults[2:] + own))
        return dict(self.other(fact), **rng.choice(common_faults + own))

    def batch(self, fact):
        """What the source shows at a load: new rows, old ones, the same twice, otherwise, and wrong ones."""
        shown = self.rows[fact]
        make, change, fault = {"event": (self.event, self.changed_event, self.faulty_event), "link": (self.link, self.changed_link, self.faulty_link)}.get(
            fact, (lambda: self.other(fact), lambda r: self.changed_other(fact, r), lambda: self.faulty_other(fact)))
        out = rng.sample(list(shown.values()), rng.randint(0, min(len(shown), 12)))
        for _ in range(rng.choice((0, 1, 5, 15)) if fact == "event" else rng.choice((0, 0, 0, 1)) if fact == "link" else rng.choice((0, 1, 3))):
            row = self.without_absent(make())
            shown[row["source_key"]] = row
            out.append(row)
        for _ in range(rng.choice((0, 0, 1, 2))):
            out.append(self.without_absent(fault()))
        if shown and rng.random() < (0.4 if fact == "event" else 0.6):
            out.append(self.without_absent(change(rng.choice(list(shown.values())))))
        if out and rng.random() < 0.4 and (fact == "event" or "twice" not in AVOID):
            out.append(dict(rng.choice(out)))
        if "others" in AVOID and fact in ("money", "commitment"):
            keys = {r.get("source_key") for r in out}
            out = [r for r in out if r.get("corrects") not in keys or r.get("corrects") is None]
            out = [r for i, r in enumerate(out) if r.get("corrects") is None or r["corrects"] not in [o.get("corrects") for o in out[:i]]]
        rng.shuffle(out)
        return self.told(fact, out)

    def told(self, fact, rows):
        """Without those of which it is not said which one wins."""
        out, seen, pairs = [], defaultdict(list), {}
        for r in rows:
            key = r.get("source_key")
            if key:
                others = [o for o in seen[key] if o != r]
                if others and (fact != "event" or any(o.get("occurred_at") == r.get("occurred_at") or INFINITE in (o.get("occurred_at"), r.get("occurred_at"))
                                                      or None in (o.get("occurred_at"), r.get("occurred_at")) for o in others)):
                    continue
                if seen[key] and fact != "event" and "twice" in AVOID:
                    continue
            if fact == "link":
                pair = tuple(r.get(c) for c in ("from_kind", "from_key", "to_kind", "to_key", "role"))
                if pairs.setdefault(pair, r) != r:
                    continue
            seen[key].append(r)
            out.append(r)
        return out


# ---- steps ----------------------------------------------------------------------------------------------------------

LOADERS = {"event": model.load_events, "link": model.load_links, "money": lambda *a: model.load_others("money", *a),
           "commitment": lambda *a: model.load_others("commitment", *a)}


def fill(source, fact, rows):
    s.run("TRUNCATE t_%s_%s" % (source, fact))
    s.load("t_%s_%s (%s)" % (source, fact, ", ".join(COLUMNS[fact])), [[column(r, c, t) for c, t in COLUMNS[fact].items()] for r in rows])


def load(source, batches):
    for fact in COLUMNS:
        fill(source, fact, batches.get(fact, []))
    want = {fact: LOADERS[fact](source, batches.get(fact, [])) for fact in COLUMNS}

    def judge(answer):
        got = {r[0]: tuple(int(x) for x in r[1:]) for r in answer}
        for fact, counts in want.items():
            check("loads of %s say what they did" % fact, got.get(fact) == tuple(counts),
                  lambda: "%s of %s: got %s, want %s\n%s" % (fact, source, got.get(fact), tuple(counts), "\n".join(map(str, batches.get(fact, [])[:30]))))
            for name, n in counts._asdict().items():
                checked["rows of %s %s" % (fact, name)] += n
    expect("SELECT * FROM load('%s')" % source, judge)
    keep_instant()


def keep_instant():
    """An instant after what was written up to now."""
    s.run("INSERT INTO instant SELECT %d, clock_timestamp()" % len(instants))
    instants.append(model.write)


def single(source, fact, row):
    if fact == "event":
        want = model.takes_event(source, row)
        call = "record_event(%s, %s)" % (quote(source), ", ".join("%s => %s" % (c, literal(row, c, t)) for c, t in COLUMNS[fact].items()
                                                                  if c in row or c in ("subject_kind", "subject_key", "event", "occurred_at")))
    else:
        want = model.takes_link(source, row)
        call = "record_link(%s, %s)" % (quote(source), ", ".join("%s => %s" % (c, literal(row, c, t)) for c, t in COLUMNS[fact].items()
                                                                 if c in row or c in ("from_kind", "from_key", "role", "to_kind", "to_key")))
    answer = "taken in" if want else "23514"
    expect("SELECT attempt(%s)" % quote("SELECT revacct." + call),
           lambda a: check("single records of %s %s" % (fact, answer), a[0][0] == answer, lambda: "%s: got %s, want %s" % (call, a[0][0], answer)))
    keep_instant()


def define():
    process = rng.choice(processes)
    own = definitions.stages[process]
    if process not in definitions.zone:
        zone = definitions.zone[process] = rng.choice(common.ZONES)
        names = rng.sample(STAGES[:-1], 2)
        own += [(process, n) for n in names]
        calls = ["define_lifecycle(%s, time_zone => %s, unknown => 'count')" % (quote(process), quote(zone))] \
            + ["define_stage(%s, %s, %d)" % (quote(process), quote(n), i + 1) for i, n in enumerate(names)]
    elif rng.random() < 0.6 or len(own) < 3:
        n = rng.choice([n for n in STAGES if (process, n) not in own and (process, n) not in definitions.successor] or [None])
        if n is None:
            return
        own.append((process, n))
        calls = ["define_stage(%s, %s, %d)" % (quote(process), quote(n), 10 + len(own) + len(definitions.successor))]
    elif rng.random() < 0.3 and "demo_given" not in model.codes:
        model.codes.add("demo_given")
        calls = ["define_code('event', 'demo_given')"]
    else:
        gone, successor = rng.sample(own, 2)
        own.remove(gone)
        definitions.successor[gone] = successor
        calls = ["retire('stage', %s, successor => %s)" % (quote(object_key(*gone)), quote(object_key(*successor)))]
    checked["definitions"] += 1
    s.run("SELECT agreed(%s) \\g /dev/null" % quote("SELECT " + ", ".join("revacct." + c for c in calls)))


MARKS = ("SELECT r.source, s.kind, s.subject_key, j.subject_id, %s, g.kind, g.key, m.value, m.seq FROM %%s AS j JOIN revacct_data.subject AS s USING (subject_id) "
         "JOIN revacct_data.source AS r USING (source_no), marks(j.journey) AS m LEFT JOIN revacct_data.numbering AS g ON g.is_mark AND g.number = m.mark" % micros("m.at"))
numbers, subject_ids = {}, {}


def number(name):
    if not isinstance(name, tuple):
        return name
    return numbers[name if name[0] == "party" else (name[0], object_key(*name[1:]))]


def same_journeys(what, want, answer):
    """want: {subjects that are the same: marks by name}."""
    got = defaultdict(set)
    for source, kind, key, _, at, mark_kind, mark, value, seq in answer:
        got[(source, kind, key)].add((whole(at), (mark_kind, mark), value and int(value), seq and int(seq)))
    wanted = {}
    for same, marks in want.items():
        stands_for = min(same, key=lambda x: subject_ids[x])
        wanted[stands_for] = {(at, key_of(mark), number(value), seq) for at, mark, value, seq in marks}
    for subject in set(got) | set(wanted):
        check(what, got.get(subject) == wanted.get(subject),
              lambda: "%s: got, not wanted %s; wanted, not got %s" % (subject, sorted(got.get(subject, set()) - wanted.get(subject, set()), key=str)[:6],
                                                                      sorted(wanted.get(subject, set()) - got.get(subject, set()), key=str)[:6]))


def refresh(how="refresh(false)"):
    s.run("SELECT * FROM %s \\g /dev/null" % how)
    checked["calls of " + how] += 1
    expect("SELECT * FROM check_journeys()", lambda a: check("check_journeys() finds nothing", a == [], lambda: "%s" % a[:5]))
    want = model.journeys()
    expect(MARKS % "revacct_data.journey", lambda a: same_journeys("journeys after a refresh", want, a))
    # groups
    stage_marks = {p: definitions.marks(p) for p in definitions.zone}
    zones = dict(definitions.zone)

    def judge_groups(answer):
        got = {(int(r[0]), r[1]): tuple(r[2:]) for r in answer}
        wanted = {}
        for same, marks in want.items():
            for process, names in stage_marks.items():
                zone = zoneinfo.ZoneInfo(zones[process])
                p = ledger.place(marks, names, lambda t: lifecycles.to_local(t, zone), number)
                if p:
                    wanted[(min(subject_ids[x] for x in same), process)] = (p.month,) + tuple(None if x is None else str(number(x)) for x in p[1:4]) + (p.currency,)
        for k in set(got) | set(wanted):
            check("groups after a refresh", got.get(k) == wanted.get(k), lambda: "%s: got %s, want %s" % (k, got.get(k), wanted.get(k)))
        check("no subject twice in a lifecycle", len(got) == len(answer), lambda: "%s" % answer[:5])
    expect("SELECT p.subject_id, c.lifecycle, c.period_start, c.segment_no, c.lead_source_no, c.owner_no, c.currency FROM revacct_data.placement AS p JOIN revacct_data.cell AS c USING (cell_id)",
           judge_groups)
    expect("""SELECT * FROM (SELECT p.cell_id, p.bucket, p.subject_id, j.journey FROM revacct_data.placement AS p JOIN revacct_data.journey AS j USING (subject_id)) AS w
              FULL JOIN (SELECT p.cell_id, p.bucket, u.subject::bigint AS subject_id, u.journey FROM revacct_data.pack AS p, unpack(p.pack) AS u) AS g USING (cell_id, bucket, subject_id)
              WHERE w.journey IS DISTINCT FROM g.journey""", lambda a: check("packs hold the journeys of their groups", a == [], lambda: "%s" % a[:3]))
    # what is set aside
    aside = Counter((source, fact, key, why) for source, fact, key, _, why in model.rejected)

    def judge_rejected(answer):
        got = Counter()
        for source, fact, key, reason in answer:
            names = [n for begin, n in REASONS[fact].items() if reason.startswith(begin)]
            got[(source, fact, key, names[0] if names else reason)] += 1
        for k in set(got) | set(aside):
            check("what is set aside, and why", got[k] == aside[k], lambda: "%s: got %d, want %d" % (k, got[k], aside[k]))
            checked["set aside: %s, %s" % (k[1], k[3])] += 1
    expect("SELECT r.source, a.fact, a.source_key, a.reason FROM revacct_data.rejected AS a JOIN revacct_data.source AS r USING (source_no)", judge_rejected)
    # as it was recorded by then
    for i in rng.sample(range(1, len(instants)), min(2, len(instants) - 1)):
        then = model.journeys(instants[i])
        expect(MARKS % ("_fold(NULL, (SELECT at FROM instant WHERE no = %d))" % i), lambda a, then=then: same_journeys("journeys as recorded by an earlier instant", then, a))


def nothing_changes(what, work):
    before = s.query("SELECT * FROM digest()")
    work()
    after = s.query("SELECT * FROM digest()")
    later.append(((before, after), lambda a, b: check(what, a == b, lambda: "%s" % [x[0] for x, y in zip(a, b) if x != y])))


def walk(no, steps):
    global pool, people, processes, offers
    start = journeys.at(rng.choice((2023, 2024, 2025)), rng.choice((1, 6, 12)), rng.choice((1, 28)))
    pool = [start + DAY * rng.randrange(60) for _ in range(8)] + [journeys.at(2031, 1, 1), journeys.at(2025, 1, 1), journeys.at(2025, 1, 1) - 1]
    people = ("alice", "bob", "Zoë/x")
    processes = ("deal %d" % (no % 3), "care")
    for _ in range(steps):
        step = rng.random()
        source = rng.choice(SOURCES)
        mine = offers[source]
        if step < 0.4:
            load(source, {f: mine.batch(f) for f in COLUMNS if f in ("event", "link") or rng.random() < 0.3})
        elif step < 0.55:
            row = rng.choice((mine.event, mine.event, mine.faulty_event, lambda: rng.choice(list(mine.rows["event"].values()) or [mine.event()])))()
            if row.get("source_key"):
                row = mine.without_absent(row)
                if model.unreadable(row) is None:
                    mine.rows["event"].setdefault(row["source_key"], row)
                single(source, "event", row)
        elif step < 0.65:
            row = mine.without_absent(rng.choice((mine.link, mine.link, mine.faulty_link))())
            single(source, "link", row)
        elif step < 0.72:
            define()
        elif step < 0.75:
            refresh("rebuild_journeys()")
        elif step < 0.9:
            refresh()


offers = {source: Offers(source) for source in SOURCES}
for world in range(scaled(6)):
    walk(world, 40)
refresh()
nothing_changes("another refresh changes nothing", lambda: s.run("SELECT * FROM refresh(false) \\g /dev/null"))
recorded = s.query("SELECT r.source, e.source_key, s.kind, s.subject_key, %s, e.seq, e.amount, e.currency, p.party, e.program, e.corrects, e.details->>'value', "
                   "(SELECT c.corrected_by FROM revacct_data.correction AS c WHERE c.source_no = e.source_no AND c.source_key = e.source_key), i.no "
                   "FROM revacct_data.event AS e JOIN revacct_data.subject AS s USING (subject_id) JOIN revacct_data.source AS r ON r.source_no = e.source_no "
                   "LEFT JOIN revacct_data.party AS p ON p.party_no = e.actor_no "
                   "LEFT JOIN LATERAL (SELECT min(i.no) FROM instant AS i WHERE i.at >= e.recorded_at) AS i (no) ON true" % micros("e.occurred_at"))
recorded_links = s.query("SELECT f.subject_id, t.subject_id, l.role, %s, %s, l.share, upper_inf(l.recorded) FROM revacct_data.subject_link AS l "
                         "JOIN revacct_data.subject AS f ON f.subject_id = l.from_subject JOIN revacct_data.subject AS t ON t.subject_id = l.to_subject"
                         % (micros("lower(l.valid)"), micros("upper(l.valid)")))
recorded_others = s.query("SELECT 'money', r.source, m.source_key, m.corrects FROM revacct_data.money AS m JOIN revacct_data.source AS r USING (source_no) "
                          "UNION ALL SELECT 'commitment', r.source, m.source_key, m.corrects FROM revacct_data.commitment AS m JOIN revacct_data.source AS r USING (source_no)")
on_record = {"event": dict(model.events), "corrections": dict(model.corrections), "links": [(x.ends, x.role, x.lower, x.upper, x.share, x.until is None) for x in model.links],
             "others": {(fact, *k, dict(content).get("corrects")) for fact, rows in model.others.items() for k, content in rows.items()}, "instants": list(instants)}


def judge_records(events, links, others):
    got = {(r[0], r[1]): (r[2], r[3], whole(r[4]), *r[5:13], int(r[13])) for r in events}
    for k, e in on_record["event"].items():
        by = on_record["corrections"].get(k)
        want = (*e.subject[1:], e.at, *(None if x is None else str(x) for x in (e.seq, e.amount)), e.currency, e.actor, e.program, e.corrects,
                None if e.details is None else json.loads(e.details)["value"], by and by.by,
                min(i for i, write in enumerate(on_record["instants"]) if write >= e.write))
        check("every event on record, as it was told", got.get(k) == want, lambda: "%s: got %s, want %s" % (k, got.get(k), want))
    check("nothing else is on record", set(got) == set(on_record["event"]), lambda: "%s" % sorted(set(got) - set(on_record["event"]))[:5])
    want = Counter((*(str(subject_ids[x]) for x in ends), role, lower, upper, None if share is None else "%.6f" % share, "t" if current else "f")
                   for ends, role, lower, upper, share, current in on_record["links"])
    got = Counter((*r[:3], whole(r[3]), whole(r[4]), *r[5:]) for r in links)
    check("links on record, and what was", got == want, lambda: "got, not wanted %s; wanted, not got %s" % (list((got - want).items())[:3], list((want - got).items())[:3]))
    got = {tuple(r) for r in others}
    check("money and commitments on record", got == on_record["others"], lambda: "%s" % sorted(got ^ on_record["others"], key=str)[:5])


later.append(((recorded, recorded_links, recorded_others), judge_records))

# Everything that is on record, again and again
again = {source: {"event": [r for k, r in offers[source].rows["event"].items() if (source, k) in model.events and model.event_of(source, r)[:-1] == model.events[(source, k)][:-1]]}
         for source in SOURCES}
for source in SOURCES:
    for fact, records in model.others.items():
        again[source][fact] = [r for k, r in offers[source].rows[fact].items() if records.get((source, k)) == ledger.frozen(dict(r, amount=ledger.round2(r.get("amount"))))]


def load_again():
    for source in SOURCES:
        load(source, again[source])
    s.run("SELECT * FROM refresh(false) \\g /dev/null")


load_again()
nothing_changes("loading everything again changes nothing", load_again)

# The same facts of two sources, the one's at once, the other's bit by bit in any order: the same journeys, to the byte
rows, corrected = [], set()
twin = Offers("left")
ABSENT.update(left=(), right=())
for name in ("left", "right"):
    for fact, columns in COLUMNS.items():
        s.run("CREATE TABLE t_%s_%s (%s)" % (name, fact, ", ".join("%s %s" % c for c in columns.items())))
    s.run("SELECT map_source('%s', 't_%s_event', 't_%s_link', 't_%s_money', 't_%s_commitment') \\g /dev/null" % ((name,) * 5))
while len(rows) < scaled(200):
    row = twin.without_absent(twin.event())
    if row["event"] == "demo_given" or (row["event"] == "retracted" and "corrects" not in row) or row.get("corrects") in corrected | {"event/x"}:
        continue
    corrected |= {row.get("corrects")} - {None}
    twin.rows["event"][row["source_key"]] = row
    rows.append(row)
load("left", {"event": rows})
for share in (0.1, 0.3, 0.6, 0.9, 1):
    load("right", {"event": rng.sample(rows, int(len(rows) * share))})
    if rng.random() < 0.6:
        refresh()
refresh()
expect("""SELECT l.subject_key, r.subject_key, l.bytes IS NOT DISTINCT FROM r.bytes
          FROM (SELECT s.kind, s.subject_key, journey_send(j.journey) AS bytes FROM revacct_data.journey AS j JOIN revacct_data.subject AS s USING (subject_id) JOIN revacct_data.source AS o USING (source_no) WHERE o.source = 'left') AS l
          FULL JOIN (SELECT s.kind, s.subject_key, journey_send(j.journey) AS bytes FROM revacct_data.journey AS j JOIN revacct_data.subject AS s USING (subject_id) JOIN revacct_data.source AS o USING (source_no) WHERE o.source = 'right') AS r
              USING (kind, subject_key)""",
       lambda a: [check("journeys whatever the order of loading, to the byte", r[2] == "t", lambda: "%s" % r) for r in a])
kept = s.query("SELECT subject_id, journey_send(journey) FROM revacct_data.journey ORDER BY 1")
s.run("SELECT * FROM rebuild_journeys() \\g /dev/null")
rebuilt = s.query("SELECT subject_id, journey_send(journey) FROM revacct_data.journey ORDER BY 1")
later.append(((kept, rebuilt), lambda a, b: check("a rebuild gives the same journeys, to the byte", a == b and len(a) > 0, lambda: "%s" % [x for x, y in zip(a, b) if x != y][:5])))

names = s.query("SELECT kind, key, number FROM revacct_data.numbering UNION ALL SELECT 'party', party, party_no FROM revacct_data.party")
subjects = s.query("SELECT r.source, s.kind, s.subject_key, s.subject_id FROM revacct_data.subject AS s JOIN revacct_data.source AS r USING (source_no)")
for role in ("ana", "cleo"):
    s.run("DROP OWNED BY %s%s; DROP ROLE %s%s" % (RUN, role, RUN, role))
answers = s.go()
numbers.update({(r[0], r[1]): int(r[2]) for r in answers[names]})
subject_ids.update({tuple(r[:3]): int(r[3]) for r in answers[subjects]})
for no, judge in later:
    judge(*([answers[i] for i in no] if isinstance(no, tuple) else [answers[no]]))

for what in sorted(set(wrong) | {c for c in checked if not c.startswith(("rows of", "set aside: ", "calls", "definitions"))}):
    tap.none(wrong[what], what, checked[what])
for what, n in sorted(checked.items()):
    if what.startswith(("rows of", "set aside: ", "calls", "definitions")):
        print("# %s: %d" % (what, n))
tap.done()
