#!/usr/bin/env python3
"""Reads the queries of test_clients.py with psql: psql.py FILE.  What goes in and comes out is told there."""
import subprocess
import sys

RESET = "\\pset tuples_only on\n\\pset format unaligned\n\\pset fieldsep '\\037'\n\\pset recordsep '\\036'\n\\pset null '\\\\N'\n"


def escaped(value):
    if value == "\\N":
        return value
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def script(steps):
    yield RESET
    for no, (name, mode, sql) in enumerate(steps):
        if mode == "run":
            yield sql + ";\n"
            continue
        types, rows = "\\echo '\\035%d types'\n%s \\gdesc\n" % (no, sql), "\\echo '\\035%d text'\n" % no
        if mode == "plain":
            yield types + rows + sql + ";\n"
        elif mode == "fetch":                  # psql's own cursor
            yield types + "\\set FETCH_COUNT 2\n" + rows + sql + ";\n\\unset FETCH_COUNT\n"
        elif mode == "cursor":
            yield "BEGIN;\nDECLARE c CURSOR FOR %s;\n%s%sFETCH 2 FROM c;\n%sFETCH ALL FROM c;\nCOMMIT;\n" % (sql, types, rows, rows)
        elif mode == "hold":
            yield "DECLARE c CURSOR WITH HOLD FOR %s;\n%s%sFETCH 2 FROM c;\n%sFETCH ALL FROM c;\nCLOSE c;\n" % (sql, types, rows, rows)
        elif mode == "prepared":
            yield "PREPARE s AS %s;\n%s%sEXECUTE s;\n%s%sEXECUTE s;\nDEALLOCATE s;\n" % (sql, types, rows, types, rows)
        else:
            sys.exit("psql.py: unknown mode %s" % mode)


with open(sys.argv[1], encoding="utf-8", newline="\n") as file:
    STEPS = [line.rstrip("\n").split("\t") for line in file]
psql = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-P", "pager=off"], input="".join(script(STEPS)),
                      stdout=subprocess.PIPE, encoding="utf-8")
for part in psql.stdout.split("\x1d")[1:]:
    head, body = part.split("\n", 1)
    no, kind = head.split(" ")
    name, body = STEPS[int(no)][0], body[:-1]     # the last record ends with a newline
    rows = [row.split("\x1f") for row in body.split("\x1e")] if body else []
    if kind == "types":
        print(name, "types", *[row[1] for row in rows], sep="\t")
    else:
        for row in rows:
            print(name, "text", *map(escaped, row), sep="\t")
sys.exit(psql.returncode)
