# shellcheck shell=bash
# What the scripts of this folder share. Sourced, not run.
#
# Nothing here touches an installed PostgreSQL or a cluster that exists: each run has a folder of its own under /tmp, with
# a copy of the tree, a private PostgreSQL installation in which the extension is installed, and a server that listens on
# a socket in that folder and nowhere else. So runs can go side by side, of different trees, and need no root.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
demo_state=$root/build/demo.state

# The caller's connection and make settings are not ours.
PG_CONFIG=${PG_CONFIG:-pg_config}
for name in ${!PG@} ${!MAKE@} MFLAGS; do
	[ "$name" = PG_CONFIG ] || unset "$name"
done
export PG_CONFIG

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

# A folder PostgreSQL was built with, such as `pg --bindir`; empty when there is no PostgreSQL.
pg() { "$PG_CONFIG" "$1" 2>/dev/null || true; }

# ---- packages --------------------------------------------------------------------------------------------------------

# The Debian packages whose contents are missing here; judged by the contents, so that a PostgreSQL from elsewhere will do.
missing_packages() {
	local major
	major=$(pg --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
	: "${major:=15}"

	command -v gcc >/dev/null || say gcc libc6-dev
	command -v make >/dev/null || say make
	command -v xz >/dev/null || say xz-utils
	[ -x "$(pg --bindir)/postgres" ] || say "postgresql-$major"
	# The server's own package brings PGXS, but not the headers.
	[ -f "$(pg --pgxs)" ] && [ -f "$(pg --includedir-server)/postgres.h" ] || say "postgresql-server-dev-$major"
	if [ "$1" = fuzz ]; then
		command -v "${CLANG:-clang-14}" >/dev/null || say "${CLANG:-clang-14}"
		[ -n "$(find /usr/lib/llvm-*/lib/clang -name 'libclang_rt.fuzzer_no_main*' 2>/dev/null | head -1)" ] || say "libclang-rt-14-dev"
		compgen -G '/usr/lib/gcc/*/*/libstdc++.so' >/dev/null || say g++
		command -v python3 >/dev/null || say python3
	fi
	if [ "$1" = valgrind ]; then
		[ -f /usr/include/valgrind/memcheck.h ] || say valgrind
		# What PostgreSQL is made with; only its newer sources need the parser generators.
		command -v bzip2 >/dev/null || say bzip2
		command -v bison >/dev/null || [ "$major" -lt 17 ] || say bison
		command -v flex >/dev/null || [ "$major" -lt 17 ] || say flex
	fi
	[ "$1" = check ] || return 0

	[ -f "$(pg --sharedir)/extension/pgtap.control" ] || say "postgresql-$major-pgtap"
	[ -x "$(dirname "$(pg --pgxs)")/../test/isolation/isolationtester" ] || say "postgresql-client-$major"
	[ -z "${CLANG_FORMAT-14}" ] || command -v clang-format-14 >/dev/null || say clang-format-14
	command -v python3 >/dev/null || say python3
	[ -f "$(pg --sharedir)/extension/pg_cron.control" ] || say "postgresql-$major-cron"
	# The clients of test/clients.
	command -v javac >/dev/null || say default-jdk-headless
	[ -f /usr/share/java/postgresql.jar ] || say libpostgresql-jdbc-java
	compgen -G '/usr/lib/*/odbc/psqlodbcw.so' >/dev/null || say odbc-postgresql
	compgen -G '/usr/lib/*/libodbc.so.2' >/dev/null || say libodbc2
	command -v node >/dev/null || say nodejs
	command -v npm >/dev/null || [ -d /usr/share/nodejs/pg-cursor ] || say node-pg
	[ -d /usr/lib/R/site-library/RPostgreSQL ] || say r-cran-rpostgresql
	perl -MTAP::Parser -e 1 2>/dev/null || say perl
}

# Installs what `missing_packages` names for a purpose: demo, check, fuzz or valgrind. Debian's server package would create and start
# a cluster on a machine that has none; a drop-in says no for as long as the installation takes.
install_packages() {
	local missing settings=/etc/postgresql-common/createcluster.d drop_in status=0
	missing=$(missing_packages "$1" | xargs)
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || fail "Missing, and this is no Debian: $missing"
	[ "$(id -u)" = 0 ] || fail "Missing; as root: apt-get install $missing"

	say "Installing $missing"
	drop_in=$settings/revacct-$$.conf
	mkdir -p "$settings"
	say "create_main_cluster = false" >"$drop_in"
	{
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -qq
		# shellcheck disable=SC2086
		apt-get install -y -qq --no-install-recommends $missing
	} </dev/null >&2 || status=$?
	rm -f "$drop_in"
	rmdir --ignore-fail-on-non-empty "$settings"
	[ "$status" = 0 ] || fail "apt-get could not install $missing"

	missing=$(missing_packages "$1" | xargs)
	[ -z "$missing" ] || fail "Still missing: $missing"
}

# ---- a folder of one's own -------------------------------------------------------------------------------------------

# PostgreSQL refuses to run as root; its own user, where there is one, does it.
server_user() {
	if [ "$(id -u)" != 0 ]; then id -un; else id -un postgres 2>/dev/null || say nobody; fi
}

# Sets `scratch`, which remove_scratch ends with whatever server runs in it.
new_scratch() {
	umask 022
	scratch=$(mktemp -d /tmp/revacct.XXXXXX)
	chown "$(server_user)" "$scratch"
	say "$root" >"$scratch/made-by-revacct"
	installation=$scratch/installation
	bindir=$installation$(pg --bindir)
	# The clients of the server's own version come first.
	PATH=$(pg --bindir):$PATH
}

# From inside the folder, because the server's user may not see where we are.
as_server() {
	if [ "$(id -u)" = 0 ]; then
		(cd "$scratch" && runuser -u "$(server_user)" -- "$@")
	else
		(cd "$scratch" && "$@")
	fi
}

# Ends the server of a folder made by new_scratch, and the folder.
remove_scratch() {
	local scratch=$1
	[ -f "$scratch/made-by-revacct" ] || return 0
	if [ -f "$scratch/data/postmaster.pid" ]; then
		as_server "$scratch/pg_ctl" -D "$scratch/data" -m fast -s stop ||
			as_server "$scratch/pg_ctl" -D "$scratch/data" -m immediate -s stop || true
	fi
	rm -rf "$scratch"
}

# ---- build and install -----------------------------------------------------------------------------------------------

# The tree without what was built in it: builds of different flags and versions never meet.
copy_tree() {
	mkdir -p "$1"
	tar -C "$root" --exclude=./.git --exclude=./build --exclude=node_modules --exclude='*.o' --exclude='*.so' -cf - . |
		tar -C "$1" --no-same-owner -xf -
}

# PostgreSQL finds its files from where its program lies. So a copy of the programs, with links to everything else,
# is an installation of its own, and `make install DESTDIR` puts the extension there and not into the system's folders.
private_installation() {
	local lib share
	lib=$(pg --pkglibdir)
	share=$(pg --sharedir)
	mkdir -p "$bindir" "$installation$lib" "$installation$share"
	cp "$(pg --bindir)"/{postgres,initdb,pg_ctl} "$bindir"
	cp -rs "$lib/." "$installation$lib"
	cp -rs "$share/." "$installation$share"
	# An installed revacct must not be mistaken for this one.
	rm -rf "$installation$lib"/revacct* "$installation$share"/extension/revacct*
	ln -sf "$bindir/pg_ctl" "$scratch/pg_ctl"
}

# build_and_install TREE [make variable...]
build_and_install() {
	local tree=$1
	shift
	make -s -C "$tree" -j"$(nproc)" "$@" all
	make -s -C "$tree" "$@" DESTDIR="$installation" install >/dev/null
}

# ---- server ----------------------------------------------------------------------------------------------------------

# new_cluster [setting=value...]: makes a cluster in the folder, which start_cluster starts, and sets PGHOST, PGPORT and PGUSER
# to it. Whatever server_env holds (NAME=value) is the server's environment. The port is only the socket's suffix; a random
# one, so that a client that overlooks PGHOST meets nobody.
server_env=()
new_cluster() {
	local data=$scratch/data setting
	export PGHOST=$scratch/socket PGPORT=$((49152 + RANDOM % 16384)) PGUSER=postgres
	# Everyone who reaches the socket is superuser: nobody else may reach it.
	install -d -m 700 -o "$(server_user)" "$PGHOST"

	# With checksums, whatever the version's default is: pg_upgrade wants the same on both sides.
	as_server "$bindir/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --data-checksums --no-sync >"$scratch/initdb.log" 2>&1 ||
		fail "$(cat "$scratch/initdb.log")"
	for setting in listen_addresses= "unix_socket_directories=$PGHOST" "port=$PGPORT" fsync=off \
		shared_buffers=512MB max_parallel_workers=4 timezone=UTC "$@"; do
		say "${setting%%=*} = '${setting#*=}'"
	done >>"$data/postgresql.conf"
}

start_cluster() {
	as_server env "${server_env[@]}" "$bindir/pg_ctl" -D "$scratch/data" -l "$scratch/server.log" -s -w start ||
		fail "$(cat "$scratch/server.log")"
}

start_server() {
	new_cluster "$@"
	start_cluster
}

# psql as the scripts want it: no habits of the caller's, and the first error is the last.
sql() { psql -X -q -v ON_ERROR_STOP=1 -P pager=off "$@"; }
