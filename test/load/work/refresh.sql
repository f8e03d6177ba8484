INSERT INTO refreshes (step, row_count, seconds) SELECT step, row_count, seconds FROM refresh(false);
