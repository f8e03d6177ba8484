#!/usr/bin/env python3
"""What listeners to revacct_escalation are told: one message for each escalation that was raised, and each is JSON that agrees with the row,
whatever the names, the time zone and the style of dates. When they are told it is in specs/escalation_notify.spec."""
import json
import os
import re
import sys
from collections import Counter

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data'))
os.environ.update(LC_ALL='C.UTF-8', PGCLIENTENCODING='UTF8')        # psql announces in English
import harness
from harness import literal

KEYS = ['sla', 'subject', 'step', 'recipient', 'counting_since', 'raise_at']
# (SLA, subject, recipient); in SQL, since no line of a script can hold some of them
NAMES = {
    'plain names': ("'support'", "'T-1'", "'owner'"),
    'an empty subject': ("'support'", "''", "'owner'"),
    'quotes, braces and backslashes': (r"""'"s" {x}, \'""", r"""'a"b\c\\"{"a": null}\u0041'""", r"""'o"w\n'"""),
    'line ends and tabs': (r"E's\nt'", r"E'a\r\n\tb'", r"E'o\nw'"),
    'control characters': (r"E'\x01\x1f\x7f'", r"E'\x08\x0c\x1b'", r"E'\x02'"),
    'more than ASCII': (r"'Büro €'", r"'日本 🙂 é' || U&'\200B\2028'", r"'Ωμέγα'"),
    'what looks like a number or a null': ("'null'", "'12'", "'true'"),
    'the longest names': ("repeat('s', 255)", "repeat('x', 1024)", "repeat('é', 127)"),
}
STYLES = [('UTC', 'ISO, MDY'), ('Asia/Kolkata', 'German, DMY'), ('America/St_Johns', 'SQL, DMY'), ('Europe/Paris', 'Postgres, YMD')]

tap = harness.Tap()
speaker, listener = harness.Db(), harness.Db()
listener.run('listen revacct_escalation;')


def told():
    """The messages the listener got since it was last asked."""
    messages = []
    for line in listener.run('select 1;'):
        match = re.fullmatch(r'Asynchronous notification "([^"]*)" with payload "(.*)" received from server process with PID \d+\.', line)
        if match:
            messages.append(match.groups())
    return messages


def raising(subject, name="'support'", recipient="'owner'", hour=16):
    return ("select r.* from raise_escalations(%s, '{1@2025-03-03T09:00:00.000001Z}', sla(%s, start => '{created}', stop => '{replied}', "
            "target => '8 hours', escalations => array['50%% to ' || %s, '80%% to ' || %s]), "
            "timestamptz '2025-03-03 00:00+00' + %d * interval '1 hour') r" % (subject, name, recipient, recipient, hour))


def same_instant(text, other):
    return listener.value('select %s::timestamptz = %s::timestamptz' % (literal(text), literal(other)))


for number, (what, (name, subject, recipient)) in enumerate(NAMES.items()):
    zone, style = STYLES[number % len(STYLES)]
    speaker.run("set timezone = '%s'; set datestyle = '%s';" % (zone, style))
    rows = speaker.rows(raising(subject, name, recipient))
    messages = told()
    tap.eq([channel for channel, _ in messages], ['revacct_escalation'] * 2, '%s: one message for each row (%s)' % (what, zone))
    try:
        objects = [json.loads(payload, object_pairs_hook=list) for _, payload in messages]
    except ValueError as problem:
        tap.ok(False, '%s: JSON' % what, problem, *messages)
        continue
    tap.eq([[key for key, _ in pairs] for pairs in objects], [KEYS] * 2, '%s: JSON, with these keys' % what)
    objects = sorted(map(dict, objects), key=lambda m: m['step'])
    rows.sort(key=lambda r: r['step'])
    tap.eq([[m[k] for k in KEYS[:4]] for m in objects], [[r[k] for k in KEYS[:4]] for r in rows], '%s: the names are those of the row' % what)
    tap.ok(len(rows) == 2 and all(same_instant(m[k], r[k]) for m, r in zip(objects, rows) for k in KEYS[4:]), '%s: so are the times' % what, objects, rows)
    tap.eq(objects[:1] and [same_instant(objects[0]['counting_since'], '2025-03-03T09:00:00.000001Z'), same_instant(objects[0]['raise_at'], '2025-03-03T13:00:00.000001Z')],
           [True, True], '%s: and right, to the microsecond' % what)

speaker.settings()
tap.eq((speaker.rows(raising("'T-1'")), told()), ([], []), 'nothing is raised again, and nothing said')
speaker.run('begin;')
taken_back = len(speaker.rows(raising("'taken back'")))
speaker.run('rollback;')
tap.eq((taken_back, told()), (2, []), 'what was rolled back is not said')
speaker.run('select count(*) from generate_series(1, 500) i, lateral (%s) r;' % raising("'many-' || i"))
messages = told()
tap.eq(Counter((m['subject'], m['step']) for _, payload in messages for m in [json.loads(payload)]),
       Counter(('many-%d' % i, step) for i in range(1, 501) for step in ('50% to owner', '80% to owner')), 'a thousand at once, each said once')
tap.eq(listener.value("select count(*) from revacct_data.escalation"), 1000 + 2 * len(NAMES), 'and each recorded')
tap.done()
