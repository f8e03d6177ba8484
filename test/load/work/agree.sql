-- A steward changes a target, the office's hours, a stage that nobody enters, or a rule; the council approves. A superuser's session plays both.
\set n :n + 1
\set hours random(2, 40)
\set ending random(16, 19)
SET SESSION AUTHORIZATION load_steward;
SELECT draft_change('Change ' || :n) AS no \gset
\if :n % 4 = 0
SELECT define_calendar('office', 'Europe/Berlin', ARRAY['mon-fri 09:00-12:00 13:00-' || :ending || ':00'], change => :no);
\elif :n % 4 = 1
SELECT define_sla('first_touch', start => '{discovery}', stop => '{touch_out}', cancel => '{lost, no_decision}', target => :hours * interval '1 hour', calendar => 'office', lifecycle => 'opportunity',
                  phases => '{routing until assigned, human}', change => :no);
\elif :n % 4 = 2
SELECT define_stage('opportunity', 'parked ' || :n, 100 + :n, 'recycled', change => :no);
\else
SELECT define_code('lead_source', 'campaign ' || :n, change => :no);
\endif
SELECT propose_change(:no);
SET SESSION AUTHORIZATION load_council;
SELECT approve(:no);
RESET SESSION AUTHORIZATION;
