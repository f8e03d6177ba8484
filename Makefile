# revacct: revenue accountability inside PostgreSQL.
#
#   make, make install     build and install for the PostgreSQL that PG_CONFIG speaks of
#   make installcheck      regression and isolation tests, on the server that PGHOST and PGPORT speak of
#   make demo              a throwaway server with data and numbers to look at; make demo-stop ends it
#   make check-all         every test, on a throwaway server
#   make check-versions    the same on PostgreSQL 17 and 18, and pg_upgrade to them, each in a Debian of its own
#   make check-load        everybody at once, for MINUTES=5, on a throwaway server
#   make fuzz              bytes at random, ten million for every type and computation (RUNS=, JOBS=, TARGETS=): hours

PG_CONFIG ?= pg_config
CLANG_FORMAT ?= clang-format-14

EXTENSION = revacct
# The control file is the one place that holds the version.
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" revacct.control)

MODULE_big = revacct
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))

# The install script is its rooms, one after the other: each needs only those before it.
ROOMS = preamble types calendar lifecycle journey pack funnel velocity sla escalation statistics \
        governance model approval compile rules console templates facts mapping refresh reports published landed guided hubspot zendesk salesforce odoo guards
INSTALL_SQL = build/revacct--$(EXTVERSION).sql

# What turns the last released version into this one; and, as they were released, the scripts from one release to the next. To
# release: pack both scripts of build/ (xz) into sql/released, add them to SHA256SUMS, give revacct.control the next version.
RELEASED := $(shell ls sql/released | sed -n 's/^revacct--\([0-9.]*\)\.sql\.xz$$/\1/p' | sort -V | tail -n 1)
ifeq ($(RELEASED),$(EXTVERSION))
$(error $(EXTVERSION) is released: revacct.control needs the next version)
endif
UPGRADE_SQL = build/revacct--$(RELEASED)--$(EXTVERSION).sql
RELEASED_UPGRADES := $(shell ls sql/released | sed -n 's/^\(revacct--.*--.*\.sql\)\.xz$$/build\/\1/p')
DATA_built = $(INSTALL_SQL) $(UPGRADE_SQL) $(RELEASED_UPGRADES)

# `make demo DATA=folder` must not meet PGXS, for which DATA is a list of files to install.
demo_data := $(DATA)
override undefine DATA

# PostgreSQL's headers and calling convention are full of unused parameters and of int against size_t; every other warning
# of -Wextra stands, and WERROR=1 makes it an error.
PG_CFLAGS = -Wall -Wextra -O2 -Wno-unused-parameter -Wno-sign-compare
ifdef WERROR
PG_CFLAGS += -Werror
endif

# Our functions' names are ours alone: the file says why.
SHLIB_LINK = -Wl,--version-script=src/exports.map

# No LLVM bitcode: building it needs the very clang PostgreSQL was built with, and all it could give is inlining of these
# functions into JIT-compiled expressions, whose time goes elsewhere.
override with_llvm := no

# pg_regress 15 wants sql/ and expected/ in one folder, hence the link test/expected.
REGRESS = $(basename $(notdir $(sort $(wildcard test/sql/*.sql))))
REGRESS_OUTPUT = build/regress
REGRESS_OPTS = --inputdir=test --outputdir=$(REGRESS_OUTPUT) --load-extension=btree_gist --load-extension=revacct

# pg_isolation_regress is like it, with specs/ for sql/.
ISOLATION = $(basename $(notdir $(sort $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OUTPUT = build/isolation
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=$(ISOLATION_OUTPUT) --load-extension=btree_gist --load-extension=revacct

REGRESS_PREP = $(REGRESS_OUTPUT) $(ISOLATION_OUTPUT)
EXTRA_CLEAN = $(REGRESS_OUTPUT) $(ISOLATION_OUTPUT)

# Without the server's development files only the targets below work: `demo` and `check-all` know how to get them.
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)
else
all install installcheck clean:
	@echo "$(PG_CONFIG) leads to no PGXS: install postgresql-server-dev-15 or set PG_CONFIG" >&2; exit 1
endif

# PGXS does not follow #include, and there are few headers.
$(OBJS): $(wildcard src/*.h)
revacct.so: src/exports.map

$(INSTALL_SQL): $(ROOMS:%=sql/%.sql) revacct.control Makefile
	@mkdir -p $(@D)
	cat $(ROOMS:%=sql/%.sql) > $@.new && mv $@.new $@

$(UPGRADE_SQL): sql/released/revacct--$(RELEASED).sql.xz $(INSTALL_SQL) $(wildcard sql/upgrades/$(RELEASED)--$(EXTVERSION).sql) scripts/upgrade-script
	scripts/upgrade-script $< $(INSTALL_SQL) sql/upgrades/$(RELEASED)--$(EXTVERSION).sql > $@.new && mv $@.new $@

$(RELEASED_UPGRADES): build/%: sql/released/%.xz
	@mkdir -p $(@D)
	xz -dc $< > $@.new && mv $@.new $@

$(REGRESS_OUTPUT) $(ISOLATION_OUTPUT):
	mkdir -p $@

# What the scripts ask this file.
print-%:
	@echo $($*)

# The scripts find their own way; they only need to know which PostgreSQL.
run = PG_CONFIG='$(PG_CONFIG)'

demo:
	@$(run) scripts/demo $(demo_data)

demo-stop:
	@$(run) scripts/demo-stop

check-all:
	@$(run) scripts/check-all

check-versions:
	@scripts/check-versions $(VERSIONS)

check-sanitizers:
	@$(run) scripts/check-sanitizers

check-valgrind:
	@$(run) scripts/check-valgrind

check-load:
	@$(run) scripts/check-load

fuzz:
	@$(run) scripts/fuzz $(TARGETS)

bench:
	@$(run) bench/run

format:
	$(CLANG_FORMAT) -i src/*.[ch]

check-format:
	$(CLANG_FORMAT) --dry-run -Werror src/*.[ch]

.PHONY: demo demo-stop check-all check-versions check-sanitizers check-valgrind check-load fuzz bench format check-format
