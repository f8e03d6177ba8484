-- All figures as of now, also of groups in which nothing happened.
INSERT INTO refreshes (step, row_count, seconds) SELECT 'all ' || step, row_count, seconds FROM refresh(false, '0');
