#!/usr/bin/env python3
"""The same bytes on every version of PostgreSQL: what fingerprint.sql prints is what stands in fingerprint.out, wherever it runs."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'data'))
import harness                                                            # noqa: E402

tap = harness.Tap()
done = subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', os.path.join(HERE, 'fingerprint.sql')], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
tap.eq((done.returncode, done.stderr), (0, ''), 'everything could be made')
with open(os.path.join(HERE, 'fingerprint.out'), encoding='utf-8') as file:
    wanted = dict(line.split('|', 1) for line in file.read().splitlines())
got = dict(line.split('|', 1) for line in done.stdout.splitlines())
tap.eq(sorted(got), sorted(wanted), 'of everything there is a digest')
for name, digest in wanted.items():
    tap.eq(got.get(name), digest, 'the same on every version: ' + name)
tap.done()
