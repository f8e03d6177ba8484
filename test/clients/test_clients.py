#!/usr/bin/env python3
"""The public views as people's tools read them: psql, JDBC, psqlODBC, node's pg and R show the same figures, under the role of a reader,
plain, through cursors, as prepared statements, wrapped as tools wrap queries, and wherever client and session think they are.

Each client is a small program beside this file that reads a file of steps, one a line: name, mode and query, with tabs between.
Modes: plain; fetch (the client's own cursor, two rows at a time); cursor, hold (DECLARE, and FETCH in two parts); prepared (twice);
run (nothing to show). It prints lines of values with tabs between, escaped as COPY does:
    name types  ...   the type of each column as the client reports it; begins a result
    name text   ...   a row, as the server's text comes through the client
    name native ...   the same row as a program takes it: numbers are doubles where the client has no better, printed with the scale
                      that the client reports; instants are in UTC
psql knows text only. ODBC does not tell the offset of an instant: it is compared with the wall clock of the session's zone.

Beside that, the rules that the catalogs can tell, for every view of the schema. Both find what is wrong with views that are wrong.
Needed packages: libpostgresql-jdbc-java openjdk-17-jdk-headless (or another JDK), odbc-postgresql libodbc2, nodejs and node-pg (or npm),
r-base-core r-cran-rpostgresql.
A client that is not there is skipped, and under CI=true a failure. `test_clients.py --record` writes down the columns of the views anew.
"""
import atexit
import contextlib
import ctypes.util
import datetime
import glob
import json
import os
import re
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from zoneinfo import ZoneInfo

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "data"))
import harness                                                        # noqa: E402

SCHEMA = "revacct"
DATABASE = os.environ["PGDATABASE"]
COLUMNS = os.path.join(HERE, "columns.tsv")
READER = "revacct_clients_%d" % os.getpid()
PASSWORD = secrets.token_hex(16)
CI = os.environ.get("CI") == "true"
# Where the client is, and what it makes of its session.
PLACES = [("UTC", None), ("Europe/Berlin", None), ("UTC", "Europe/Berlin"), ("America/New_York", "Asia/Tokyo")]
# Every way in the first and the last; in between those in which clients treat values differently.
SHORT = {place: ("plain", "fetch", "prepared") for place in PLACES[1:3]}
tap = harness.Tap()

Query = namedtuple("Query", "name sql order expected", defaults=[None])


# ---- what is asked --------------------------------------------------------------------------------------------------

# The dozen figures. `expected`: the rows as text, worked out by hand from SCENARIO below; None: only that all show the same.
CANONICAL = [
    Query("stages in words", "SELECT kind, name, meaning, terms, owners, version_no, retroactive_count FROM glossary WHERE kind = 'stage'", "name", [
        ["stage", "deals/lost", None, "lost; place 40", None, "1", "1"],
        ["stage", "deals/offer", "They have our „offer“, and it's \"open\"", "open; pipeline; place 20", "sales (60 %), süd (40 %)", "1", "1"],
        ["stage", "deals/qualified", "Wir kennen den Bedarf; größer als 10.000 €", "open; place 10", None, "1", "1"],
        ["stage", "deals/won", None, "won; place 30", None, "1", "1"]]),
    Query("since when", "SELECT name, valid_from, valid_until, change_no FROM glossary WHERE kind IN ('lifecycle', 'calendar')", "name", [
        ["deals", "2025-09-30T22:00:00.000000Z", None, "1"],
        ["office", "2025-09-30T22:00:00.000000Z", None, "1"]]),
    Query("shares", "SELECT object_name, party, share_pct, weight, capacity FROM ownership WHERE object_kind = 'stage'", "party", [
        ["deals/offer", "sales", "60.000000", None, None],
        ["deals/offer", "süd", "40.000000", None, None]]),
    Query("what is open", "SELECT change_no, status, rationale, effective_at, retroactive_count, definition_count FROM open_changes", "change_no", [
        ["2", "proposed", "Calls within a\tday,\nsays \\Ana\\", "2099-03-29T01:00:00.000000Z", "0", "1"]]),
    Query("what was changed", "SELECT kind, count(*) AS definitions FROM model_history GROUP BY kind", "kind", [
        ["calendar", "1"], ["code", "4"], ["lifecycle", "1"], ["metric", "1"], ["policy", "1"], ["responsibility", "3"], ["stage", "4"]]),
    Query("the funnel", "SELECT stage_no, stage, sum(entered)::bigint AS entered, sum(observed)::bigint AS observed, sum(imputed)::bigint AS imputed, sum(converted)::bigint AS converted, "
          "sum(lost)::bigint AS lost, sum(in_progress)::bigint AS in_progress, sum(expired)::bigint AS expired, (sum(converted) / sum(entered))::numeric(9,6) AS conversion_rate, count(*) AS groups "
          "FROM funnel WHERE lifecycle = 'deals' GROUP BY stage_no, stage", "stage_no", [
              ["1", "qualified", "5", "5", "0", "2", "1", "2", "0", "0.400000", "5"],
              ["2", "offer", "2", "1", "1", "2", "0", "0", "0", "1.000000", "5"],
              ["3", "won", "2", "2", "0", "2", "0", "0", "0", "1.000000", "5"]]),
    # Wilson's limits of 0 and of 1 in 1: 1 - 1 / (1 + 1.959964 ** -2) and its opposite
    Query("groups of the funnel", "SELECT period_start, period, segment, lead_source, owner, currency, entered, converted, conversion_rate, rate_low, rate_high, amount_entered, amount_converted, "
          "amount_lost, mean_days_to_convert, subjects FROM funnel WHERE stage = 'qualified'", "period_start, segment, lead_source", [
              ["2025-10-01", "2025-10", "groß", "Messe", "ana", "EUR", "1", "0", "0.000000", "0.000000", "0.793451", "0.01", "0.00", "0.01", None, "1"],
              ["2025-10-01", "2025-10", "groß", "Web", "ana", "EUR", "1", "1", "1.000000", "0.206549", "1.000000", "10000.50", "10000.50", "0.00", "8.35", "1"],
              ["2025-10-01", "2025-10", None, None, None, None, "1", "0", "0.000000", "0.000000", "0.793451", None, None, None, None, "1"],
              ["2025-11-01", "2025-11", "klein", "Messe", "O'Ben", "USD", "1", "1", "1.000000", "0.206549", "1.000000", "99999.99", "99999.99", "0.00", "18.25", "1"],
              ["2025-11-01", "2025-11", "klein", "Web", "ben", "EUR", "1", "0", "0.000000", "0.000000", "0.793451", "200.10", "0.00", "0.00", None, "1"]]),
    Query("amounts", "SELECT currency, sum(amount_entered)::numeric(18,2) AS amount_entered, sum(amount_converted)::numeric(18,2) AS amount_converted FROM funnel WHERE stage_no = 1 GROUP BY currency",
          "currency", [["EUR", "10200.61", "10000.50"], ["USD", "99999.99", "99999.99"], [None, None, None]]),
    # Business days are of 24 hours: C was there for seven days of 8 hours, A for five and an hour, D for thirteen and seven hours.
    Query("velocity", "SELECT owner, stage, visits, pending, moved_forward, won, lost, median_days, business_median_days FROM stage_velocity WHERE visits > 0", "owner, stage, median_days", [
        ["O'Ben", "qualified", "1", "0", "0", "1", "0", "18.25", "4.63"],
        ["ana", "offer", "1", "0", "0", "1", "0", "7.00", "1.67"],
        ["ana", "qualified", "1", "0", "1", "0", "0", "8.35", "1.71"],
        ["ana", "qualified", "1", "0", "0", "0", "1", "10.27", "2.33"],
        ["ben", "qualified", "1", "1", "0", "0", "0", None, None],
        [None, "qualified", "1", "1", "0", "0", "0", None, None]]),
    Query("first calls", "SELECT policy, owner, target_seconds, started, met, breached, running, overdue, decided, breach_rate FROM sla_results", "owner, met", [
        ["first call", "O'Ben", "28800", "1", "1", "0", "0", "0", "1", "0.000000"],
        ["first call", "ana", "28800", "1", "0", "1", "0", "1", "1", "1.000000"],
        ["first call", "ana", "28800", "1", "1", "0", "0", "0", "1", "0.000000"],
        ["first call", "ben", "28800", "1", "0", "1", "0", "0", "1", "1.000000"],
        ["first call", None, "28800", "1", "1", "0", "0", "0", "1", "0.000000"]]),
    # The reader is Ana.
    Query("who waits", "SELECT policy, subject_key, owner, status, started_at, due_at, target_seconds, remaining_seconds, at_risk_count, breach_count FROM sla_status", "subject_key", [
        ["first call", "C", "ana", "breached", "2025-10-26T01:30:00.000000Z", "2025-10-27T16:00:00.000000Z", "28800", None, "0", "1"]]),
    Query("what happened to A", "SELECT event, stage, code, occurred_at, amount, currency, counted_count FROM event_log WHERE subject_key = 'A' AND event IN ('created', 'stage_entered', 'amount_set', 'segment_set')",
          "occurred_at, event, stage", [
              ["amount_set", None, None, "2025-10-26T00:30:00.000000Z", "10000.50", "EUR", "1"],
              ["created", None, None, "2025-10-26T00:30:00.000000Z", None, None, "1"],
              ["segment_set", None, "groß", "2025-10-26T00:30:00.000000Z", None, None, "1"],
              ["stage_entered", "qualified", None, "2025-10-26T00:30:00.000000Z", None, None, "1"],
              ["stage_entered", "offer", None, "2025-11-03T09:00:00.000000Z", None, None, "1"],
              ["stage_entered", "won", None, "2025-11-10T09:00:00.000000Z", None, None, "1"]]),
    Query("what is published", "SELECT published_no, metric, period_start, period_end, value, numerator, denominator, n, as_of, note FROM published_figures", "published_no", [
        ["1", "qualified_to_won", "2025-10-01", "2025-10-31", "0.333333", "1", "3", "3", "2025-11-30T23:00:00.000000Z", "Für „Q4“"]]),
    Query("definitions", "SELECT kind, name, unit, numerator_definition, denominator_definition, additive_count FROM metric_catalog WHERE name IN ('conversion_rate', 'breach_rate', 'qualified_to_won', 'entered', 'median_days')", "name", [
        ["column", "breach_rate", "share", "breached", "decided", "0"],
        ["column", "conversion_rate", "share", "converted", "entered", "0"],
        ["column", "entered", "count", None, None, "1"],
        ["column", "median_days", "days", None, None, "0"],
        ["metric", "qualified_to_won", "rate", "won", "qualified", "0"]]),
]

# What the figures are of: five deals around the night on which Berlin's clocks go back, which is also near the end of a month.
# A is won by way of an offer, D without one; C is lost; B and E wait. B comes at the first instants of November in Berlin, E at the
# last ones of October. B and C are called too late: B's clock starts on Monday at 9, C is never called.
DEALS = """
        A 2025-10-26T00:30:00Z Web    groß   ana   10000.50 EUR  qualified 2025-10-26T00:30:00Z offer 2025-11-03T10:00:00+01 won 2025-11-10T10:00:00+01 touch 2025-10-27T12:00:00+01
        B 2025-10-31T23:00:00Z Web    klein  ben     200.10 EUR  qualified 2025-10-31T23:00:00Z touch 2025-11-04T10:00:00+01
        C 2025-10-26T01:30:00Z Messe  groß   ana       0.01 EUR  qualified 2025-10-26T01:30:00Z lost 2025-11-05T09:00:00+01
        D 2025-11-02T09:00:00Z Messe  klein  O'Ben 99999.99 USD  qualified 2025-11-02T09:00:00Z won 2025-11-20T16:00:00+01 touch 2025-11-03T09:30:00+01
        E 2025-10-31T22:59:59Z -      -      -            - -    qualified 2025-10-31T22:59:59Z touch 2025-11-03T17:00:00+01
"""

SCENARIO = """
SET SESSION AUTHORIZATION {steward};
SELECT register_party('sales', 'team'), register_party('süd', 'team', 'Vertrieb "Süd"');
SELECT draft_change('Deals, as agreed', effective_at => '2025-10-01 00:00+02', retroactive => true);
SELECT define_calendar('office', 'Europe/Berlin', '{{mon-fri 09:00-17:00}}'),
       define_lifecycle('deals', subject_kind => 'opportunity', time_zone => 'Europe/Berlin', calendar => 'office'),
       define_stage('deals', 'qualified', 10, meaning => 'Wir kennen den Bedarf; größer als 10.000 €'),
       define_stage('deals', 'offer', 20, is_pipeline => true, meaning => 'They have our „offer“, and it''s "open"'),
       define_stage('deals', 'won', 30, 'won'),
       define_stage('deals', 'lost', 40, 'lost'),
       define_code('segment', 'groß'), define_code('segment', 'klein'), define_code('lead_source', 'Web'), define_code('lead_source', 'Messe', 'Trade fair'),
       define_sla('first call', start => '{{created}}', stop => '{{touch_out}}', target => '8 hours', calendar => 'office', lifecycle => 'deals'),
       define_metric('qualified_to_won', 'Of the deals that are qualified, how many are won', numerator => 'won', denominator => 'qualified', basis => 'cohort', lifecycle => 'deals',
                     at_stage => 'qualified', to_stage => 'won'),
       assign('sales', 'accountable', 'metric', 'qualified_to_won'),
       assign('sales', 'accountable', 'stage', 'deals/offer', share => 0.6), assign('süd', 'accountable', 'stage', 'deals/offer', share => 0.4);
SELECT propose_change();
SET SESSION AUTHORIZATION {council};
SELECT approve(1), set_minimum_group(1);
SET SESSION AUTHORIZATION {steward};
SELECT draft_change(E'Calls within a\\tday,\\nsays \\\\Ana\\\\', effective_at => '2099-03-29 03:00+02');
SELECT define_sla('second call', start => '{{touch_out}}', stop => '{{touch_in}}', target => '8 hours', calendar => 'office');
SELECT propose_change();
RESET SESSION AUTHORIZATION;

CREATE SCHEMA crm;
CREATE TABLE crm.events (subject_kind text, subject_key text, event text, occurred_at timestamptz, source_key text, lifecycle text, stage text, field text, code text, party text, amount numeric, currency text);
{events}
GRANT USAGE ON SCHEMA crm TO {steward};
GRANT SELECT ON crm.events TO {steward};
SET SESSION AUTHORIZATION {steward};
SELECT map_source('crm', events => 'crm.events');
"""


LATE = """
SET SESSION AUTHORIZATION {steward};
SELECT draft_change('Confirmed at once', effective_at => '2025-10-01 00:00+02', retroactive => true);
SELECT define_sla('confirmation', start => '{{created}}', stop => '{{touch_out}}', target => '1 minute', lifecycle => 'deals');
SELECT propose_change();
SET SESSION AUTHORIZATION {council};
SELECT approve(change_no) FROM open_changes WHERE rationale = 'Confirmed at once';
SELECT * FROM refresh(false);
"""


def events():
    """DEALS as inserts into crm.events."""
    for line in DEALS.split("\n"):
        if not line.strip():
            continue
        deal, created, source, segment, owner, amount, currency, *moves = line.split()
        facts = [(created, "event", "created")]
        facts += [(created, "event", "field_set", "field", field, "code", code) for field, code in (("lead_source", source), ("segment", segment)) if code != "-"]
        if owner != "-":
            facts.append((created, "event", "assigned", "party", owner))
        if amount != "-":
            facts.append((created, "event", "field_set", "field", "amount", "amount", amount, "currency", currency))
        facts += [(at, "event", "touch_out") if stage == "touch" else (at, "event", "stage_entered", "lifecycle", "deals", "stage", stage)
                  for stage, at in zip(moves[::2], moves[1::2])]
        for no, (at, *fact) in enumerate(facts):
            values = ["opportunity", deal, at, "deal/%s/%d" % (deal, no)] + fact[1::2]
            yield "INSERT INTO crm.events (subject_kind, subject_key, occurred_at, source_key, %s) VALUES (%s);" % (", ".join(fact[::2]), ", ".join(map(literal, values)))


# ---- a session of the administrator's -------------------------------------------------------------------------------

def server_env(**more):
    """The environment of a client: nothing of the caller's but where its programs are."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "PGHOST", "PGPORT") if name in os.environ}
    return dict(env, LC_ALL="C.UTF-8", LANG="C.UTF-8", PGDATABASE=DATABASE, **more)


def psql(script, user=os.environ.get("PGUSER", "postgres")):
    """Rows as lists of text; NULL is None."""
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\x1f", "-R", "\x1e", "-P", "null=\\N"],
                          input="SET search_path = %s, public;\nSET timezone = 'UTC';\n%s" % (SCHEMA, script), env=server_env(PGUSER=user),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    out = done.stdout[:-1]
    return [[None if value == "\\N" else value for value in row.split("\x1f")] for row in out.split("\x1e")] if out else []


def literal(text):
    return "'%s'" % text.replace("'", "''")


def quoted(name):
    return '"%s"' % name.replace('"', '""')


def views_of(schema):
    return [row[0] for row in psql("SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'v' ORDER BY 1;" % literal(schema))]


# ---- a door for those who know TCP only -----------------------------------------------------------------------------

class Door:
    """The throwaway server listens on its socket only. JDBC needs TCP: a port of the loopback interface, open while this runs,
    that lets through to the socket who says that he is the reader, and nobody else."""

    def __init__(self, user):
        self.user = user.encode()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client = self.listener.accept()[0]
            threading.Thread(target=self.admit, args=(client,), daemon=True).start()

    def admit(self, client):
        with contextlib.suppress(OSError, struct.error, ValueError), client:
            head = client.recv(4, socket.MSG_WAITALL)
            packet = client.recv(struct.unpack("!I", head)[0] - 4, socket.MSG_WAITALL)
            words = packet[4:].split(b"\0")
            if packet[:4] != struct.pack("!I", 3 << 16) or dict(zip(words[::2], words[1::2])).get(b"user") != self.user:
                return
            server = socket.socket(socket.AF_UNIX)
            with server:
                server.connect("%s/.s.PGSQL.%s" % (os.environ["PGHOST"], os.environ["PGPORT"]))
                server.sendall(head + packet)
                threading.Thread(target=self.pass_on, args=(server, client), daemon=True).start()
                self.pass_on(client, server)

    @staticmethod
    def pass_on(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in source, target:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


# ---- the clients ----------------------------------------------------------------------------------------------------

class Client:
    def __init__(self, name, command, **env):
        self.name, self.command, self.env = name, command, env

    def read(self, steps, place):
        """Results by name: a list of (types, rows of text, native rows), one for each time that it was shown. Or what went wrong."""
        zone, session = place
        if session:
            steps = [("session", "run", "SET TimeZone = %s" % literal(session))] + steps
        with tempfile.NamedTemporaryFile("w", suffix=".tsv", dir=FOLDER, encoding="utf-8", newline="\n") as file:
            file.write("".join("\t".join(step) + "\n" for step in steps))
            file.flush()
            done = subprocess.run([*self.command, file.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
                                  timeout=300, env=server_env(**{"TZ": zone, "PGUSER": READER, "PGPASSWORD": PASSWORD, **self.env}))
        results = {}
        for line in done.stdout.split("\n")[:-1]:
            name, kind, *values = line.split("\t")
            values = [None if value == "\\N" else re.sub(r"\\(.)", lambda m: {"t": "\t", "n": "\n", "r": "\r"}.get(m[1], m[1]), value) for value in values]
            if kind == "types":
                results.setdefault(name, []).append((values, [], []))
            else:
                results[name][-1][1 if kind == "text" else 2].append(values)
        return results, done.stderr.strip() if done.returncode else None


def find_clients():
    """Those that are there, and why the others are not."""
    found, missing = [], []

    def lack(name, *packages):
        missing.append((name, "missing: " + " ".join(packages).strip()))

    found.append(Client("psql", [sys.executable, os.path.join(HERE, "psql.py")]))

    driver = "/usr/share/java/postgresql.jar"
    if not shutil.which("javac") or not os.path.exists(driver):
        lack("JDBC", "openjdk-17-jdk-headless", "libpostgresql-jdbc-java")
    else:
        # Compiled once, and not at each of the starts.
        subprocess.run(["javac", "-encoding", "UTF-8", "-d", FOLDER, os.path.join(HERE, "Jdbc.java")], check=True)
        found.append(Client("JDBC", ["java", "-XX:TieredStopAtLevel=1", "-cp", FOLDER + ":" + driver, "Jdbc"], PGHOST="127.0.0.1", PGPORT=str(Door(READER).port)))

    drivers = glob.glob("/usr/lib/*/odbc/psqlodbcw.so")
    if not ctypes.util.find_library("odbc") or not drivers:
        lack("ODBC", "libodbc2", "odbc-postgresql")
    else:
        found.append(Client("ODBC", [sys.executable, os.path.join(HERE, "odbc.py")], ODBC_DRIVER=drivers[0]))

    # The version of package-lock.json where there is npm; else Debian's.
    folder, why = "/usr/share/nodejs", ""
    if shutil.which("npm"):
        for name in "package.json", "package-lock.json":
            shutil.copy(os.path.join(HERE, name), FOLDER)
        done = subprocess.run(["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=FOLDER, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, encoding="utf-8")
        if done.returncode:
            why = "npm ci: " + " ".join(done.stdout.split())[-300:]
        else:
            folder = os.path.join(FOLDER, "node_modules")
    if not shutil.which("node") or not os.path.exists(os.path.join(folder, "pg-cursor")):
        lack("node", "nodejs", "node-pg", why)
    else:
        with open(os.path.join(folder, "pg", "package.json"), encoding="utf-8") as file:
            tap.say("node's pg is %s" % json.load(file)["version"])
        found.append(Client("node", ["node", os.path.join(HERE, "node.js")], NODE_PATH=folder))

    if not shutil.which("Rscript") or subprocess.run(["Rscript", "-e", "library(RPostgreSQL)"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode:
        lack("R", "r-base-core", "r-cran-rpostgresql")
    else:
        found.append(Client("R", ["Rscript", "--vanilla", os.path.join(HERE, "r.R")]))
    return found, missing


# ---- one form for what they show ------------------------------------------------------------------------------------

TYPES = {"integer": "int4", "bigint": "int8", "boolean": "bool", "timestamp with time zone": "timestamptz"}
ALLOWED = re.compile(r"text|int4|int8|numeric\(\d+,\d+\)|bool|date|timestamptz")
INSTANT = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?([+-]\d\d(?::\d\d){0,2})?")


def type_name(name):
    return TYPES.get(name, name)


def common(value, type):
    """The text of a value in the one form."""
    if value is None:
        return None
    if type == "bool":
        return {"true": "t", "1": "t", "false": "f", "0": "f"}.get(value, value)
    if type == "timestamptz":
        match = INSTANT.fullmatch(value)
        if not match:
            return value
        day, hour, fraction, offset = match.groups()
        fraction = (fraction or ".").ljust(7, "0")
        if offset is None:                             # a wall clock
            return "%s %s%s" % (day, hour, fraction)
        sign = -1 if offset[0] == "-" else 1
        hours, minutes, seconds = (offset[1:].split(":") + ["0", "0"])[:3]
        at = datetime.datetime.fromisoformat("%s %s" % (day, hour)) - sign * datetime.timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
        return at.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"
    return value


def as_seen(value, type, client, kind, place):
    """What a client can show of a value at all."""
    if value is None or type != "timestamptz" or not value.endswith("Z"):
        return value
    if client == "ODBC":
        at = datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
        return at.astimezone(ZoneInfo(place[1] or "UTC")).strftime("%Y-%m-%d %H:%M:%S.%f")
    if client == "node" and kind == "native":          # JavaScript knows milliseconds
        return value[:-4] + "000Z"
    return value


def steps_of(query, columns):
    """Each way to ask it: name of the way, mode, SQL."""
    sql, wrapped = "%s ORDER BY %s" % (query.sql, query.order), "(%s) AS q" % query.sql
    names = ", ".join('"q".' + quoted(column) for column in columns)
    for mode in "plain", "fetch", "cursor", "hold", "prepared":
        yield mode, mode, sql
    yield "limit 0", "plain", "SELECT * FROM %s LIMIT 0" % wrapped
    yield "nothing", "plain", "SELECT * FROM %s WHERE 1=0" % wrapped
    yield "counted", "plain", "WITH q AS (%s) SELECT count(*) AS how_many FROM q" % query.sql
    yield "by name", "prepared", 'SELECT %s FROM (%s) AS "q" ORDER BY %s' % (names, query.sql, query.order)
    yield "grouped", "fetch", "SELECT %s, count(*) AS how_many FROM %s GROUP BY 1 ORDER BY 1" % (quoted(columns[0]), wrapped)


def answer(way, truth, order=lambda value: (value is None, value)):
    """Types and rows that a way to ask must give, from those of the plain one."""
    types, rows = truth
    if way in ("limit 0", "nothing"):
        return types, []
    if way == "counted":
        return ["int8"], [[str(len(rows))]]
    if way == "grouped":
        groups = Counter(row[0] for row in rows)
        return [types[0], "int8"], [[key, str(groups[key])] for key in sorted(groups, key=order)]
    return types, rows


def numeric_order(value):
    return (value is None, value if value is None or not re.fullmatch(r"-?\d+(\.\d+)?", value) else Decimal(value))


def compare(client, place, query, results, truth):
    """What a client showed otherwise, in words."""
    for way, mode, sql in query.ways:
        if way not in SHORT.get(place, [way]):
            continue
        types, rows = answer(way, truth, numeric_order if re.match("int|numeric", truth[0][0]) else (lambda v: (v is None, (v or "").encode())))
        where = "%s in %s%s, %s, %s: " % (client.name, place[0], ", session in %s" % place[1] if place[1] else "", query.name, way)
        shown = results.get("%s/%s" % (query.name, way), [])
        if len(shown) != (2 if mode == "prepared" else 1):
            yield where + "shown %d times" % len(shown)
            continue
        for got_types, text, native in shown:
            got_types = [type_name(t) for t in got_types]
            if got_types != types:
                yield where + "types %s, expected %s" % (got_types, types)
                continue
            for column, t in enumerate(types, 1):
                if not ALLOWED.fullmatch(t):
                    yield where + "column %d is a %s" % (column, t)
            for kind, got in (("text", text), ("native", native)):
                if kind == "native" and client.name == "psql":
                    continue
                if len(got) != len(rows):
                    yield where + "%d rows (%s), expected %d" % (len(got), kind, len(rows))
                    continue
                for got_row, row in zip(got, rows):
                    for column, (value, expected, t) in enumerate(zip(got_row, row, types), 1):
                        expected = as_seen(expected, t, client.name, kind, place)
                        if common(value, t) != expected:
                            yield where + "%s of column %d is %r, expected %r" % (kind, column, value, expected)


class Asked:
    """A query with the ways to ask it and what is true: psql's plain answer, from the place where nothing can shift."""

    def __init__(self, query):
        self.query, self.name = query, query.name
        described = psql("%s \\gdesc\n" % query.sql)
        self.columns = [row[0] for row in described]
        types = [type_name(row[1]) for row in described]
        self.ways = list(steps_of(query, self.columns))
        self.truth = types, [[common(value, t) for value, t in zip(row, types)]
                             for row in psql("%s ORDER BY %s;" % (query.sql, query.order), user=READER)]


def parity(clients, queries, places):
    """Complaints, and how many values were compared."""
    asked, complaints, compared = [], [], 0
    for query in queries:
        try:
            asked.append(Asked(query))
        except RuntimeError as error:
            complaints.append("%s: %s" % (query.name, error))
    steps = [("path", "run", "SET search_path = %s, public" % SCHEMA)]

    def one(job):
        client, place = job
        return (client, place, *client.read(steps + [("%s/%s" % (a.name, way), mode, sql) for a in asked for way, mode, sql in a.ways if way in SHORT.get(place, [way])], place))

    with ThreadPoolExecutor(2) as pool:
        for client, place, results, error in pool.map(one, [(client, place) for place in places for client in clients]):
            if error:
                complaints.append("%s in %s: %s" % (client.name, place, error[-600:]))
            for a in asked:
                complaints += compare(client, place, a, results, a.truth)
            compared += sum(len(row) for shown in results.values() for _, text, native in shown for row in text + native)
    return complaints, compared


def first(complaints, count=8):
    return complaints[:count] + (["... and %d more" % (len(complaints) - count)] if len(complaints) > count else [])


# ---- the rules that the catalogs know -------------------------------------------------------------------------------

FAULTS = r"""
WITH RECURSIVE
    shown AS (SELECT c.oid, c.relname, c.reloptions FROM pg_class AS c WHERE c.relnamespace = {schema}::regnamespace AND c.relkind = 'v'),
    col AS (SELECT s.oid, s.relname, a.attname, a.attnum, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod) AS type, col_description(s.oid, a.attnum) AS comment
            FROM shown AS s JOIN pg_attribute AS a ON a.attrelid = s.oid AND a.attnum > 0 AND NOT a.attisdropped),
    -- a view reads other views
    used (top, rel) AS (SELECT oid, oid FROM shown
             UNION SELECT u.top, d.refobjid FROM used AS u JOIN pg_rewrite AS w ON w.ev_class = u.rel JOIN pg_depend AS d
                   ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> u.rel),
    -- built-in functions leave no dependency: the stored tree names them all
    called AS (SELECT DISTINCT u.top, f.call[1]::oid AS proc FROM used AS u JOIN pg_rewrite AS w ON w.ev_class = u.rel,
                   regexp_matches(w.ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)', 'g') AS f (call))
SELECT 'rule 1: ' || relname || '.' || attname || ' is of type ' || type FROM col
 WHERE atttypid NOT IN ('text'::regtype, 'bigint'::regtype, 'integer'::regtype, 'numeric'::regtype, 'boolean'::regtype, 'date'::regtype, 'timestamptz'::regtype)
UNION ALL SELECT 'rule 1: ' || relname || '.' || attname || ' is a duration: bigint, not ' || type FROM col WHERE attname ~ '_seconds$' AND type <> 'bigint'
UNION ALL SELECT 'rule 1: ' || relname || '.' || attname || ' is a duration: numeric(12,2), not ' || type FROM col WHERE attname ~ '_(hours|days)$' AND type <> 'numeric(12,2)'
UNION ALL SELECT 'rule 2: ' || relname || '.' || attname || ' has no precision' FROM col WHERE atttypid = 'numeric'::regtype AND atttypmod = -1
UNION ALL SELECT 'rule 2: ' || relname || '.' || attname || ' is an amount: numeric(18,2), not ' || type FROM col WHERE attname ~ '(^|_)amount(_|$)' AND type <> 'numeric(18,2)'
UNION ALL SELECT 'rule 2: ' || relname || '.' || attname || ' is a rate: numeric(9,6), not ' || type FROM col WHERE attname ~ '(_rate|_pct|^rate_low|^rate_high)$' AND type <> 'numeric(9,6)'
UNION ALL SELECT 'rule 3: ' || relname || '.' || attname || ' does not say that it is not to be summed' FROM col
 WHERE attname ~ '_rate$|^rate_(low|high)$|(^|_)median_|^mean_|^p[0-9]+_|^fraction_' AND coalesce(comment, '') !~* 'not to be summed'
UNION ALL SELECT 'rule 5: ' || relname || '.' || attname || ' is a period: date, not ' || type FROM col WHERE attname ~ '^period_(start|end)$' AND type <> 'date'
UNION ALL SELECT 'rule 5: ' || relname || ' has no text column period' FROM col AS c WHERE attname = 'period_start'
   AND NOT EXISTS (SELECT FROM col AS p WHERE p.oid = c.oid AND p.attname = 'period' AND p.atttypid = 'text'::regtype)
UNION ALL SELECT 'rule 6: a name: ' || n.name FROM (SELECT relname FROM shown UNION SELECT relname || '.' || attname FROM col) AS n (name),
          split_part(n.name, '.', CASE WHEN n.name LIKE '%.%' THEN 2 ELSE 1 END) AS word
 WHERE word !~ '^[a-z][a-z0-9_]*$' OR length(word) > 30 OR word IN (SELECT k.word FROM pg_get_keywords() AS k WHERE k.catcode IN ('R', 'T'))
UNION ALL SELECT 'rule 6: ' || attname || ' is ' || string_agg(type || ' in ' || relname, ', ' ORDER BY relname) FROM col GROUP BY attname HAVING count(DISTINCT type) > 1
UNION ALL SELECT 'rule 7: ' || c.relname || ' is no plain view' FROM pg_class AS c WHERE c.relnamespace = {schema}::regnamespace AND c.relkind IN ('r', 'p', 'm', 'f', 'S')
   AND {plain}
UNION ALL SELECT 'rule 8: ' || relname || ' has no comment that is a sentence' FROM shown WHERE coalesce(obj_description(oid, 'pg_class'), '') !~ '^\S.*[.)]$'
UNION ALL SELECT 'rule 8: ' || relname || '.' || attname || ' has no comment that is a sentence' FROM col WHERE coalesce(comment, '') !~ '^\S.*[.)]$'
UNION ALL SELECT 'rule 9: ' || s.relname || ' calls ' || p.oid::regprocedure || ', which is volatile' FROM called AS c JOIN shown AS s ON s.oid = c.top JOIN pg_proc AS p ON p.oid = c.proc
 WHERE p.provolatile = 'v'
UNION ALL SELECT 'rule 9: the reader may not read ' || relname FROM shown WHERE NOT has_table_privilege({reader}, oid, 'SELECT')
UNION ALL SELECT 'rule 9: the reader may write ' || relname FROM shown WHERE has_table_privilege({reader}, oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
UNION ALL SELECT DISTINCT 'rule 9: the reader may read ' || u.rel::regclass || ', which ' || s.relname || ' reads' FROM used AS u JOIN shown AS s ON s.oid = u.top JOIN pg_class AS c ON c.oid = u.rel
 WHERE c.relkind <> 'v' AND c.relnamespace <> 'pg_catalog'::regnamespace AND has_schema_privilege({reader}, c.relnamespace, 'USAGE') AND has_table_privilege({reader}, c.oid, 'SELECT')
ORDER BY 1;
"""


def faults(schema, plain=True):
    """What the views of a schema have against spec/bi.md, rule by rule, in words. `plain`: nothing but views may be there."""
    found = [row[0] for row in psql(FAULTS.format(schema=literal(schema), reader=literal(READER), plain=plain))]
    for view, column, type in psql("SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 "
                                   "WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'v' ORDER BY 1, a.attnum;" % literal(schema)):
        c = quoted(column)
        wrong = {"bigint": "abs(%s) >= 9007199254740992" % c, "numeric": "%s IN ('NaN', 'Infinity', '-Infinity')" % c, "date": "NOT isfinite(%s)" % c,
                 "timestamp with time zone": "NOT isfinite(%s)" % c}.get(type)
        if re.search("_rate$|^rate_(low|high)$", column) and type == "numeric":
            wrong += " OR %s NOT BETWEEN 0 AND 1" % c
        if column.endswith("_pct") and type == "numeric":
            wrong += " OR %s NOT BETWEEN 0 AND 100" % c
        if wrong:
            try:
                count = psql("SELECT count(*) FROM %s.%s WHERE %s;" % (quoted(schema), quoted(view), wrong), user=READER)[0][0]
            except RuntimeError as error:
                found.append("rule 9: the reader reads %s.%s: %s" % (view, column, error))
                continue
            if count != "0":
                found.append("rules 1 to 3: %s.%s has %s values that %s" % (view, column, count, wrong))
    return found


def shifted(schema):
    """Views whose rows are others when the session is elsewhere."""
    digest = "SELECT md5(coalesce(string_agg(md5(%s), ',' ORDER BY md5(%s)), '')) FROM %s.%s AS v;"
    wrong = []
    for view in views_of(schema):
        columns = psql("SELECT attname, atttypid = 'timestamptz'::regtype FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum;"
                       % literal("%s.%s" % (quoted(schema), quoted(view))))
        # of an instant the instant, not how it is written here
        row = "concat_ws('|', %s)" % ", ".join("coalesce(%s, '-')" % (("extract(epoch FROM v.%s)::text" if instant == "t" else "v.%s::text") % quoted(c)) for c, instant in columns)
        sql = digest % (row, row, quoted(schema), quoted(view))
        try:
            seen = {zone: psql("SET TimeZone = '%s'; SET default_transaction_read_only = on; %s" % (zone, sql), user=READER)[0][0]
                    for zone in ("UTC", "Europe/Berlin", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati")}
            if len(set(seen.values())) != 1:
                wrong.append("%s: %s" % (view, seen))
        except RuntimeError as error:
            wrong.append("%s: %s" % (view, error))
    return wrong


def recorded_columns():
    return ["\t".join(row) for row in psql(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 "
        "WHERE c.relnamespace = '%s'::regnamespace AND c.relkind = 'v' ORDER BY c.relname, a.attnum;" % SCHEMA)]


# ---- views as they will be, with awkward values; and views that are wrong --------------------------------------------

# Of each its columns and their types, and rows as they must come out.
STANDIN = {
    "funnel": (
        "lifecycle text, period_start date, period text, segment text, stage_no bigint, stage text, entered bigint, conversion_rate numeric(9,6), rate_low numeric(9,6), "
        "won_amount numeric(18,2), imputed_count integer, is_open boolean, as_of timestamptz",
        [["deals", "2025-01-31", "2025-01", None, "1", "qualified", "0", None, None, "0.00", "0", "t", "2025-10-26T00:30:00.000000Z"],
         ["deals", "2024-02-29", "2024-02", "größer", "2", "offer", "9007199254740991", "1.000000", "0.333333", "-1234567.80", "-1", "f", "2025-10-26T01:30:00.000000Z"],
         ["deals", "2025-03-30", "2025-03", "O'Brien \"& Söhne\" \\ 日本 😀", "3", "won", "1", "0.000000", "0.000001", "9007199254740.90", "2147483647", None, "2025-03-30T01:00:00.123000Z"],
         ["deals", "2025-10-26", "2025-10", "tab\tnew\nline", "4", "lost", "-5", "0.500000", None, "-0.01", "-2147483647", "f", "2025-03-30T00:59:59.999999Z"],
         ["deals", "1969-12-31", "1969-12", "", "5", "no decision", "10", "0.100000", "0.050000", "0.10", "3", "t", "1999-12-31T23:59:59.000000Z"]]),
    "sla_status": (
        "policy text, subject text, status text, started_at timestamptz, due_at timestamptz, elapsed_seconds bigint, remaining_days numeric(12,2), breach_count integer, due_on date",
        [["call", "A-1", "running", "2025-10-26T01:00:00.000000Z", None, "0", "-0.50", "0", "2025-10-26"],
         ["call", "A-2", "breached", "2025-10-25T22:00:00.000000Z", "2025-10-25T23:59:59.999000Z", "86400", "1234567890.12", "1", "9999-12-31"]]),
    "empty": ("name text, figure numeric(18,2), on_day date", []),
}

# Of each what is wrong with it: its SQL, what the catalogs say, and which client shows it, if clients can.
WRONG = {
    "float": ("SELECT 1 AS n, 0.1::float8 AS figure", "rule 1: float.figure is of type double", "column 2 is a"),
    "stretch": ("SELECT 1 AS n, interval '1 day' AS figure", "rule 1: stretch.figure is of type interval", "column 2 is a|types"),
    "list": ("SELECT 1 AS n, '{a}'::text[] AS figure", "rule 1: list.figure is of type text\\[\\]", "column 2 is a|types"),
    "small": ("SELECT 1 AS n, 1::smallint AS figure", "rule 1: small.figure", "column 2 is a|types"),
    "waits": ("SELECT 1 AS n, 1.5::numeric(9,2) AS wait_hours, 2 AS wait_seconds", "rule 1: waits.wait_(hours|seconds) is a duration", None),
    "scaleless": ("SELECT 1 AS n, 12.50 AS figure", "rule 2: scaleless.figure", "column 2 is a numeric$|types"),
    "cheap": ("SELECT 1 AS n, 12.50::numeric(9,2) AS won_amount, 0.5::numeric(9,2) AS win_rate", "rule 2: cheap.won_amount is an amount", None),
    "vast": ("SELECT 1 AS n, 9007199254740993::bigint AS figure", "rules 1 to 3: vast.figure", "(node|R) .*native of column 2 is '9007199254740992'"),
    "nan": ("SELECT 1 AS n, 'NaN'::numeric(9,2) AS figure", "rules 1 to 3: nan.figure", "native|error|odbc"),
    "forever": ("SELECT 1 AS n, timestamptz 'infinity' AS at, date 'infinity' AS on_day", "rules 1 to 3: forever.at", None),
    "certain": ("SELECT 1 AS n, 1.01::numeric(9,6) AS win_rate", "rules 1 to 3: certain.win_rate", None),
    "summed": ("SELECT 1 AS n, 0.5::numeric(9,6) AS win_rate", "rule 3: summed.win_rate", None),
    "local": ("SELECT 1 AS n, date_trunc('month', at)::date AS period_start, to_char(at, 'YYYY-MM') AS period FROM (VALUES (timestamptz '2025-10-31 23:30+00')) AS v (at)",
              None, "session in Asia/Tokyo, all of local.* is '2025-11"),
    "unlabelled": ("SELECT 1 AS n, date '2025-10-01' AS period_start", "rule 5: unlabelled has no text column period", None),
    "long_names": ("SELECT 1 AS n, 2 AS how_long_a_name_can_be_before_it", "rule 6: a name: long_names.how_long", None),
    "case_names": ("SELECT 1 AS \"When\", 2 AS \"order\", 3 AS \"ünï\"", "rule 6: a name: case_names.order", None),
    "meanings": ("SELECT 1 AS n, 'a' AS won_amount", "rule 6: won_amount is", None),
    "silent": ("SELECT 1 AS n, 2 AS figure", "rule 8: silent.figure has no comment", None),
    "clock": ("SELECT 1 AS n, clock_timestamp() AS at", "rule 9: clock calls clock_timestamp", "clock, .*of column 2 is"),
    "behind": ("SELECT n FROM wrong.clock", "rule 9: behind calls clock_timestamp", None),
    "dice": ("SELECT 1 AS n, wrong.number() AS figure", "rule 9: dice calls wrong.number", "dice, .*of column 2 is"),
    "open_table": ("SELECT n FROM wrong.numbers", "rule 9: the reader may read wrong.numbers", None),
    "who_asks": ("SELECT 1 AS n, CASE WHEN current_setting('application_name') LIKE '%JDBC%' THEN 1 ELSE 2 END AS figure", None, "JDBC .*who_asks, .*native of column 2 is '1', expected '2'"),
    "prepared_only": ("SELECT 1 AS n, CASE WHEN EXISTS (SELECT FROM pg_prepared_statements) THEN 1.00 ELSE 2.00 END::numeric(9,2) AS figure",
                      None, "(JDBC|ODBC|node|R|psql) .*prepared_only, prepared: (text|native) of column 2 is '1.00'"),
    "in_cursors": ("SELECT 1 AS n, (SELECT count(*) FROM pg_cursors WHERE name = 'c') AS figure", None, "psql .*in_cursors, cursor: text of column 2 is '1', expected '0'"),
}


def make_standin():
    script = "CREATE SCHEMA standin; GRANT USAGE ON SCHEMA standin TO %s; CREATE SCHEMA standin_data;\n" % READER
    for name, (columns, rows) in STANDIN.items():
        script += "CREATE TABLE standin_data.%s (%s);\n" % (name, columns)
        for row in rows:
            script += "INSERT INTO standin_data.%s VALUES (%s);\n" % (name, ", ".join("NULL" if v is None else literal(v) for v in row))
        script += "CREATE VIEW standin.%s AS SELECT * FROM standin_data.%s; COMMENT ON VIEW standin.%s IS 'As it will be.';\n" % (name, name, name)
        for column in columns.split(", "):
            script += "COMMENT ON COLUMN standin.%s.%s IS 'A figure. Not to be summed.';\n" % (name, column.split()[0])
    script += "GRANT SELECT ON ALL TABLES IN SCHEMA standin TO %s;\n" % READER
    psql(script)


def make_wrong():
    psql("CREATE SCHEMA wrong; GRANT USAGE ON SCHEMA wrong TO %s; CREATE TABLE wrong.numbers (n integer); INSERT INTO wrong.numbers VALUES (1);\n"
         "CREATE SEQUENCE wrong.counter; CREATE FUNCTION wrong.number() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER AS 'SELECT nextval(''wrong.counter'')';\n" % READER
         + "".join('CREATE VIEW wrong.%s AS %s;\n' % (name, sql) for name, (sql, _, _) in WRONG.items())
         + "GRANT SELECT ON ALL TABLES IN SCHEMA wrong TO %s;\n" % READER)
    # Each is wrong in one thing only: it has its comments, but for the one that has none.
    psql("SELECT format('COMMENT ON VIEW %I.%I IS ''It is.''', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname = 'wrong' AND relkind = 'v' \\gexec\n"
         "SELECT format('COMMENT ON COLUMN wrong.%I.%I IS ''It is.''', c.relname, a.attname) FROM pg_class AS c JOIN pg_attribute AS a ON attrelid = c.oid "
         "WHERE relnamespace = 'wrong'::regnamespace AND relkind = 'v' AND attnum > 0 AND relname || attname <> 'silentfigure' \\gexec\n")


# ---- the test -------------------------------------------------------------------------------------------------------

def everything(schema, view):
    columns = [row[0] for row in psql("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum;" % literal("%s.%s" % (quoted(schema), quoted(view))))]
    return Query("all of " + view, "SELECT %s FROM %s.%s" % (", ".join(map(quoted, columns)), quoted(schema), quoted(view)), ", ".join(map(quoted, columns)))


def clean_up():
    people = [READER] + list(PEOPLE.values())
    psql("".join("DROP OWNED BY %s; DROP ROLE %s;\n" % (role, role) for role in people if psql("SELECT FROM pg_roles WHERE rolname = %s;" % literal(role))))


PEOPLE = {who: "revacct_clients_%s_%d" % (who, os.getpid()) for who in ("steward", "council")}
FOLDER = tempfile.mkdtemp(prefix="revacct-clients-")
atexit.register(shutil.rmtree, FOLDER, True)


def main():
    if sys.argv[1:] == ["--record"]:
        with open(COLUMNS, "w", encoding="utf-8") as file:
            file.write("\n".join(recorded_columns()) + "\n")
        return

    begun = time.monotonic()
    atexit.register(clean_up)
    psql("CREATE ROLE {0} LOGIN PASSWORD '{1}'; CREATE ROLE {steward} LOGIN; CREATE ROLE {council} LOGIN;\n"
         "SELECT grant_access('reader', '{0}'), grant_access('steward', '{steward}'), grant_access('council', '{council}');".format(READER, PASSWORD, **PEOPLE))
    facts = list(events())
    psql(SCENARIO.format(events="\n".join(facts), **PEOPLE))
    tap.eq(psql("SELECT * FROM load('crm');", user=PEOPLE["steward"]), [["event"] + [str(len(facts))] * 2 + ["0", "0"]], "the deals are loaded")
    psql("SELECT * FROM refresh(false);\nSELECT publish('qualified_to_won', '[2025-10-01,2025-11-01)', as_of => '2025-12-01 00:00+01', note => 'Für „Q4“');", user=PEOPLE["steward"])
    # Without statistics PostgreSQL expects millions of rows of some views, and compiles for seconds what then runs for a millisecond.
    psql("SELECT link_login('ana', '%s'); ANALYZE;" % READER)

    # ---- who is there
    clients, missing = find_clients()
    for client in clients:
        tap.ok(True, "%s is there" % client.name)
    for name, why in missing:
        if CI:
            tap.ok(False, "%s is there" % name, why)
        else:
            tap.count += 1
            print("ok %d - %s is there # SKIP %s" % (tap.count, name, why), flush=True)

    # ---- the harness sees what is there to see
    make_standin()
    queries = [everything("standin", name) for name in STANDIN]
    complaints, compared = parity(clients, queries, PLACES)
    tap.ok(not complaints and compared > 1000, "awkward values come through every client in every way (%d values)" % compared, *first(complaints))
    for query, (name, (columns, rows)) in zip(queries, STANDIN.items()):
        asked = Asked(query)
        tap.eq(sorted(asked.truth[1], key=repr), sorted(rows, key=repr), "they are what was put into stand-in %s" % name)
    tap.eq(faults("standin"), [], "views as they should be break no rule")
    tap.eq(shifted("standin"), [], "and are the same rows in every zone")

    make_wrong()
    found = faults("wrong", plain=False)
    for name, (sql, rule, seen) in WRONG.items():
        if rule:
            tap.ok(any(re.match(rule, f) for f in found), "a wrong view is found by the catalogs: %s" % name, *[f for f in found if name in f])
    tap.ok(any("local" in s for s in shifted("wrong")), "a wrong view is found by its rows in other zones: local")
    tap.ok("rule 7: numbers is no plain view" in faults("wrong"), "a table beside the views is found")
    blunders = [name for name, (sql, rule, seen) in WRONG.items() if seen]
    complaints, _ = parity(clients, [everything("wrong", name) for name in blunders], [("UTC", None), ("Europe/Berlin", "Asia/Tokyo")])
    for name in blunders:
        of_it = [c for c in complaints if "all of " + name in c]
        tap.ok(any(re.search(WRONG[name][2], c) for c in of_it), "a wrong view is found by what clients show: %s" % name, *first(of_it))
    for client in clients:
        blind = [name for name in ("local", "clock", "dice", "in_cursors") if not any(c.startswith(client.name + " ") and "all of " + name in c for c in complaints)]
        tap.eq(blind, [], "%s shows what is wrong" % client.name)

    # ---- the views
    views = views_of(SCHEMA)
    tap.eq(faults(SCHEMA), [], "the %d public views keep the rules that the catalogs know" % len(views))
    tap.eq(shifted(SCHEMA), [], "they are the same rows in every zone")
    with open(COLUMNS, encoding="utf-8") as file:
        recorded = file.read().splitlines()
    now = recorded_columns()
    for view in sorted({line.split("\t")[0] for line in recorded + now}):
        was, is_now = ([line for line in lines if line.startswith(view + "\t")] for lines in (recorded, now))
        tap.ok(was == is_now, "columns of %s are as they were" % view,
               "appended: record them (test_clients.py --record)" if is_now[:len(was)] == was else "columns are only appended, never retyped or reordered; a new shape is a new view",
               "no longer there: %s" % [line for line in was if line not in is_now], "new: %s" % [line for line in is_now if line not in was])
    tap.ok(not any(row[0] == "t" for row in psql("SELECT has_schema_privilege(%s, 'revacct_data', 'USAGE');" % literal(READER))), "the reader does not see what lies behind")
    for view in views:
        try:
            left = psql("BEGIN READ ONLY;\nSELECT count(*) AS n FROM (SELECT * FROM %s.%s OFFSET 0) AS q \\gset\n"
                        "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema());"
                        % (SCHEMA, quoted(view)), user=READER)
        except RuntimeError as error:
            left = str(error)
        tap.eq(left, [["0", "0"]], "the reader reads %s in a read-only transaction, and no advisory lock or temporary table is left" % view)

    for query in CANONICAL:
        if query.expected is not None:
            try:
                tap.eq(Asked(query).truth[1], query.expected, "figure: %s" % query.name)
            except RuntimeError as error:
                tap.ok(False, "figure: %s" % query.name, error)
    complaints, compared = parity(clients, CANONICAL + [everything(SCHEMA, view) for view in views], PLACES)
    tap.ok(not complaints and compared > 1000, "%d figures and all of the %d views are the same in %s, in every way (%d values)"
           % (len(CANONICAL), len(views), ", ".join(client.name for client in clients), compared), *first(complaints))
    # ---- a figure that is too large for its column must not keep all others from being made
    try:
        psql(LATE.format(**PEOPLE))
        tap.eq(psql("SELECT policy, status, fraction_used > 1 FROM sla_status WHERE policy = 'confirmation';", user=READER), [["confirmation", "breached", "t"]],
               "a clock that is thousandfold over its target is in the report")
    except RuntimeError as error:
        tap.ok(False, "a clock that is thousandfold over its target is in the report", error)
    tap.say("%.0f seconds" % (time.monotonic() - begun))
    tap.done()


main()
