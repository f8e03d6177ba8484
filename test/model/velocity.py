"""docs/semantics.md section 5: visits."""
from collections import namedtuple

from lifecycles import read
from survival import Stay

Visit = namedtuple("Visit", "attempt_no visit_no stage opened_at entered_at left_at exit duration measured")


def exit_kind(life, stage, following):
    if life.is_terminal(following):
        return life.category[following]
    if following == stage + 1:
        return "forward"
    if following > stage:
        return "skip"
    return "repeat" if following == stage else "back"


def visits(journey, life, as_of, since=None):
    """Every visit of one subject, in order; `measured` says which belong to the summary."""
    found, attempt_no, opened_at = [], 0, None
    marks = [(m.at, stages[0]) for m, stages in read(journey, life, as_of)]
    visit_no = 0
    for i, (t, stage) in enumerate(marks):
        if life.is_terminal(stage):
            opened_at = None
            continue
        if opened_at is None:
            attempt_no, visit_no, opened_at = attempt_no + 1, 0, t
        visit_no += 1
        left_at, kind = (marks[i + 1][0], exit_kind(life, stage, marks[i + 1][1])) if i + 1 < len(marks) else (None, None)
        duration = (as_of if left_at is None else left_at) - t
        found.append(Visit(attempt_no, visit_no, stage, opened_at, t, left_at, kind, duration, True))

    def measured(v):
        same = [w for w in found if (w.attempt_no, w.stage) == (v.attempt_no, v.stage)]
        if life.visits == "first" and v is not same[0] or life.visits == "last" and v is not same[-1]:
            return False
        if since is not None and v.left_at is not None and v.left_at <= since:
            return False
        return life.enters(v.opened_at)

    return [v._replace(measured=measured(v)) for v in found]


def stays(journey, life, as_of, since=None):
    """{stage: [Stay]} of one subject."""
    out = {}
    kept = [v for v in visits(journey, life, as_of, since) if v.measured]
    if life.visits == "cumulative":
        if since is not None:
            raise ValueError("since is refused with cumulative")
        for key in sorted({(v.attempt_no, v.stage) for v in kept}):
            same = [v for v in kept if (v.attempt_no, v.stage) == key]
            out.setdefault(key[1], []).append(Stay(0, sum(v.duration for v in same), same[-1].exit))
    else:
        for v in kept:
            entry = max(0, since - v.entered_at) if since is not None else 0
            out.setdefault(v.stage, []).append(Stay(entry, v.duration, v.exit))
    return out


def gather(subjects, life, as_of, since=None):
    """{stage: [Stay]} of many subjects."""
    out = {}
    for journey in subjects:
        for stage, list_ in stays(journey, life, as_of, since).items():
            out.setdefault(stage, []).extend(list_)
    return out
