SELECT demand(bool_and(v.problem IS NULL), 'a published figure: ' || max(v.problem)) FROM verify_published() AS v HAVING count(*) > 0;
