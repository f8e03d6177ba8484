"""What sql/facts.sql and sql/refresh.sql are to do, by brute force: rows in, a list of facts, journeys by going through all of them.

Names stay names here: a mark is ("stage", lifecycle, stage) or ("event", name[, currency]), a value a number or ("code", list, code) or
("party", name).  Time of recording is the number of the write.  A row is a dict of columns; what is missing is None.
"""
from collections import namedtuple
from decimal import ROUND_HALF_UP, Decimal

import journeys

KINDS = ("account", "person", "lead", "opportunity", "contract", "project", "case")
ROLES = ("account", "originated", "contact_role", "same_as", "referral", "delivers")
MONEY = ("recurring", "one_time", "cost", "budget")
COMMITMENTS = ("milestone", "check_in", "action", "promise", "forecast", "practice")
EVENTS = set("created stage_entered field_set assigned offered accepted rejected expired touch_out touch_in auto_reply meeting_set meeting_held "
             "meeting_no_show disposition_set recycled reopened merged paused resumed escalated feedback asset_used asset_shared training_done "
             "coached tool_used service_opened service_closed survey referral exposed override".split())
FIRST, LAST = journeys.at(1900, 1, 1), journeys.at(2200, 1, 1)
MOST = Decimal(10) ** 14
INFINITE = "infinity"                      # a time, either way
NAN = "NaN"                                # an amount
NULL_LAST = (1, 0)

Event = namedtuple("Event", "source key subject at mark value seq amount currency code party actor program corrects details write")
Correction = namedtuple("Correction", "by write")
Counts = namedtuple("Counts", "read loaded known rejected")


class Link:
    def __init__(self, source, key, ends, role, lower, upper, share, write):
        self.source, self.key, self.ends, self.role, self.lower, self.upper, self.share = source, key, ends, role, lower, upper, share
        self.since, self.until = write, None

    def recorded(self, write):
        return self.since <= write and (self.until is None or write < self.until)


def round2(x):
    return None if x is None else Decimal(x).quantize(Decimal("0.01"), ROUND_HALF_UP)


def no_amount(x):
    return x is not None and (x == NAN or abs(Decimal(x)) >= MOST)


def frozen(row):
    """The row as content: what is NULL is not there."""
    return tuple(sorted((k, str(v)) for k, v in row.items() if v is not None))


def bad_corrections(corrects, recorded, corrected):
    """(key, why) of the rows of a load that correct nothing, or what is corrected already. corrects: key -> what it corrects, or None."""
    corrects = dict(corrects)
    while True:
        grounded = {k for k, c in corrects.items() if c is None or recorded(c)}
        while True:
            more = {k for k, c in corrects.items() if c in grounded} - grounded
            if not more:
                break
            grounded |= more
        bad = {k: "corrects what is not there" for k in corrects if k not in grounded}
        bad.update({k: "corrected already" for k, c in corrects.items() if k in grounded and c is not None and corrected(c)})
        if not bad:  # only then, who comes first among those that correct the same
            for k in sorted(corrects, key=str.encode):
                if corrects[k] is not None and any(corrects[j] == corrects[k] and j.encode() < k.encode() for j in corrects if j != k):
                    bad[k] = "corrected already"
        if not bad:
            return
        for k, why in bad.items():
            del corrects[k]
            yield k, why


class Ledger:
    def __init__(self):
        self.write = 0
        self.events = {}                   # (source, key) -> Event
        self.corrections = {}              # (source, key of what does not count) -> Correction
        self.links = []
        self.others = {"money": {}, "commitment": {}}      # (source, key) -> content
        self.corrected = {"money": {}, "commitment": {}}
        self.rejected = []                 # (source, fact, key, content, reason)
        self.codes = set()                 # of the list event
        self.subjects = set()

    # ---- what is set aside ----

    def judged_again(self, source, fact, rows):
        keys = {r.get("source_key") for r in rows if r.get("source_key")}
        contents = {frozen(r if fact == "event" else dict(r, source_key=r.get("source_key") or None)) for r in rows if not r.get("source_key")}
        self.rejected = [x for x in self.rejected if not (x[0] == source and x[1] == fact and (x[2] in keys or (not x[2] and x[3] in contents)))]

    def set_aside(self, source, fact, row, reason):
        key = row.get("source_key") if fact == "event" else row.get("source_key") or None
        self.rejected.append((source, fact, key, frozen(dict(row, source_key=key)), reason))

    # ---- events ----

    def corrected_so(self, source, key, new):
        """Does the event that corrects this one say what the source says now?"""
        c = self.corrections.get((source, key))
        e = c and self.events[(source, c[0])]
        return bool(e) and all(getattr(e, f) == getattr(new, f) for f in ("subject", "at", "mark", "value", "seq", "amount", "currency"))

    def unreadable(self, r):
        g = r.get
        if g("subject_kind") is None:
            return "no subject_kind"
        if g("subject_kind") not in KINDS:
            return "unknown subject_kind"
        if not g("subject_key"):
            return "no subject_key"
        if not g("source_key"):
            return "no source_key"
        if len(g("source_key").encode()) > 1000 or len(g("subject_key").encode()) > 1000:
            return "long key"
        if g("occurred_at") is None:
            return "no occurred_at"
        if g("occurred_at") == INFINITE or not FIRST <= g("occurred_at") < LAST:
            return "time out of range"
        if not g("event"):
            return "no event"
        if g("event") == "stage_entered" and not (g("lifecycle") and g("stage")):
            return "no stage"
        if g("event") == "field_set" and not g("field"):
            return "no field"
        if g("event") == "retracted" and g("corrects") is None:
            return "retracts nothing"
        if g("corrects") == g("source_key"):
            return "corrects itself"
        if no_amount(g("amount")):
            return "no amount"
        if g("event") not in EVENTS | self.codes | {"retracted", "segment_set", "lead_source_set"}:
            return "unknown event"
        return None

    def event_of(self, source, r):
        """What the row says."""
        g, kind = r.get, r["event"]
        amount = kind == "field_set" and r.get("field") == "amount"
        mark = (None if kind == "retracted" else ("stage", g("lifecycle"), g("stage")) if kind == "stage_entered"
                else ("event", "amount_set") + ((g("currency"),) if g("currency") else ()) if amount
                else ("event", g("field") + "_set") if kind == "field_set" else ("event", kind))
        code = ("code", g("code_list") or g("field") or ("disposition" if kind == "disposition_set" else kind), g("code")) if g("code") else None
        value = None
        if amount:
            value = None if g("amount") is None else int((Decimal(g("amount")) * 10000).quantize(Decimal(1), ROUND_HALF_UP))
        elif g("value") is not None:
            value = g("value")
        elif code:
            value = code
        elif g("party") and kind != "stage_entered":
            value = ("party", g("party"))
        return Event(source, g("source_key"), (source, g("subject_kind"), g("subject_key")), g("occurred_at"), mark, value, g("seq"),
                     round2(g("amount")), g("currency"), code, g("party"), g("actor"), g("program"), g("corrects"), g("details"), self.write)

    def load_events(self, source, rows):
        self.write += 1
        self.judged_again(source, "event", rows)
        known = 0
        left = []
        for r in rows:
            why = self.unreadable(r)
            if why:
                self.set_aside(source, "event", r, why)
            else:
                left.append(r)
        # one key, several rows: the earliest is believed
        first = {}
        for r in sorted(left, key=lambda r: (r["occurred_at"], NULL_LAST if r.get("seq") is None else (0, r["seq"]))):
            k = r["source_key"]
            if k not in first:
                first[k] = r
            elif frozen(first[k]) == frozen(r):
                known += 1
            else:
                self.set_aside(source, "event", r, "twice in a load")
        incoming = {}
        for k, r in first.items():
            self.subjects.add((source, r["subject_kind"], r["subject_key"]))
            new, old = self.event_of(source, r), self.events.get((source, k))
            if old is None:
                incoming[k] = (r, new)
            elif old[:-1] == new[:-1] or self.corrected_so(source, k, new):
                known += 1
            else:
                self.set_aside(source, "event", r, "otherwise on record")
        for k, why in bad_corrections({k: e.corrects for k, (_, e) in incoming.items()}, lambda c: (source, c) in self.events, lambda c: (source, c) in self.corrections):
            self.set_aside(source, "event", incoming.pop(k)[0], why)
        for k, (r, e) in incoming.items():
            self.events[(source, k)] = e
            if e.corrects is not None:
                self.corrections[(source, e.corrects)] = Correction(k, self.write)
        return Counts(len(rows), len(incoming), known, len(rows) - len(incoming) - known)

    def takes_event(self, source, row):
        """A single write: taken in, known (True), or refused and nothing happened (False)."""
        rejected, subjects = list(self.rejected), set(self.subjects)
        counts = self.load_events(source, [row])
        if counts.rejected:
            self.rejected, self.subjects = rejected, subjects
        return not counts.rejected

    # ---- links ----

    def unreadable_link(self, r):
        if r.get("role") not in ROLES:
            return "unknown role"
        if r.get("from_kind") not in KINDS or r.get("to_kind") not in KINDS:
            return "unknown kind"
        if not r.get("from_key") or not r.get("to_key"):
            return "no key"
        if (r["from_source"], r["from_kind"], r["from_key"]) == (r["to_source"], r["to_kind"], r["to_key"]):
            return "to itself"
        if r.get("valid_from") is not None and r.get("valid_until") is not None and r["valid_from"] >= r["valid_until"]:
            return "ends before it begins"
        if r["role"] == "same_as" and r["from_kind"] != r["to_kind"]:
            return "two kinds"
        if r.get("share") is not None and not 0 < Decimal(r["share"]) <= 1:
            return "no share"
        return None

    def load_links(self, source, rows):
        """Every row with a key of its own."""
        self.write += 1
        self.judged_again(source, "link", rows)
        known, loaded, seen, left = 0, 0, {}, []
        for given in rows:
            r = dict(given, from_source=given.get("from_source") or source, to_source=given.get("to_source") or source)
            why = self.unreadable_link(r)
            if why:
                self.set_aside(source, "link", given, why)
            elif r["source_key"] in seen:
                if seen[r["source_key"]] == r:
                    known += 1
                else:
                    self.set_aside(source, "link", given, "twice in a load")
            else:
                seen[r["source_key"]] = r
                left.append((given, r))
        new = []
        for given, r in left:
            ends = tuple((r[e + "_source"], r[e + "_kind"], r[e + "_key"]) for e in ("from", "to"))
            self.subjects.update(ends)
            share = None if r.get("share") is None else Decimal(r["share"])
            link = Link(source, r["source_key"], ends, r["role"], r.get("valid_from"), r.get("valid_until"), share, self.write)
            mine = [x for x in self.links if x.until is None and (x.source, x.key) == (source, link.key)]
            if any((x.ends, x.role, x.lower, x.upper, x.share) == (link.ends, link.role, link.lower, link.upper, link.share) for x in mine):
                known += 1
            else:
                new.append((given, link))
        new.sort(key=lambda n: n[1].key.encode())

        def meet(x, y):
            return ((x.ends, x.role) == (y.ends, y.role) and (x.upper is None or y.lower is None or y.lower < x.upper)
                    and (y.upper is None or x.lower is None or x.lower < y.upper))

        while True:
            keys = {link.key for _, link in new}
            stays = [x for x in self.links if x.until is None and not (x.source == source and x.key in keys)]
            said, speaks, seen = set(), [], set()
            for given, link in new:
                content = (link.ends, link.role, link.lower, link.upper, link.share)
                if content in seen or any((x.ends, x.role, x.lower, x.upper) == content[:4] and (x.share == link.share or x.source != source) for x in stays):
                    said.add(link.key)
                seen.add(content)
            bad = [n for n in new if n[1].key not in said
                   and (any(meet(x, n[1]) for x in stays)
                        or any(o.key not in said and o.key.encode() < n[1].key.encode() and meet(o, n[1]) for _, o in new))]
            if not bad:
                break
            for given, link in bad:
                self.set_aside(source, "link", given, "overlaps")
            new = [n for n in new if n not in bad]
        for _, link in new:
            for x in self.links:
                if x.until is None and (x.source, x.key) == (source, link.key):
                    x.until = self.write
        for _, link in new:
            if link.key in said:
                known += 1
            else:
                self.links.append(link)
                loaded += 1
        return Counts(len(rows), loaded, known, len(rows) - loaded - known)

    def takes_link(self, source, row):
        rejected = list(self.rejected)
        open_before = [x for x in self.links if x.until is None]
        counts = self.load_links(source, [row])
        if counts.rejected:
            self.rejected = rejected
            for x in open_before:
                x.until = None
        return not counts.rejected

    # ---- money and commitments ----

    def unreadable_other(self, fact, r):
        g = r.get
        if not g("source_key"):
            return "no source_key"
        if g("kind") not in (MONEY if fact == "money" else COMMITMENTS):
            return "unknown kind"
        if g("subject_key") and g("subject_kind") not in KINDS:
            return "unknown subject_kind"
        if g("subject_kind") is not None and not g("subject_key"):
            return "no subject_key"
        if no_amount(g("amount")):
            return "no amount"
        if fact == "money":
            if g("starts_on") is None or g("starts_on") == INFINITE:
                return "no starts_on"
            if g("ends_on") is not None and g("ends_on") <= g("starts_on"):
                return "ends before it begins"
            if g("amount") is None:
                return "no amount"
            if not g("currency"):
                return "no currency"
        elif INFINITE in (g("due_at"), g("delivered_at")):
            return "infinite time"
        if g("corrects") == g("source_key"):
            return "corrects itself"
        return None

    def load_others(self, fact, source, rows):
        """Money or commitments."""
        self.write += 1
        self.judged_again(source, fact, rows)
        records, corrected = self.others[fact], self.corrected[fact]
        known, first, incoming = 0, {}, {}
        for r in rows:
            why = self.unreadable_other(fact, r)
            if why:
                self.set_aside(source, fact, r, why)
            elif r["source_key"] not in first:
                first[r["source_key"]] = r
            elif frozen(first[r["source_key"]]) == frozen(r):
                known += 1
            else:
                self.set_aside(source, fact, r, "twice in a load")
        for k, r in first.items():
            content = frozen(dict(r, amount=round2(r.get("amount"))))
            if (source, k) not in records:
                incoming[k] = (r, content)
            elif records[(source, k)] == content:
                known += 1
            else:
                self.set_aside(source, fact, r, "otherwise on record")
        for k, why in bad_corrections({k: r.get("corrects") for k, (r, _) in incoming.items()}, lambda c: (source, c) in records, lambda c: (source, c) in corrected):
            self.set_aside(source, fact, incoming.pop(k)[0], why)
        for k, (r, content) in incoming.items():
            records[(source, k)] = content
            if r.get("corrects") is not None:
                corrected[(source, r["corrects"])] = k
        return Counts(len(rows), len(incoming), known, len(rows) - len(incoming) - known)

    # ---- what follows ----

    def components(self, write=None):
        """Each subject that is the same as another -> the set of all that are."""
        write = self.write if write is None else write
        group = {}
        for x in self.links:
            if x.role == "same_as" and x.upper is None and x.recorded(write):
                a, b = x.ends
                union = group.get(a, {a}) | group.get(b, {b})
                for s in union:
                    group[s] = union
        return group

    def journeys(self, write=None):
        """frozenset of subjects that are the same -> set of (at, mark, value, seq), as recorded by a write."""
        write = self.write if write is None else write
        group, out = self.components(write), {}
        for (source, key), e in self.events.items():
            c = self.corrections.get((source, key))
            if e.write <= write and e.mark is not None and not (c and c.write <= write):
                out.setdefault(frozenset(group.get(e.subject, {e.subject})), set()).add((e.at, e.mark, e.value, e.seq))
        return out


Place = namedtuple("Place", "month segment lead_source owner currency")


def place(marks, stage_marks, local, number):
    """The group of a journey in a lifecycle whose stages have the marks stage_marks; None: it never entered.

    local: the local time of an instant; number: the number of a name.  Ties at an instant are in the order of journeys, which is by numbers."""
    ordered = [(m, t[1], t[2]) for m, t in sorted(((journeys.Mark(t[0], number(t[1]), None if t[2] is None else number(t[2]), t[3]), t) for t in marks),
                                                  key=lambda x: journeys.order_key(x[0]))]
    entries = [m.at for m, name, _ in ordered if name in stage_marks]
    if not entries:
        return None

    def values(mark):
        return [value for _, name, value in ordered if name == ("event", mark)]
    currencies = [name[2] if len(name) > 2 else None for _, name, _ in ordered if name[:2] == ("event", "amount_set")]
    last = lambda xs: xs[-1] if xs else None                                     # noqa: E731
    t = local(entries[0])
    return Place("%04d-%02d-01" % (t.year, t.month), last(values("segment_set")), (values("lead_source_set") or [None])[0],
                 last(values("assigned")), last(currencies))
