-- The install script of revacct, joined by make from the files in sql/.

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION revacct" to load this file. \quit

-- What people touch is in revacct, the tables are in revacct_data. Both belong to the superuser, whoever installs: functions
-- that run with their owner's rights find nothing here but what this script makes.
CREATE SCHEMA revacct;
COMMENT ON SCHEMA revacct IS 'What people call and read of revacct: types, functions, views.';
CREATE SCHEMA revacct_data;
COMMENT ON SCHEMA revacct_data IS 'Tables of revacct: facts and definitions. What people call is in schema revacct.';
SET LOCAL search_path = revacct, pg_temp;
-- of which PostgreSQL takes none by name for a partitioned table
SET LOCAL default_tablespace = '';
-- The script is parsed before any of it runs, with whatever standard_conforming_strings is; so is a function, by the session that calls it: a backslash is written in E'...' only.
