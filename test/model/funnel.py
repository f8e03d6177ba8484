"""docs/semantics.md sections 3 and 4: the attempts of one subject and what became of each step they entered."""
from collections import Counter
from fractions import Fraction

import journeys
from lifecycles import read


class Attempt:
    def __init__(self, at, stage):
        self.opened_at = at
        self.entry = self.level = stage
        self.level_at = at
        self.counted_marks = []          # (stage, at) in read order
        self.first_at = {}               # of observed stages
        self.repeats = Counter()
        self.regresses = Counter()
        self.outcome = None              # won, lost, no_decision, recycled, churned, expired; in_progress
        self.ended_at = None
        self.counted = False
        self.count(stage, at)

    def count(self, stage, at):
        if self.counted_marks and stage < self.counted_marks[-1][0]:
            self.regresses[stage] += 1
        if stage in self.first_at:
            self.repeats[stage] += 1
        self.first_at.setdefault(stage, at)
        self.counted_marks.append((stage, at))

    def reach(self, stage, at):
        self.level, self.level_at = stage, at
        self.count(stage, at)

    def end(self, outcome, at):
        self.outcome, self.ended_at = outcome, at

    def converted_at(self, stage):
        """The time of the first counted mark of any later step read after the first mark of the stage."""
        first = [s for s, _ in self.counted_marks].index(stage)
        return next((t for s, t in self.counted_marks[first:] if s > stage), None)


# ---- section 3: impute and any ------------------------------------------------------------------------------------

def closes_at(a, life):
    """The instant after which nothing can advance the attempt: its window, or the step windows of every later step."""
    ends = [life.window_end(a.opened_at)]
    step_ends = [life.step_end(s, a.level_at) for s in range(a.level + 1, life.steps + 1)]
    if step_ends and None not in step_ends:
        ends.append(max(step_ends))
    return min((e for e in ends if e is not None), default=None)


def simple_attempts(journey, life, as_of):
    done, a, before = [], None, None

    def close(outcome, at):
        nonlocal a
        a.end(outcome, at)
        done.append(a)
        a = None

    def open_with(stage, at):
        nonlocal a
        a = Attempt(at, stage)
        if stage == life.won:
            close("won", at)

    for mark, (stage,) in read(journey, life, as_of):
        t, step, terminal = mark.at, life.is_step(stage), life.is_terminal(stage)
        again, before = stage == life.won == before, stage
        if a is None:
            if step and not again:                          # won twice in a row is won once
                open_with(stage, t)
            continue                                        # other terminal marks with none open are ignored

        window_end = life.window_end(a.opened_at)
        if window_end is not None and t > window_end:       # late
            if terminal:
                close("expired", closes_at(a, life))
            elif stage <= a.entry:
                close("expired", closes_at(a, life))
                open_with(stage, t)
            continue

        if not step:
            close(life.category[stage], t)
        elif stage <= a.level:
            a.count(stage, t)
        else:
            step_end = life.step_end(stage, a.level_at)
            if step_end is not None and t > step_end:       # late
                if stage == life.won:                       # the mark ends it, unless all was closed already
                    closes = closes_at(a, life)
                    close("expired", t if closes is None else min(t, closes))
            elif life.times == "increasing" and t <= a.level_at:
                if stage == life.won:                       # it ends the attempt, yet it does not count: lost
                    close("lost", t)
            else:
                a.reach(stage, t)
                if stage == life.won:
                    close("won", t)

    if a is not None:                                       # no mark has ended it: what the clock says
        closes = closes_at(a, life)
        if closes is not None and as_of > closes:
            close("expired", closes)
        else:
            close("in_progress", None)
    return done


# ---- section 4: strict --------------------------------------------------------------------------------------------

def episodes(journey, life, as_of):
    """[(marks, stage of the terminal mark or None, its time)]; a won mark is the last mark of the episode it ends."""
    out, marks = [], []
    for mark, stages in read(journey, life, as_of):
        if life.is_terminal(stages[0]):
            if stages[0] == life.won:
                marks.append((mark, stages))
            out.append((marks, stages[0], mark.at))
            marks = []
        else:
            marks.append((mark, stages))
    out.append((marks, None, None))
    return out


def chains(marks, life):
    """Every chain of an episode, each a list of times, by trying every mark for every step."""
    def extend(chain):
        if chain:
            yield [m.at for m in chain]
        step = len(chain) + 1
        if step > life.steps:
            return
        for m, stages in marks:
            if step not in stages or any(m is c for c in chain):
                continue
            if not chain:
                if not life.enters(m.at):
                    continue
            else:
                last = chain[-1]
                if journeys.tie_key(m) < journeys.tie_key(last):
                    continue
                if life.times == "increasing" and m.at <= last.at:
                    continue
                window_end = life.window_end(chain[0].at)
                if window_end is not None and m.at > window_end:
                    continue
                step_end = life.step_end(step, last.at)
                if step_end is not None and m.at > step_end:
                    continue
            yield from extend(chain + [m])

    return extend([])


def chain_rank(times, life):
    """Smaller is better: level, completion, latest start by the end of its window and by time, then second, third…"""
    window_end = life.window_end(times[0])
    return (-len(times), times[-1], 0 if window_end is None else -window_end, -times[0], times[1:])


def strict_attempts(journey, life, as_of):
    done = []
    for marks, terminal, ended_at in episodes(journey, life, as_of):
        best = min(chains(marks, life), key=lambda c: chain_rank(c, life), default=None)
        if best is None:
            continue
        a = Attempt(best[0], 1)
        for step, t in enumerate(best[1:], 2):
            a.reach(step, t)
        ends = [life.window_end(a.opened_at)]
        if a.level < life.steps:
            ends.append(life.step_end(a.level + 1, a.level_at))
        ends = [e for e in ends if e is not None]
        if a.level == life.won:
            a.end("won", a.level_at)
        elif ends and (as_of if terminal is None else ended_at) > min(ends):
            a.end("expired", min(ends))
        elif terminal is None:
            a.end("in_progress", None)
        else:
            a.end("lost" if terminal == life.won else life.category[terminal], ended_at)
        done.append(a)
    return done


# ---- which attempts count, and what they add up to ----------------------------------------------------------------

def attempts(journey, life, as_of):
    done = (strict_attempts if life.skip == "strict" else simple_attempts)(journey, life, as_of)
    eligible = [a for a in done if life.enters(a.opened_at)]
    if life.attempt == "first":
        eligible = eligible[:1]
    elif life.attempt == "last":
        eligible = eligible[-1:]
    elif life.attempt == "best":
        eligible = sorted(eligible, key=lambda a: (-a.level, a.level_at, -a.opened_at))[:1]
    for a in eligible:
        a.counted = True
    return done


STATUS = dict(won="converted", lost="lost", no_decision="lost", recycled="lost", churned="lost", expired="expired",
              in_progress="in_progress")


def rows(journey, life, as_of):
    """What funnel_attempts returns: one row for each attempt and entered stage."""
    out = []
    for no, a in enumerate(attempts(journey, life, as_of), 1):
        for s in range(1, a.level + 1):
            observed = s in a.first_at
            if not observed and life.skip != "impute":
                continue
            status = "converted" if s < a.level or s == life.won else STATUS[a.outcome]
            out.append(dict(attempt_no=no, counted=a.counted, opened_at=a.opened_at, ended_at=a.ended_at,
                            outcome=a.outcome, stage_no=s, stage=life.name_of(s), imputed=not observed,
                            entered_at=a.first_at.get(s), status=status,
                            converted_at=a.converted_at(s) if observed else None,
                            repeats=a.repeats[s], regresses=a.regresses[s]))
    return out


COUNTS = ("entered", "observed", "imputed", "converted", "lost", "no_decision", "recycled", "churned", "in_progress",
          "expired", "repeats", "regresses", "timed_count")


def conversion(subjects, life, as_of):
    """What funnel_conversion adds up.  subjects: [(journey, amount or None)], amounts exact."""
    stages = {s: dict.fromkeys(COUNTS + ("time", "amount_entered", "amount_converted", "amount_lost",
                                         "amount_squares"), 0) for s in range(1, life.steps + 1)}
    total = dict(subjects=0, attempts=0, recycled=0, unknown_marks=0, stages=stages)
    for journey, amount in subjects:
        total["subjects"] += 1
        total["unknown_marks"] += sum(m.mark == 0 and m.at <= as_of for m in journeys.journey(journey))
        for a in attempts(journey, life, as_of):
            total["attempts"] += 1
            total["recycled"] += a.outcome == "recycled"
        for r in rows(journey, life, as_of):
            if not r["counted"]:
                continue
            st = stages[r["stage_no"]]
            st["entered"] += 1
            st["imputed" if r["imputed"] else "observed"] += 1
            st[r["status"]] += 1
            if r["status"] == "lost" and r["outcome"] != "lost":
                st[r["outcome"]] += 1
            st["repeats"] += r["repeats"]
            st["regresses"] += r["regresses"]
            if r["converted_at"] is not None:
                st["timed_count"] += 1
                st["time"] += r["converted_at"] - r["entered_at"]
            if amount is not None:
                amount = Fraction(amount)
                st["amount_entered"] += amount
                st["amount_squares"] += amount * amount
                if r["status"] in ("converted", "lost"):
                    st["amount_" + r["status"]] += amount
    return total
