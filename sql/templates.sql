--
-- templates.sql: models to start from: drafts of the kind people begin with, to be altered before they are proposed.
--

CREATE FUNCTION use_template(template text, change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    draft constant bigint := _my_draft(change);
    at constant timestamptz := (SELECT coalesce(c.effective_at, clock_timestamp()) FROM revacct_data.change AS c WHERE c.change_id = draft);
BEGIN
    -- What several templates need is drafted only where it is not agreed already.
    PERFORM define_code('journey', place.code, code_no => place.no::int, meaning => place.meaning, change => draft)
    FROM unnest('{awareness, inquiry, consideration, conversion, onboarding, retention, expansion, advocacy}'::text[],
                '{They know of us, They ask, They weigh us against others, They buy, They begin, They stay, They buy more, They speak for us}'::text[])
         WITH ORDINALITY AS place (code, meaning, no)
    WHERE _in_force('code', object_key('journey', place.code), at) IS NULL;
    PERFORM define_calendar('business_hours', 'UTC', '{mon-fri 09:00-17:00}', meaning => 'Put your hours, time zone and holidays here', change => draft)
    WHERE _in_force('calendar', 'business_hours', at) IS NULL;
    IF template IN ('b2b_inbound', 'b2b_outbound') THEN
        PERFORM define_code('loss_reason', reason.code, code_no => reason.no::int, requires => CASE reason.code WHEN 'competitor' THEN '{competitor}'::text[] ELSE '{}' END, change => draft)
        FROM unnest('{price, product_gap, competitor, timing, no_budget, no_decision, other}'::text[]) WITH ORDINALITY AS reason (code, no)
        WHERE _in_force('code', object_key('loss_reason', reason.code), at) IS NULL;
    END IF;

    CASE template
    WHEN 'b2b_inbound' THEN
        PERFORM define_lifecycle('inbound', 'From a person who writes to us to a customer', subject_kind => 'lead', calendar => 'business_hours', change => draft);
        PERFORM define_stage('inbound', 'lead', 10, 'open', 'A person we can reach, who has shown interest', 'inquiry', max_age => '5 days', change => draft);
        PERFORM define_stage('inbound', 'mql', 20, 'open', 'Fits our profile and does what buyers do: marketing hands it over', 'inquiry', max_age => '3 days', change => draft);
        PERFORM define_stage('inbound', 'sal', 30, 'open', 'Sales has accepted it, before talking to them', 'consideration', max_age => '5 days', change => draft);
        PERFORM define_stage('inbound', 'sql', 40, 'open', 'Sales has talked to them: there is a need, and a way to buy', 'consideration', max_age => '14 days', change => draft);
        PERFORM define_stage('inbound', 'opportunity', 50, 'open', 'There is an offer, with an amount and an expected date', 'consideration', is_pipeline => true, max_age => '45 days', change => draft);
        PERFORM define_stage('inbound', 'customer', 60, 'won', 'The contract is signed', 'conversion', change => draft);
        PERFORM define_stage('inbound', 'lost', 70, 'lost', 'They bought elsewhere, or will not buy', change => draft);
        PERFORM define_stage('inbound', 'no_decision', 80, 'no_decision', 'They decided to do nothing', change => draft);
        PERFORM define_stage('inbound', 'nurture', 90, 'recycled', 'Not now: marketing keeps in touch', 'awareness', change => draft);
        PERFORM define_stage('inbound', 'rejected', 100, 'lost', 'Sales sent it back: it is no lead by our definition', change => draft);
        PERFORM define_transition('inbound', NULL, 'lead', 'enter', change => draft);
        PERFORM define_transition('inbound', step.from_stage, step.to_stage, change => draft)
        FROM (VALUES ('lead', 'mql'), ('mql', 'sal'), ('sal', 'sql'), ('sql', 'opportunity'), ('opportunity', 'customer')) AS step (from_stage, to_stage);
        PERFORM define_transition('inbound', step.from_stage, 'rejected', 'exit', code_list => 'rejection', change => draft) FROM unnest('{mql, sal}'::text[]) AS step (from_stage);
        PERFORM define_transition('inbound', step.from_stage, ending.to_stage, 'exit', code_list => 'loss_reason', change => draft)
        FROM unnest('{sal, sql, opportunity}'::text[]) AS step (from_stage), unnest('{lost, no_decision}'::text[]) AS ending (to_stage);
        PERFORM define_transition('inbound', step.from_stage, 'nurture', 'recycle', change => draft) FROM unnest('{lead, mql, sal, sql, opportunity}'::text[]) AS step (from_stage);
        PERFORM define_transition('inbound', 'nurture', 'mql', 'reopen', change => draft);
        PERFORM define_code('rejection', reason.code, code_no => reason.no::int, meaning => reason.meaning, change => draft)
        FROM unnest('{procedural, clerical, definitional}'::text[],
                    '{It came by the wrong way or twice, The data are wrong or missing, It does not fit the definition of a lead}'::text[]) WITH ORDINALITY AS reason (code, meaning, no);
        PERFORM define_sla('speed_to_lead', start => '{lead}', stop => '{touch_out}', cancel => '{rejected}', target => '4 hours', calendar => 'business_hours', lifecycle => 'inbound',
                           phases => '{routing until assigned, human}', meaning => 'From arrival to the first touch by a person; an automatic reply does not count', change => draft);
        PERFORM define_step('speed_to_lead', '80%', 'owner', change => draft);
        PERFORM define_step('speed_to_lead', 'breach', 'manager', change => draft);
        PERFORM define_sla('lead_acceptance', start => '{mql}', stop => '{sal, rejected}', target => '8 hours', calendar => 'business_hours', lifecycle => 'inbound',
                           meaning => 'Sales accepts what marketing hands over, or says why not', change => draft);
        PERFORM define_step('lead_acceptance', 'breach', 'manager', change => draft);
        PERFORM define_field_rule('lead', 'lead_source', 'immutable', meaning => 'Where a lead first came from is never lost', change => draft);
        PERFORM define_field_rule('lead', 'lead_source', 'required', lifecycle => 'inbound', at_stage => 'mql', change => draft);
    WHEN 'b2b_outbound' THEN
        PERFORM define_lifecycle('opportunity', 'From a deal that sales opened to its end', subject_kind => 'opportunity', calendar => 'business_hours', change => draft);
        PERFORM define_stage('opportunity', stage.name, stage.no, 'open', stage.meaning, 'consideration', is_pipeline => stage.no > 10, forecast_category => stage.forecast,
                             probability => stage.probability, max_age => stage.max_age, change => draft)
        FROM (VALUES ('discovery', 10, 'There is somebody with a need', 'pipeline', 0.10, interval '21 days'),
                     ('evaluation', 20, 'They compare us with others', 'pipeline', 0.25, '30 days'),
                     ('proposal', 30, 'They have our offer', 'best_case', 0.50, '21 days'),
                     ('negotiation', 40, 'They want it, and talk about terms', 'commit', 0.80, '14 days')) AS stage (name, no, meaning, forecast, probability, max_age);
        PERFORM define_stage('opportunity', 'won', 50, 'won', 'The contract is signed', 'conversion', forecast_category => 'closed', probability => 1, change => draft);
        PERFORM define_stage('opportunity', 'lost', 60, 'lost', 'They bought elsewhere', forecast_category => 'omitted', probability => 0, change => draft);
        PERFORM define_stage('opportunity', 'no_decision', 70, 'no_decision', 'They decided to do nothing', forecast_category => 'omitted', probability => 0, change => draft);
        PERFORM define_transition('opportunity', NULL, 'discovery', 'enter', change => draft);
        PERFORM define_transition('opportunity', step.from_stage, step.to_stage, change => draft)
        FROM (VALUES ('discovery', 'evaluation'), ('evaluation', 'proposal'), ('proposal', 'negotiation'), ('negotiation', 'won')) AS step (from_stage, to_stage);
        PERFORM define_transition('opportunity', step.from_stage, ending.to_stage, 'exit', code_list => 'loss_reason', change => draft)
        FROM unnest('{discovery, evaluation, proposal, negotiation}'::text[]) AS step (from_stage), unnest('{lost, no_decision}'::text[]) AS ending (to_stage);
        PERFORM define_field_rule('opportunity', 'account', 'association', meaning => 'Whose deal it is', change => draft);
        PERFORM define_field_rule('opportunity', 'amount', 'required', lifecycle => 'opportunity', at_stage => 'proposal', change => draft);
        PERFORM define_field_rule('opportunity', 'expected_close', 'required', lifecycle => 'opportunity', at_stage => 'proposal', change => draft);
    WHEN 'customer_life' THEN
        PERFORM define_lifecycle('customer', 'From the signature on', subject_kind => 'account', calendar => 'business_hours', change => draft);
        PERFORM define_stage('customer', 'onboarding', 10, 'open', 'Signed, and not yet at work with it', 'onboarding', max_age => '60 days', change => draft);
        PERFORM define_stage('customer', 'active', 20, 'active', 'At work with it', 'retention', change => draft);
        PERFORM define_stage('customer', 'at_risk', 30, 'active', 'Uses it less, or says so', 'retention', max_age => '30 days', change => draft);
        PERFORM define_stage('customer', 'expanded', 40, 'active', 'Has bought more', 'expansion', change => draft);
        PERFORM define_stage('customer', 'advocate', 50, 'active', 'Recommends us', 'advocacy', change => draft);
        PERFORM define_stage('customer', 'churned', 60, 'churned', 'Has left', change => draft);
        PERFORM define_code('churn_reason', reason.code, code_no => reason.no::int, applies_to => 'churned', change => draft)
        FROM unnest('{price, product_gap, service, competitor, closed_down, other}'::text[]) WITH ORDINALITY AS reason (code, no);
        PERFORM define_transition('customer', NULL, 'onboarding', 'enter', change => draft);
        PERFORM define_transition('customer', 'onboarding', 'active', change => draft);
        PERFORM define_transition('customer', step.from_stage, step.to_stage, step.direction, change => draft)
        FROM (VALUES ('active', 'at_risk', 'back'), ('at_risk', 'active', 'forward'), ('active', 'expanded', 'forward'), ('active', 'advocate', 'forward'),
                     ('expanded', 'advocate', 'forward'), ('expanded', 'at_risk', 'back'), ('advocate', 'at_risk', 'back')) AS step (from_stage, to_stage, direction);
        PERFORM define_transition('customer', step.from_stage, 'churned', 'exit', code_list => 'churn_reason', change => draft)
        FROM unnest('{onboarding, active, at_risk, expanded, advocate}'::text[]) AS step (from_stage);
        PERFORM define_sla('first_value', start => '{onboarding}', stop => '{active}', cancel => '{churned}', target => '60 days', lifecycle => 'customer',
                           meaning => 'From the signature to work', change => draft);
        PERFORM define_step('first_value', '75%', 'owner', change => draft);
    ELSE
        RAISE EXCEPTION 'unknown template: %', coalesce(template, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The templates are b2b_inbound, b2b_outbound and customer_life.';
    END CASE;
END $$;
COMMENT ON FUNCTION use_template(text, bigint) IS
'Puts a model to start from into a draft: b2b_inbound (lifecycle inbound, speed-to-lead, acceptance, reasons), b2b_outbound (lifecycle opportunity, with probabilities and ages) or customer_life (lifecycle customer, from onboarding to advocacy). Define anew what shall be otherwise, assign owners, and propose it. change: the draft it belongs to; NULL: the only one of yours. Runs with its owner''s rights: who drafts may have none on the views.
Errors: invalid_parameter_value (22023).';
