--
-- mapping.sql: how tables that were landed from other systems are read as facts.
--

CREATE FUNCTION _landed_table(landed text, VARIADIC names text[])
RETURNS regclass
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT c.oid::regclass
    FROM pg_catalog.unnest(names) WITH ORDINALITY AS wanted (name, no)
         JOIN pg_catalog.pg_class AS c ON pg_catalog.replace(pg_catalog.lower(c.relname), '_', '') = pg_catalog.replace(pg_catalog.lower(wanted.name), '_', '')
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = landed AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY wanted.no, c.relname COLLATE "C" LIMIT 1;
END;
COMMENT ON FUNCTION _landed_table(text, text[]) IS 'The first relation of a schema that has one of these names, whatever its case and underscores; NULL: none.';

CREATE FUNCTION _landed_column(relation regclass, VARIADIC names text[])
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.quote_ident(a.attname)
    FROM pg_catalog.unnest(names) WITH ORDINALITY AS wanted (name, no)
         JOIN pg_catalog.pg_attribute AS a
              ON pg_catalog.replace(pg_catalog.regexp_replace(pg_catalog.lower(a.attname), '__c$', ''), '_', '') = pg_catalog.replace(pg_catalog.lower(wanted.name), '_', '')
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY wanted.no, a.attnum LIMIT 1;
END;
COMMENT ON FUNCTION _landed_column(regclass, text[]) IS 'The first column of a relation that has one of these names, whatever its case and underscores and a __c at its end, quoted; NULL: none.';
