"""The governed model by brute force: a list of decisions, and what was in force at an instant as known at another by replaying
them, the latest having the last word over its period.  No pieces are kept and none are cut: whatever is asked is replayed.

Instants are whole microseconds, INF is for ever.  The record is known as of an instant too; INF is all that is on it.
"""
from collections import namedtuple

INF = float("inf")

CATEGORIES = ("open", "active", "won", "lost", "no_decision", "recycled", "churned")
# kinds of events that everybody knows: an SLA names them without a definition
WELL_KNOWN = set("""created stage_entered field_set assigned offered accepted rejected expired touch_out touch_in auto_reply meeting_set
    meeting_held meeting_no_show disposition_set recycled reopened merged paused resumed escalated feedback asset_used asset_shared
    training_done coached tool_used service_opened service_closed survey referral exposed override segment_set lead_source_set""".split())
ROLES = ("start", "stop", "pause", "resume", "reset", "cancel", "segment", "owner", "promise")
# what all versions of an SLA share: the clock is one, however often its targets change
COMMON = ROLES + ("phases", "reopen", "on_change", "max_clocks", "beyond")


def object_key(*names):
    return "/".join((n or "").replace("\\", "\\\\").replace("/", "\\/") for n in names)


def first_names(key, count=1):
    """The first names of a key, as they stand there; a slash in a name has a backslash before."""
    i = 0
    while i < len(key):
        if key[i] == "/":
            count -= 1
            if count == 0:
                break
        i += 2 if key[i] == "\\" else 1
    return key[:i]


KEYS = {
    "lifecycle": lambda c: object_key(c["lifecycle"]),
    "stage": lambda c: object_key(c["lifecycle"], c["stage"]),
    "transition": lambda c: object_key(c["lifecycle"], c["from_stage"], c["to_stage"]),
    "code": lambda c: object_key(c["list"], c["code"]),
    "field_rule": lambda c: object_key(c["subject_kind"], c["field"], c["rule"], *(c[k] for k in ("source", "lifecycle", "at_stage") if c.get(k))),
    "calendar": lambda c: object_key(c["calendar"]),
    "policy": lambda c: object_key(c["policy"]),
    "policy_target": lambda c: object_key(c["policy"], c.get("segment"), c.get("owner")),
    "policy_step": lambda c: object_key(c["policy"], c["due"], c["recipient"]),
    "metric": lambda c: object_key(c["metric"]),
    "target": lambda c: object_key(c["metric"], c.get("scope"), c["period_start"], c["period_end"]),
    "program": lambda c: object_key(c["program"]),
    "responsibility": lambda c: object_key(c["party"], c["role"], c["object_kind"]) + "/" + c["object"],
}
PARENT = {"stage": "lifecycle", "transition": "lifecycle", "policy_target": "policy", "policy_step": "policy", "target": "metric",
          "code": "code_list", "field_rule": "field"}


class Item:
    """What a change says of one definition: its new content (a dict), or that it is retired (None)."""

    def __init__(self, kind, content=None, key=None, successor=None):
        self.kind, self.content, self.successor = kind, content, successor
        self.key = KEYS[kind](content) if content is not None else key
        self.version_id = self.version_no = None        # the database's, to tell versions apart

    @property
    def name(self):
        return (self.kind, self.key)

    @property
    def defines(self):
        return self.content is not None

    def __repr__(self):
        return "%s %s %s" % (self.kind, self.key, self.content if self.defines else "retired for %s" % self.successor)


def define(kind, **content):
    return Item(kind, content)


# items: {name: Item}; effective_until: INF unless it is bounded
Decision = namedtuple("Decision", "change decided_at effective_at effective_until items")
# a change that is not decided: effective_at None: from its approval; effective_until None: for good, if nothing later is agreed.
# replaces, drafted: what was in force when each of the items was drafted, and when that was
Proposal = namedtuple("Proposal", "effective_at effective_until retroactive items replaces drafted")


def kin(kind, key):
    """A definition, and what it is a part of."""
    return [(kind, key)] + ([(PARENT[kind], first_names(key, 2 if kind == "field_rule" else 1))] if kind in PARENT else [])


def mark_names(content):
    """The stages and kinds of events an SLA names, as they come first."""
    names = [n for role in ROLES for n in content.get(role) or ()]
    names += [p.split(" until ", 1)[1] for p in content.get("phases") or () if " until " in p]
    return list(dict.fromkeys(names))


class Model:
    def __init__(self, logins, council):
        """logins: of each party; council: the logins that are of it."""
        self.decisions, self.logins, self.council = [], logins, council

    # ---- what is in force ----------------------------------------------------------------------------------------

    def picture(self, at, known=INF):
        """All that is in force at an instant, as known at another: {(kind, key): Item}, tombstones too."""
        found = {}
        for d in self.decisions:
            if d.decided_at <= known and d.effective_at <= at and (at < d.effective_until or d.effective_until == INF):
                found.update(d.items)
        return found

    def in_force(self, kind, key, at, known=INF):
        last = None
        for d in self.decisions:
            if d.decided_at <= known and d.effective_at <= at and (at < d.effective_until or d.effective_until == INF):
                last = d.items.get((kind, key), last)
        return last

    def boundaries(self, known=INF, of=None):
        """The instants at which anything, or what is said of one definition, can begin or end to be in force, in order."""
        return sorted({t for d in self.decisions if d.decided_at <= known and (of is None or of in d.items)
                       for t in (d.effective_at, d.effective_until) if t != INF})

    def decided(self, of=None):
        return [d.decided_at for d in self.decisions if of is None or of in d.items]

    def covered_from(self, name, known):
        """Since when, as known then, a definition is in force or retired without a gap: since it was first decided for good."""
        return min((d.effective_at for d in self.decisions if d.decided_at <= known and name in d.items and d.effective_until == INF),
                   default=None)

    # ---- what it compiles to: arguments of the kernel's functions, with keys where the database has numbers ------------

    @staticmethod
    def _formers(picture, key, kind="stage", but=frozenset()):
        """The retired stages, or codes, that are counted as one, by however many steps, though not over some of them."""
        found, grown = set(), True
        while grown:
            more = {i.key for i in picture.values() if i.kind == kind and i.successor is not None and i.successor in found | {key}} - found - {key} - but
            grown, found = bool(more), found | more
        return found

    def calendar_at(self, name, at, known=INF):
        item = self.in_force("calendar", object_key(name), at, known)
        if item is None or not item.defines:
            return None
        return {k: item.content[k] for k in ("calendar", "time_zone", "hours", "shifts", "breaks", "holidays", "known_until")}

    def lifecycle_at(self, name, at, known=INF):
        picture = self.picture(at, known)
        item = picture.get(("lifecycle", object_key(name)))
        if item is None or not item.defines:
            return None
        stages = sorted((i for i in picture.values() if i.kind == "stage" and i.defines and i.content["lifecycle"] == name),
                        key=lambda i: (CATEGORIES.index(i.content["category"]), i.content["stage_no"]))
        made = {c: [i.content["stage"] for i in stages if i.content["category"] == c] for c in CATEGORIES}
        made["marks"] = [[("stage", i.key)] + [("stage", k) for k in self._formers(picture, i.key)] for i in stages]
        for k in ("lifecycle", "skip", "attempt", "within", "times", "visits", "unknown", "time_zone"):
            made[k] = item.content[k]
        made["calendar"] = self.calendar_at(item.content["calendar"], at, known) if item.content["calendar"] else None
        return made

    def is_stage(self, policy, name):
        """Whether a name in an SLA means a stage: one of that name was on record when a version of it first went by the name."""
        lifecycle = policy.content.get("lifecycle")
        since = min(d.decided_at for d in self.decisions for i in d.items.values() if i.name == policy.name and i.defines and name in mark_names(i.content))
        stage = ("stage", object_key(lifecycle, name))
        return lifecycle is not None and any(stage in d.items and d.decided_at <= since for d in self.decisions)

    def mark_of(self, policy, name):
        """What a name in an SLA means: a stage, by its own mark, whatever else is counted as it; or a kind of event."""
        return ("stage", object_key(policy.content["lifecycle"], name)) if self.is_stage(policy, name) else ("event", object_key(name))

    def last(self, name, known=INF):
        """The version of an SLA that is the last in time, and when it is in force for the last time: from, until."""
        name, found = ("policy", object_key(name)), None
        bounds = self.boundaries(known, name)
        for t, until in zip(bounds, bounds[1:] + [INF]):
            item = self.in_force(*name, t, known)
            if item is not None and item.defines:
                found = (item, found[1] if found is not None and found[0] is item and found[2] == t else t, until)
        return found

    def counted_when(self, name, known, now):
        """In an SLA of all versions, retired segments count as they do now; or did when the last version ended, or will when it begins."""
        _, since, until = self.last(name, known)
        return max(since, min(now, known, until - 1))

    def sla_at(self, name, at, known=INF, counted_at=None):
        """The policies of an SLA in force at an instant; None when it is not.  counted_at: with the segments as they count then."""
        picture = self.picture(at, known)
        item = picture.get(("policy", object_key(name)))
        if item is None or not item.defines:
            return None
        p = item.content
        then = picture if counted_at is None else self.picture(counted_at, known)
        steps = sorted("%s to %s" % (i.content["due"], i.content["recipient"]) for i in picture.values()
                       if i.kind == "policy_step" and i.defines and i.content["policy"] == name)
        common = {k: p.get(k) for k in COMMON}
        common.update(policy=name, warnings=p["warnings"], escalations=steps,
                      marks=[(n, [self.mark_of(item, n)]) for n in mark_names(p)])
        made = []
        if p["target"] is not None or p.get("promise"):
            made.append(dict(common, target=p["target"], calendar=p["calendar"], version=item.version_no, segment_codes=None, owner_party=None))
        for i in picture.values():
            if i.kind == "policy_target" and i.defines and i.content["policy"] == name:
                t = i.content
                made.append(dict(common, target=t["target"], calendar=t["calendar"] or p["calendar"], version=i.version_no,
                                 segment_codes=t["segment"] and self.segments(t, picture, then), owner_party=t["owner"]))
        for m in made:
            m["calendar"] = self.calendar_at(m["calendar"], at, known) if m["calendar"] else None
        return sorted(made, key=lambda m: (m["segment_codes"] or [], m["owner_party"] or ""))

    def segments(self, target, picture, then):
        """The codes that are, or are counted as, the segment of a target, but for those with a target of their own."""
        own = {object_key("segment", t["segment"]) for t in (i.content for i in picture.values() if i.kind == "policy_target" and i.defines)
               if (t["policy"], t["owner"]) == (target["policy"], target["owner"]) and t["segment"]}
        key = object_key("segment", target["segment"])
        return sorted({key} | self._formers(then, key, "code", own))

    def sla_pieces(self, name, now, known=INF):
        """Every version of an SLA in its own time: [(from, until, policies)], times in which the same is in force being one."""
        pieces = []
        if self.last(name, known) is None:
            return pieces
        counted_at = self.counted_when(name, known, now)
        for at in self.boundaries(known):
            then = self.sla_at(name, at, known, counted_at)
            if pieces and pieces[-1][2] == then:
                continue
            if pieces:
                pieces[-1][1] = at
            pieces.append([at, INF, then])
        return [p for p in pieces if p[2]]

    def counted_as(self, kind, key, at, known=INF):
        picture, seen = self.picture(at, known), set()
        while key not in seen:
            seen.add(key)
            item = picture.get((kind, key))
            if item is None or item.defines:
                return item and item.key
            key = item.successor
        return None

    # ---- what may come into force ----------------------------------------------------------------------------------

    def retirable(self, at, also_later):
        """What is in force at an instant, or also later: {(kind, key): Item}."""
        found = {}
        for t in [at] + [t for t in self.boundaries() if t > at and also_later]:
            found.update((name, i) for name, i in self.picture(t).items() if i.defines)
        return found

    def retiring(self, kind, key, successor, at, also_later, drafted):
        """What is retired with a definition: its parts and the responsibilities for it, but for what the draft speaks of itself."""
        picture = self.retirable(at, also_later)
        items, todo = {}, [Item(kind, key=key, successor=successor)]
        while todo:
            item = todo.pop()
            items[item.name] = item
            for i in picture.values():
                is_part = i.kind != item.kind and item.name in kin(i.kind, i.key)
                is_for_it = i.kind == "responsibility" and (i.content["object_kind"], i.content["object"]) == item.name
                if (is_part or is_for_it) and i.name not in items and i.name not in drafted:
                    todo.append(Item(i.kind, key=i.key))
        return items

    def goes_by(self, policy):
        """The stages an SLA goes by: they are in force as long as it is."""
        return [self.mark_of(policy, n) for n in mark_names(policy.content) if self.is_stage(policy, n)]

    def refers_to(self, item):
        """The definitions that must be in force as long as one is."""
        c, kind = item.content, item.kind
        to = lambda k, *names: [(k, object_key(*names))] if None not in names else []
        found = []
        if kind == "stage":
            found += to("lifecycle", c["lifecycle"]) + to("code", "journey", c.get("journey_place"))
        if kind == "transition":
            found += to("stage", c["lifecycle"], c["from_stage"]) + to("stage", c["lifecycle"], c["to_stage"])
        if kind == "code":
            found += to("code", c["list"], c.get("parent"))
        if kind in ("field_rule", "policy", "metric"):
            found += to("lifecycle", c.get("lifecycle"))
        if kind in ("field_rule", "metric") and c.get("at_stage"):
            found += to("stage", c["lifecycle"], c["at_stage"])
        if kind == "metric" and c.get("to_stage"):
            found += to("stage", c["lifecycle"], c["to_stage"])
        if kind in ("lifecycle", "policy", "policy_target"):
            found += to("calendar", c.get("calendar"))
        if kind == "policy":
            for name in mark_names(c):
                if not self.is_stage(item, name) and name not in WELL_KNOWN:
                    found += to("code", "event", name)
        if kind in ("policy_target", "policy_step"):
            found += to("policy", c["policy"]) + to("code", "segment", c.get("segment"))
        if kind == "target":
            found += to("metric", c["metric"])
        if kind == "program":
            found += to("program", c.get("parent"))
            for list_, code in sorted((c.get("codes") or {}).items()):
                found += to("code", list_, code)
        if kind == "responsibility" and c["object_kind"] not in ("party", "code_list", "field", "account"):
            found.append((c["object_kind"], c["object"]))
        return found

    def refusals(self, proposal, now):
        """Why a proposal cannot come into force now: {reason: SQLSTATE}; nothing: it must."""
        p = proposal
        why = {}
        at = now if p.effective_at is None else p.effective_at
        until = INF if p.effective_until is None else p.effective_until
        if at < now and not p.retroactive or until <= at:
            return {"its time has passed": "55000"}
        for name in p.items:
            if self.in_force(*name, at) is not p.replaces[name]:
                why["drafted before another was approved"] = "55000"
            # what the record said of the period when it was drafted, it says still
            for t in [at] + [t for t in self.boundaries(of=name) if at < t < until]:
                if self.in_force(*name, t) is not self.in_force(*name, t, p.drafted[name]):
                    why["something else was agreed since it was drafted"] = "55000"
            if p.effective_until is None:
                before = self.in_force(*name, at)
                for t in self.boundaries(of=name):
                    if t > at:
                        then = self.in_force(*name, t)
                        if then is not before and then is not None:
                            why["something later is agreed"] = "55000"
                        before = then
        self.decisions.append(Decision(None, now, at, until, p.items))
        try:
            # nothing changes but in the period, and there only where something begins or ends
            for t in [at] + [t for t in self.boundaries() if at < t < until]:
                self._judge(self.picture(t), why)
            # when a retirement begins, there is a successor, and it counts as something; later it may be retired in turn
            for d in self.decisions:
                for i in d.items.values() if at <= d.effective_at and (d.effective_at < until or until == INF) else ():
                    if i.successor is not None and self.in_force(*i.name, d.effective_at) is i:
                        to = self.in_force(i.kind, i.successor, d.effective_at)
                        if to is None or not to.defines and to.successor is None:
                            why["the successor is not there"] = "23503"
                        if self.counted_as(*i.name, d.effective_at) is None:
                            why["a retired one is counted as nothing"] = "23514"
            self._judge_clocks(why)
        finally:
            self.decisions.pop()
        return why

    def _judge(self, picture, why):
        defined = [i for i in picture.values() if i.defines]
        of = lambda kind: [i for i in defined if i.kind == kind]
        for i in defined:
            for name in self.refers_to(i):
                if name not in picture or not picture[name].defines:
                    why["it refers to what is not in force"] = "23503"
        for i in of("policy"):
            for name in self.goes_by(i):
                if name not in picture or not picture[name].defines:
                    why["an SLA goes by a stage that is not in force"] = "23503"
        places = [(i.content["lifecycle"], i.content["stage_no"]) for i in of("stage")]
        if len(set(places)) < len(places):
            why["two stages have one place"] = "23505"

        accountable = [i.content for i in of("responsibility") if i.content["role"] == "accountable"]
        for m in of("metric"):
            if not any((c["object_kind"], c["object"]) == m.name for c in accountable):
                why["a metric has no owner"] = "23514"
        total = {}
        for c in accountable:
            total[c["object_kind"], c["object"]] = total.get((c["object_kind"], c["object"]), 0) + (c["share"] or 0)
        if any(t > 1 for t in total.values()):
            why["shares are more than the whole"] = "23514"

        parts = [(i.kind, i.key, object_key(i.content["list"], i.content["parent"])) for i in of("code") if i.content["parent"]]
        parts += [(i.kind, i.key, object_key(i.content["parent"])) for i in of("program") if i.content["parent"]]
        parts += [(i.content["role"], object_key(i.content["party"]), i.content["object"]) for i in of("responsibility")
                  if i.content["role"] in ("member", "manager")]
        for tree, child, _ in parts:
            above = {child}
            for _ in parts:
                above = {up for t, c, up in parts if t == tree and c in above}
                if child in above:
                    why["something is a part of itself"] = "23514"

        for i in of("lifecycle"):
            has = [s.content["category"] for s in of("stage") if s.content["lifecycle"] == i.content["lifecycle"]]
            if has.count("won") > 1:
                why["two stages are won"] = "22023"
            if "won" in has and "active" in has:
                why["won and active exclude each other"] = "22023"
            if not {"open", "active"} & set(has):
                why["a lifecycle has no stage"] = "22023"
        for i in of("policy"):
            targets = [t.content for t in of("policy_target") if t.content["policy"] == i.content["policy"]]
            if not targets and i.content["target"] is None:
                why["an SLA has no target"] = "22023"
            if any(t["segment"] and not i.content["segment"] or t["owner"] and not i.content["owner"] for t in targets):
                why["nothing tells whose target it is"] = "22023"

    def _judge_clocks(self, why):
        """What holds for all versions of an SLA together."""
        for name in {n for d in self.decisions for n in d.items if n[0] == "policy"}:
            clocks = []
            for t in self.boundaries(of=name):
                item = self.in_force(*name, t)
                if item is not None and item.defines:
                    c = item.content
                    clock = {k: set(c.get(k) or ()) if k in ROLES else c.get(k) for k in COMMON}
                    if clock not in clocks:
                        clocks.append(clock)
            if len(clocks) > 1:
                why["versions of an SLA have different clocks"] = "22023"

    # ---- who has to sign -------------------------------------------------------------------------------------------

    def required(self, proposal, proposer, now):
        """The parties who have to sign what somebody proposes; None is the council."""
        picture = self.picture(now)
        owners = [i.content for i in picture.values() if i.kind == "responsibility" and i.defines and i.content["role"] == "accountable"]
        others = lambda parties: {p for p in parties if self.logins.get(p) != proposer}     # to propose a change is to agree to it
        found = set()
        for name, item in proposal.items.items():
            if item.successor is not None:      # what a retired one is counted as is a thing of its own
                things = kin(item.kind, item.successor)
                found |= others({o["party"] for o in owners if (o["object_kind"], o["object"]) in things}) or {None}
            concerned, parties = set(), set()
            if item.kind != "responsibility":
                concerned.update(kin(*name))
            # what it was may begin later only; the names in a key stay the same
            for i in [item, proposal.replaces[name]] + [d.items[name] for d in self.decisions if name in d.items]:
                c = i.content if i is not None else None
                if c is None:
                    continue
                if i.kind == "transition":      # a hand-off is agreed on by both its sides
                    concerned.update(("stage", object_key(c["lifecycle"], s)) for s in (c["from_stage"], c["to_stage"]) if s is not None)
                if i.kind == "lifecycle":       # the owners of stages own what is said of all of them
                    concerned.update((o["object_kind"], o["object"]) for o in owners
                                     if o["object_kind"] == "stage" and first_names(o["object"]) == i.key)
                if i.kind == "responsibility":  # who owns something has a say in who else does
                    concerned.update(kin(c["object_kind"], c["object"]))
                    if c["object_kind"] == "party" and c["role"] != "manager":      # and a party in who is of it
                        parties.update(p for p in self.logins if object_key(p) == c["object"])
            parties.update(o["party"] for o in owners if (o["object_kind"], o["object"]) in concerned)
            # each thing has somebody who agrees to it
            found |= others(parties) or {None}
            if item.kind == "responsibility" and item.defines and item.content["role"] == "accountable":
                found |= others({item.content["party"]})
        return found

    def signatories(self, party, now):
        approvers = [i.content["party"] for i in self.picture(now).values() if i.kind == "responsibility" and i.defines
                     and i.content["role"] == "approver" and i.content["object"] == object_key(party)]
        return {self.logins[p] for p in [party] + approvers if self.logins.get(p) is not None}

    def signs_for(self, login, proposal, drafter, proposer, signed, now):
        """The parties for which somebody signs who signs now."""
        found = set()
        for party in self.required(proposal, proposer, now) - signed if login not in (drafter, proposer) else ():
            can = self.signatories(party, now) if party is not None else set()
            # the council signs where nobody else can
            if login in can or (login in self.council and not can - {drafter, proposer}):
                found.add(party)
        return found
