--
-- Statistics: proportions, their differences and ratios, families of tests.
--

CREATE FUNCTION wilson(
    successes bigint,
    trials bigint,
    confidence float8 = 0.95,
    OUT rate float8,
    OUT low float8,
    OUT high float8)
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2
    AS 'MODULE_PATHNAME', 'revacct_wilson';

COMMENT ON FUNCTION wilson(bigint, bigint, float8) IS
'A rate with its Wilson score interval: successes / trials, and the limits that hold it with the two-sided confidence given (0.95), without continuity correction. Shares of 1, not percent. All NULL when trials is 0. Errors: 22023 when a count is negative, successes exceed trials, or confidence does not lie between 0 and 1. Source: Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857, method 3.';

CREATE FUNCTION newcombe(
    successes_1 bigint,
    trials_1 bigint,
    successes_2 bigint,
    trials_2 bigint,
    confidence float8 = 0.95,
    OUT difference float8,
    OUT low float8,
    OUT high float8)
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2
    AS 'MODULE_PATHNAME', 'revacct_newcombe';

COMMENT ON FUNCTION newcombe(bigint, bigint, bigint, bigint, float8) IS
'The difference of two independent rates, first less second, with Newcombe''s hybrid score interval at the two-sided confidence given (0.95). Shares of 1, not percent. All NULL when either number of trials is 0. Errors: 22023 when a count is negative, successes exceed trials, or confidence does not lie between 0 and 1. Source: Newcombe 1998, Statistics in Medicine 17:873, method 10.';

CREATE FUNCTION katz(
    successes_1 bigint,
    trials_1 bigint,
    successes_2 bigint,
    trials_2 bigint,
    confidence float8 = 0.95,
    OUT ratio float8,
    OUT low float8,
    OUT high float8)
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2
    AS 'MODULE_PATHNAME', 'revacct_katz';

COMMENT ON FUNCTION katz(bigint, bigint, bigint, bigint, float8) IS
'The ratio of two independent rates, first over second, with Katz''s interval, symmetric on the log scale, at the two-sided confidence given (0.95). All NULL when either number of trials or the second number of successes is 0; the limits alone are NULL when the ratio is 0. Errors: 22023 when a count is negative, successes exceed trials, or confidence does not lie between 0 and 1. Source: Katz, Baptista, Azen and Pike 1978, Biometrics 34:469.';

CREATE FUNCTION holm(p_values float8[])
    RETURNS float8[]
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'revacct_holm';

COMMENT ON FUNCTION holm(float8[]) IS
'Holm''s adjusted p-values of a family of tests, each at the place of its p-value: rejecting those that are at most alpha keeps the chance of any false rejection in the family at alpha. NULL members stay NULL and are not counted as tests; an empty array stays empty. Errors: 22023 when a p-value is not between 0 and 1 or the array has more than one dimension; 54000 for more than about 67 million p-values. Source: Holm 1979, Scandinavian Journal of Statistics 6:65.';
