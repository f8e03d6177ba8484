-- From revacct 0.1.0 to 0.2.0. Written by scripts/draft-upgrade.

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION revacct UPDATE TO '0.2.0'" to load this file. \quit

SET LOCAL search_path = revacct, pg_temp;
SET LOCAL standard_conforming_strings = on;

CREATE OR REPLACE FUNCTION median(summary velocity_summary, stage text)
RETURNS interval
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 100
BEGIN ATOMIC
    SELECT quantile(summary, stage, 0.5);
END;
