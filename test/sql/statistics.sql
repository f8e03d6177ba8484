--
-- statistics: proportions, differences, ratios, families of tests.
--
SET search_path = revacct, public;

-- Nothing out of nothing
SELECT * FROM wilson(0, 0);
SELECT * FROM wilson(NULL, 5);
SELECT * FROM wilson(1, 5, NULL);
SELECT * FROM newcombe(0, 0, 1, 2);
SELECT * FROM newcombe(1, 2, 0, 0);
SELECT * FROM katz(1, 2, 0, 0);
SELECT * FROM katz(1, 2, 0, 5);
SELECT ratio, low, high FROM katz(0, 5, 1, 5);
SELECT holm('{}') AS none, holm(NULL) AS missing, holm('{NULL, NULL}') AS nulls;

-- Refused
SELECT wilson(-1, 5);
\echo :SQLSTATE
SELECT wilson(6, 5);
SELECT wilson(0, -1);
SELECT wilson(1, 5, 0);
\echo :SQLSTATE
SELECT wilson(1, 5, 1);
SELECT wilson(1, 5, -0.95);
SELECT wilson(1, 5, 95);
SELECT wilson(1, 5, 'NaN');
SELECT wilson(1, 5, 'infinity');
SELECT newcombe(6, 5, 1, 2);
SELECT newcombe(1, 5, 3, 2);
SELECT newcombe(1, 5, 1, 2, 1);
SELECT katz(-1, 5, 1, 2);
SELECT katz(1, 5, 1, -2);
SELECT katz(1, 5, 1, 2, 0);
SELECT holm('{0.1, 1.1}');
\echo :SQLSTATE
SELECT holm('{0.1, -0.1}');
SELECT holm('{NaN}');
SELECT holm('{{0.1, 0.2}, {0.3, 0.4}}');
\echo :SQLSTATE

-- Published examples: Newcombe 1998, table I (81/263, 15/148, 0/20, 1/29)
SELECT s, n, round(rate::numeric, 4) AS rate, round(low::numeric, 4) AS low, round(high::numeric, 4) AS high
FROM (VALUES (81, 263), (15, 148), (0, 20), (1, 29), (20, 20)) AS t(s, n), wilson(s, n) ORDER BY s, n;
-- Newcombe 1998, table II, method 10 (56/70 - 48/80, 9/10 - 3/10, 10/10 - 0/20, 0/10 - 0/20)
SELECT a, m, b, n, round(difference::numeric, 4) AS difference, round(low::numeric, 4) AS low, round(high::numeric, 4) AS high
FROM (VALUES (56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20), (0, 10, 0, 20), (5, 56, 0, 29)) AS t(a, m, b, n), newcombe(a, m, b, n) ORDER BY a, m;
SELECT round(ratio::numeric, 6) AS ratio, round(low::numeric, 6) AS low, round(high::numeric, 6) AS high FROM katz(56, 70, 48, 80);
SELECT round(ratio::numeric, 6) AS ratio, round(low::numeric, 6) AS low, round(high::numeric, 6) AS high FROM katz(56, 70, 48, 80, 0.5);
SELECT holm('{0.01, 0.04, 0.03, 0.005}'), holm('{0.5, NULL, 0.02, 1, 0}');
-- limits never leave 0 to 1, however large the numbers
SELECT bool_and(low >= 0 AND low <= rate AND rate <= high AND high <= 1) AS sane
FROM (VALUES (0, 1), (1, 1), (0, 9223372036854775807), (9223372036854775807, 9223372036854775807), (1, 9223372036854775807)) AS t(s, n), wilson(s, n);
SELECT low = 0 AS zero, high < 1 AS below_one FROM wilson(0, 10);
SELECT low > 0 AS above_zero, high = 1 AS one FROM wilson(10, 10);
