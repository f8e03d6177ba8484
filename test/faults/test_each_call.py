#!/usr/bin/env python3
"""Calls fail one at a time: out of memory at each place where revacct asks the server for some, an interrupt at each place where it lets itself be interrupted, and
the server's own requests to the operating system. Each time the statement ends by the error that belongs to it, never by a crash or a wrong answer; and asked
again in the same session, with whatever the failed one left behind, it gives the right answer.

What is covered is told by the places in src/ where calls failed: every CHECK_FOR_INTERRUPTS is among them, and every request for memory. Who adds one that no
statement meets adds a statement (STATEMENTS of faults.py).

SEED repeats a run, SCALE multiplies how many calls of a statement fail.
"""
import glob
import os
import random
import re
import subprocess
import sys
import types

sys.dont_write_bytecode = True
import faults
import cluster
from cluster import Session, SqlError, psql
from faults import SCALE, SEED
from harness import Tap

ALLOCATES = re.compile(r'\b(palloc0?|palloc_extended|repalloc(_huge)?|MemoryContextAlloc(Zero|Huge)?|AllocSetContextCreate|hash_create|enlargeStringInfo)\(')

tap = Tap()
tap.say('seed %d' % SEED)
library = faults.build_library()
database = os.environ['PGDATABASE']
here = types.SimpleNamespace(environment=dict(os.environ, PGOPTIONS='-c client_min_messages=warning -c jit=off -c search_path=public,revacct -c timezone=UTC -c max_parallel_workers_per_gather=0'))


def run(statements):
    return psql(here.environment, database, statements)


run(faults.functions(library) + faults.DATA + faults.RECEIVED + faults.AGREED % dict(steward=database + '_steward', council=database + '_council', subjects=60))
kernel = os.path.join(run("SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR';")[0], 'revacct.so')
sanitized = b'__asan_init' in open(kernel, 'rb').read()
STATEMENTS = {**faults.STATEMENTS, **faults.RECEIVED_STATEMENTS, **faults.AGREED_STATEMENTS}
MOST, MOST_OF_LONG = (40, 5) if sanitized else (250, 15)     # failures of a statement
FIRST = (('questions to a calendar', 200), ('clocks', 20), ('an agreed SLA', 20))


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def report(kind, what, error, copes):
    wrong = []
    run('TRUNCATE faults.failure;')
    session = Session(here, database)
    for name, statement in STATEMENTS.items():
        most = MOST_OF_LONG if name in faults.LONG else MOST
        try:
            session.run('CALL faults.sweep(%s, %s, %s, %s, %s, %d, %d);' % (literal(kind), literal(name), literal(statement), literal(error), copes, most * SCALE, SEED))
        except SqlError as problem:
            wrong.append('%s: %s' % (name, str(problem).split('\n')[0]))
            run('SELECT 1;')                    # waits for a server that crashed
            session = Session(here, database)
    session.close()
    wrong += run("SELECT statement || ': ' || wrong FROM faults.failure WHERE wrong IS NOT NULL;")
    places = set(map(int, run('SELECT DISTINCT place FROM faults.failure WHERE place > 0;')))
    counts = [int(count) for count in run('SELECT count(*) FROM faults.failure GROUP BY statement;')]
    tap.ok(not wrong, '%s: an error, and then the right answer (%d times, at %d places)' % (what, sum(counts), len(places)), '%d wrong' % len(wrong), *wrong[:12])
    return places, len(counts)


def first_statements():
    """The same for the first statement of a session, and not within a function: nothing is kept yet, and all there is ends with the error. What is kept in
    the end is no more than without it."""
    places, wrong = set(), []
    chance = random.Random(SEED)
    kept = "SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'revacct%';"
    for name, most in FIRST:
        statement = STATEMENTS[name].replace('{run}', '1') + ';'
        right_answer = run(statement + kept)
        seen = [line.split('|') for line in run("LOAD '%s'; SELECT faults.watch('memory', 1); %s SELECT site, first FROM faults.seen();" % (library, statement))[2:]]
        for place, call in chance.sample(seen, min(len(seen), int(most * SCALE))):
            places.add(int(place))
            told = cluster.once(here.environment, database, "\\set ON_ERROR_STOP 0\nLOAD '%s'; SELECT faults.fail('memory', %s); %s SELECT faults.off(); %s %s" % (library, call, statement, statement, kept))
            if told.stdout.splitlines() != ['', 't'] + right_answer or not told.stderr.startswith('ERROR:  53200: '):
                wrong.append('%s: failing at %s: %s%s' % (name, call, told.stdout, told.stderr))
    tap.ok(not wrong, 'first statements out of memory: an error, and then the right answer (%d times)' % len(places), '%d wrong' % len(wrong), *wrong[:12])
    return places


def lines_of(places):
    """Where in src/ the calls are made: the line of each and those it was inlined into."""
    addresses = '\n'.join('0x%x' % (place - 1) for place in sorted(places))
    told = subprocess.run(['addr2line', '-i', '-e', kernel], input=addresses, stdout=subprocess.PIPE, encoding='utf-8', check=True).stdout
    return set(re.findall(r'src/(\w+\.[ch]:\d+)', told))


def lines_with(pattern):
    found = {}
    for path in sorted(glob.glob(os.path.join(faults.ROOT, 'src', '*.[ch]'))):
        with open(path, encoding='utf-8') as source:
            for number, line in enumerate(source, 1):
                if re.search(pattern, line) and not re.match(r'\s*(/\*|\*)', line):
                    found['%s:%d' % (os.path.basename(path), number)] = line.strip()
    return found


def covered(what, pattern, places):
    where, hit = lines_with(pattern), lines_of(places)
    if sanitized or not hit:
        tap.say('the library does not tell lines of its source' if not hit else 'too few calls fail with a sanitizer to have them all')
        return
    # a call that goes over several lines may count as made in any of them
    lines = [line.split(':') for line in hit - set(where)]
    missed = [line for line in where if line not in hit and not any(file == line.split(':')[0] and abs(int(number) - int(line.split(':')[1])) <= 2 for file, number in lines)]
    missed = ['%s %s' % (line, where[line]) for line in missed]
    tap.ok(where and not missed, '%s (%d)' % (what, len(where)), *missed)


places, statements = report('memory', 'out of memory in a call of revacct', '^53200 ', 'false')
tap.eq(statements, len(STATEMENTS), 'every statement can run out of memory')
places |= first_statements()
covered('every request for memory failed', ALLOCATES, places)
places, statements = report('interrupt', 'cancelled where revacct lets itself be', '^57014 ', 'false')
covered('at every CHECK_FOR_INTERRUPTS', r'CHECK_FOR_INTERRUPTS\(\)', places)
if sanitized:
    tap.say('the sanitizer has its own malloc')
else:
    places, statements = report('malloc', 'out of memory of the operating system', '^53200 |^2201B .*out of memory', 'true')
    tap.ok(statements >= len(STATEMENTS) // 2, 'most statements ask the operating system for memory', statements)
tap.done()
