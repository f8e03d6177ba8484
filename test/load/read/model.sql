SELECT kind, count(*), max(version_no) FROM glossary GROUP BY kind;
SELECT view_name, count(*) FROM metric_catalog GROUP BY view_name;
SELECT metric, period, value FROM published_figures ORDER BY published_no DESC LIMIT 5;
