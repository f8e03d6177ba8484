#!/usr/bin/env python3
"""What the fuzzer found worth keeping, once more: every input of test/fuzz/corpus through the target it belongs to, in the server
under test. It must be accepted, with all laws kept, or refused; scripts/fuzz says where the inputs come from.

A line of a corpus is an input in hexadecimal digits; a comment stands above those that once broke something. Of what is taken for
stored, the first byte says which function reads it; here each does. The module is built here for the server's version. Connection: PGHOST, PGPORT, PGUSER, PGDATABASE; superuser, on this machine."""
import atexit
import glob
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'data'))
import harness
from harness import literal

tap = harness.Tap()
folder = tempfile.mkdtemp(prefix='revacct-fuzz-')
atexit.register(shutil.rmtree, folder)
os.chmod(folder, 0o755)                             # the server's user loads the module from here
for path in glob.glob(os.path.join(HERE, '*.[ch]')) + [os.path.join(HERE, 'Makefile')]:
    shutil.copy(path, folder)
built = subprocess.run(['make', '-s', '-C', folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, umask=0o022)
if not tap.ok(built.returncode == 0, 'the module can be built', built.stdout):
    tap.done()

db = harness.Db()
module = literal(os.path.join(folder, 'fuzz'))
db.run("""
    create function pg_temp.fuzz_targets() returns setof text language c as %s, 'fuzz_targets';
    create function pg_temp.fuzz_replay(target text, input bytea) returns text language c as %s, 'fuzz_replay';
    create function pg_temp.outcome(target text, input bytea) returns text language plpgsql as $f$
    begin
        return pg_temp.fuzz_replay(target, input);
    exception when others then
        return format('FINDING %%s: %%s', sqlstate, sqlerrm);
    end $f$;""" % (module, module))

corpus = []
for path in sorted(glob.glob(os.path.join(HERE, 'corpus', '*'))):
    with open(path) as f:
        corpus += [(os.path.basename(path), line.strip()) for line in f if not line.startswith('#') and line.strip()]
targets = db.run('select * from pg_temp.fuzz_targets() order by 1;')
tap.eq(sorted({target for target, _ in corpus}), sorted(targets), 'every target has a corpus, and every corpus a target')

READERS = 48                                        # no type has more
db.load('corpus', 'target text, input text', sorted({
    (target, '%02x%s' % (reader, line[2:]) if target.startswith('stored_') else line)
    for target, line in corpus for reader in range(READERS if target.startswith('stored_') else 1)}))
try:
    db.run("create temp table outcomes as select target, input, pg_temp.outcome(target, decode(input, 'hex')) as outcome from corpus;")
except harness.SqlError as error:
    tap.ok(False, 'the session outlives its inputs', error)
    tap.done()

for target in targets:
    rows = db.rows('select input, outcome from outcomes where target = %s' % literal(target))
    wrong = ['%s: %s' % (r['input'], r['outcome']) for r in rows if r['outcome'].startswith('FINDING')]
    tap.ok(rows and not wrong, '%s: %d inputs are accepted or refused' % (target, len(rows)), *wrong[:5])
    # the fuzzer looks for all kinds of ends
    accepted = sum(r['outcome'] == 'accepted' for r in rows)
    tap.ok(accepted > 0, '%s: some are accepted' % target)
    if target.startswith(('in_', 'recv_')):
        tap.ok(accepted < len(rows), '%s: some are refused' % target)
tap.done()
