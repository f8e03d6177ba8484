-- The job of docs/sla.md: what is due is raised, once.
SELECT count(*)
FROM (SELECT j.subject_id, j.journey, s.first_touch, now() AS as_of FROM journeys() AS j, (SELECT sla('first_touch') AS first_touch) AS s ORDER BY j.subject_id) AS j,
     raise_escalations('opportunity ' || j.subject_id, j.journey, j.first_touch, j.as_of) AS raised;
