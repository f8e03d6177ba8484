# shellcheck shell=bash
# The suites that check-all and check-sanitizers run, and how they are counted. Sourced after lib.sh.

tally=
new_tally() { tally=$scratch/tally; : >"$tally"; }

# suite TITLE COMMAND... [-- FILE...]: runs the command (once for each file) as a producer of TAP and counts what it says.
suite() {
	local title=$1
	shift
	perl "$root/scripts/tap" "$title" "$tally" "$@" || true
}

# The database every test finds: revacct and pgTAP, nothing else. Each test file gets a copy.
make_template() {
	sql -d postgres -c 'CREATE DATABASE template_revacct'
	sql -d template_revacct -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION revacct CASCADE' -c 'CREATE EXTENSION pgtap'
}

regress_suite() { suite "pg_regress" "$root/scripts/regress-tap" "$1" regress; }

isolation_suite() { suite "Isolation" "$root/scripts/regress-tap" "$1" isolation; }

pgtap_suite() {
	suite "pgTAP" "$root/scripts/in-fresh-database" template_revacct \
		psql -XqAt -v ON_ERROR_STOP=1 -P pager=off -f -- "$1"/test/pgtap/*.sql
}

python_suite() {
	suite "Python" "$root/scripts/in-fresh-database" template_revacct python3 -- "$1"/test/*/test_*.py
}

# Prints the last line of all, and decides the exit status: what failed, or the status of a script that was cut short.
report() {
	local status=$1 passed=0 failed=0 skipped=0 p f s
	while read -r p f s; do
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	done <"$tally"
	say
	if [ "$status" != 0 ]; then
		say "Stopped early, with status $status: counted as a failure."
		failed=$((failed + 1))
	fi
	[ "$skipped" = 0 ] || say "$skipped skipped: not counted as passed."
	say "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}
