-- The install script of revacct, joined by make from the files in sql/.

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION revacct" to load this file. \quit
