--
-- model.sql: what can be agreed: one table for each kind of definition, and the functions that draft them.
--
-- A row is the content of one version, and never altered once its change is proposed. When it is in force: governance.sql.
--

CREATE FUNCTION _is_condition(condition jsonb)
RETURNS boolean
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT condition IS NULL OR (jsonb_typeof(condition) = 'object' AND NOT EXISTS (
        SELECT
        FROM jsonb_each(CASE jsonb_typeof(condition) WHEN 'object' THEN condition ELSE '{}' END) AS field (name, test)
        WHERE CASE jsonb_typeof(field.test)
            WHEN 'object' THEN field.test = '{}' OR EXISTS (
                SELECT FROM jsonb_each(field.test) AS part (word, operand)
                WHERE NOT CASE part.word
                    WHEN 'given' THEN jsonb_typeof(part.operand) = 'boolean'
                    WHEN 'not' THEN jsonb_typeof(part.operand) IN ('string', 'number', 'boolean', 'array')
                    WHEN 'at_least' THEN jsonb_typeof(part.operand) = 'number'
                    WHEN 'at_most' THEN jsonb_typeof(part.operand) = 'number'
                    ELSE false END)
            WHEN 'null' THEN true
            ELSE false END));
END;
COMMENT ON FUNCTION _is_condition(jsonb) IS
'Can this be read as a condition? An object of fields, each with the value it must have, an array of values it may have, or an object of given (boolean), not (value or array), at_least and at_most (numbers). All must hold.';

CREATE FUNCTION condition_holds(condition jsonb, fields jsonb)
RETURNS boolean
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT NOT EXISTS (
        SELECT
        FROM jsonb_each(condition) AS field (name, test), LATERAL (SELECT nullif(fields -> field.name, 'null') AS value) AS has
        WHERE NOT coalesce(CASE jsonb_typeof(field.test)
            WHEN 'array' THEN EXISTS (SELECT FROM jsonb_array_elements(field.test) AS one (value) WHERE one.value = has.value)
            WHEN 'object' THEN
                coalesce((field.test -> 'given')::boolean = (has.value IS NOT NULL), true)
                AND (field.test -> 'not' IS NULL OR has.value IS NULL OR NOT CASE jsonb_typeof(field.test -> 'not')
                    WHEN 'array' THEN EXISTS (SELECT FROM jsonb_array_elements(field.test -> 'not') AS one (value) WHERE one.value = has.value)
                    ELSE field.test -> 'not' = has.value END)
                AND (field.test -> 'at_least' IS NULL OR (jsonb_typeof(has.value) = 'number' AND has.value >= field.test -> 'at_least'))
                AND (field.test -> 'at_most' IS NULL OR (jsonb_typeof(has.value) = 'number' AND has.value <= field.test -> 'at_most'))
            ELSE field.test = has.value END, false));
END;
COMMENT ON FUNCTION condition_holds(jsonb, jsonb) IS
'Do the fields fulfil a condition? {"country": "DE"}: has the value; {"size": ["m", "l"]}: one of them; {"size": {"given": true}}: is there; {"country": {"not": "US"}}: has another or none; {"employees": {"at_least": 50, "at_most": 500}}: a number in these limits. All must hold; no condition (NULL) holds.';

CREATE FUNCTION _one_of(what text, given text, words text[])
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    IF NOT given = ANY (words) THEN
        RAISE EXCEPTION 'unknown %: %', what, given
            USING ERRCODE = 'check_violation', HINT = format('It is one of %s.', array_to_string(words, ', '));
    END IF;
END $$;
COMMENT ON FUNCTION _one_of(text, text, text[]) IS 'Refuses a word that is none of those there are, and says which there are.';

CREATE FUNCTION _registered(party text)
RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    IF party IS NOT NULL AND NOT EXISTS (SELECT FROM revacct_data.party AS p WHERE p.party = _registered.party) THEN
        RAISE EXCEPTION 'party "%" is not registered', party
            USING ERRCODE = 'foreign_key_violation', HINT = format('Register it: SELECT register_party(%L, ''team'').', party);
    END IF;
END $$;
COMMENT ON FUNCTION _registered(text) IS 'Refuses a party that is not registered. Runs with its owner''s rights: who drafts may have none on the tables.';

-- Calendars

CREATE TABLE revacct_data.calendar (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    calendar text NOT NULL,
    meaning text,
    time_zone text NOT NULL,
    hours text[] NOT NULL,
    shifts text[] NOT NULL,
    breaks text[] NOT NULL,
    holidays date[] NOT NULL,
    known_until date
);
COMMENT ON TABLE revacct_data.calendar IS 'When a team is open.';
COMMENT ON COLUMN revacct_data.calendar.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.calendar.calendar IS 'Its name.';
COMMENT ON COLUMN revacct_data.calendar.meaning IS 'Whose hours these are, in words.';
COMMENT ON COLUMN revacct_data.calendar.time_zone IS 'An IANA name.';
COMMENT ON COLUMN revacct_data.calendar.hours IS 'Weekly rows, as business_calendar() reads them.';
COMMENT ON COLUMN revacct_data.calendar.shifts IS 'Rows that replace those of a date.';
COMMENT ON COLUMN revacct_data.calendar.breaks IS 'Rows taken away.';
COMMENT ON COLUMN revacct_data.calendar.holidays IS 'Dates closed all day.';
COMMENT ON COLUMN revacct_data.calendar.known_until IS 'The last date whose holidays are known.';

CREATE FUNCTION define_calendar(
    calendar text, time_zone text, hours text[], shifts text[] DEFAULT '{}', breaks text[] DEFAULT '{}', holidays date[] DEFAULT '{}',
    known_until date DEFAULT NULL, meaning text DEFAULT NULL, change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    INSERT INTO revacct_data.calendar (version_id, calendar, meaning, time_zone, hours, shifts, breaks, holidays, known_until)
    VALUES (_draft_version(change, 'calendar', object_key(calendar)), calendar, meaning, time_zone, hours, shifts, breaks, holidays, known_until);
END $$;
COMMENT ON FUNCTION define_calendar(text, text, text[], text[], text[], date[], date, text, bigint) IS
'Drafts a business calendar, whole: all its rows and holidays. Arguments: as business_calendar(). change: the draft it belongs to; NULL: the only one of yours.';

-- Lifecycles

CREATE TABLE revacct_data.lifecycle (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    lifecycle text NOT NULL,
    meaning text,
    subject_kind text NOT NULL,
    skip text NOT NULL,
    attempt text NOT NULL,
    within interval,
    times text NOT NULL,
    visits text NOT NULL,
    unknown text NOT NULL,
    time_zone text NOT NULL,
    calendar text,
    enforcement text NOT NULL CHECK (enforcement IN ('flag', 'refuse'))
);
CREATE INDEX ON revacct_data.lifecycle (lifecycle);
COMMENT ON TABLE revacct_data.lifecycle IS 'A process: one path through stages, and how it is counted.';
COMMENT ON COLUMN revacct_data.lifecycle.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.lifecycle.lifecycle IS 'Its name.';
COMMENT ON COLUMN revacct_data.lifecycle.meaning IS 'What it is, in words.';
COMMENT ON COLUMN revacct_data.lifecycle.subject_kind IS 'What goes through it: lead, opportunity, account...';
COMMENT ON COLUMN revacct_data.lifecycle.skip IS 'How skipped stages count: impute, strict or any.';
COMMENT ON COLUMN revacct_data.lifecycle.attempt IS 'Which attempt counts: first, last, best or all.';
COMMENT ON COLUMN revacct_data.lifecycle.within IS 'The window from the first stage.';
COMMENT ON COLUMN revacct_data.lifecycle.times IS 'May two stages be entered at one instant: nondecreasing or increasing.';
COMMENT ON COLUMN revacct_data.lifecycle.visits IS 'Which visits velocity measures: all, first, last or cumulative.';
COMMENT ON COLUMN revacct_data.lifecycle.unknown IS 'What is done with an unknown stage: error or count.';
COMMENT ON COLUMN revacct_data.lifecycle.time_zone IS 'Where calendar months and days are counted.';
COMMENT ON COLUMN revacct_data.lifecycle.calendar IS 'The business calendar in which time in stage is measured too.';
COMMENT ON COLUMN revacct_data.lifecycle.enforcement IS 'What becomes of a move that no transition allows: flag or refuse.';

CREATE FUNCTION define_lifecycle(
    lifecycle text, meaning text DEFAULT NULL, subject_kind text DEFAULT 'lead', skip text DEFAULT 'impute', attempt text DEFAULT 'best',
    within interval DEFAULT NULL, times text DEFAULT 'nondecreasing', visits text DEFAULT 'all', unknown text DEFAULT 'error',
    time_zone text DEFAULT 'UTC', calendar text DEFAULT NULL, enforcement text DEFAULT 'flag', change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('enforcement', enforcement, '{flag, refuse}');
    INSERT INTO revacct_data.lifecycle (version_id, lifecycle, meaning, subject_kind, skip, attempt, within, times, visits, unknown, time_zone, calendar, enforcement)
    VALUES (_draft_version(change, 'lifecycle', object_key(lifecycle)), lifecycle, meaning, subject_kind, skip, attempt, within, times, visits, unknown, time_zone, calendar,
            enforcement);
END $$;
COMMENT ON FUNCTION define_lifecycle(text, text, text, text, text, interval, text, text, text, text, text, text, bigint) IS
'Drafts a lifecycle; its stages are drafted with define_stage(). meaning: what it is, in words. subject_kind: what goes through it. The others: as lifecycle(); calendar: the name of a calendar. enforcement: what becomes of moves that no transition allows, flag or refuse. change: the draft it belongs to; NULL: the only one of yours.';

CREATE TABLE revacct_data.stage (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    lifecycle text NOT NULL,
    stage text NOT NULL,
    stage_no int NOT NULL,
    category text NOT NULL CHECK (category IN ('open', 'active', 'won', 'lost', 'no_decision', 'recycled', 'churned')),
    meaning text,
    journey_place text,
    is_pipeline boolean NOT NULL CONSTRAINT pipeline_is_open CHECK (NOT is_pipeline OR category = 'open'),
    forecast_category text,
    probability numeric(9, 6) CHECK (probability BETWEEN 0 AND 1),
    max_age interval CHECK (max_age > '0')
);
CREATE INDEX ON revacct_data.stage (lifecycle);
COMMENT ON TABLE revacct_data.stage IS 'A stage of a lifecycle.';
COMMENT ON COLUMN revacct_data.stage.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.stage.lifecycle IS 'Its lifecycle.';
COMMENT ON COLUMN revacct_data.stage.stage IS 'Its name.';
COMMENT ON COLUMN revacct_data.stage.stage_no IS 'Its place in the order; gaps do not matter.';
COMMENT ON COLUMN revacct_data.stage.category IS 'What being there means: open, active, won, lost, no_decision, recycled or churned.';
COMMENT ON COLUMN revacct_data.stage.meaning IS 'When a subject is in it, in words.';
COMMENT ON COLUMN revacct_data.stage.journey_place IS 'Its place on the buyer journey: a code of the list journey.';
COMMENT ON COLUMN revacct_data.stage.is_pipeline IS 'Whether what is in it counts as pipeline.';
COMMENT ON COLUMN revacct_data.stage.forecast_category IS 'Its forecast category.';
COMMENT ON COLUMN revacct_data.stage.probability IS 'The agreed probability to win from here, 0 to 1.';
COMMENT ON COLUMN revacct_data.stage.max_age IS 'How long a subject may stay before it counts as stalled.';

CREATE FUNCTION define_stage(
    lifecycle text, stage text, stage_no int, category text DEFAULT 'open', meaning text DEFAULT NULL, journey_place text DEFAULT NULL,
    is_pipeline boolean DEFAULT false, forecast_category text DEFAULT NULL, probability numeric DEFAULT NULL, max_age interval DEFAULT NULL,
    change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('category', category, '{open, active, won, lost, no_decision, recycled, churned}');
    INSERT INTO revacct_data.stage (version_id, lifecycle, stage, stage_no, category, meaning, journey_place, is_pipeline, forecast_category, probability, max_age)
    VALUES (_draft_version(change, 'stage', object_key(lifecycle, stage)), lifecycle, stage, stage_no, category, meaning, journey_place, is_pipeline,
            forecast_category, probability, max_age);
END $$;
COMMENT ON FUNCTION define_stage(text, text, int, text, text, text, boolean, text, numeric, interval, bigint) IS
'Drafts a stage. stage_no: its place in the order. category: open, active, won, lost, no_decision, recycled or churned. meaning: when a subject is in it, in words. journey_place: a code of the list journey. is_pipeline: does it count as pipeline? probability: of winning, 0 to 1. max_age: when it is stalled. change: the draft it belongs to; NULL: the only one of yours.';

CREATE TABLE revacct_data.transition (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    lifecycle text NOT NULL,
    from_stage text,
    to_stage text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('enter', 'forward', 'skip', 'back', 'recycle', 'exit', 'reopen')),
    trigger_kind text,
    guard jsonb CONSTRAINT guard_is_a_condition CHECK (_is_condition(guard)),
    code_list text,
    min_codes int NOT NULL CHECK (min_codes >= 0),
    enforcement text NOT NULL CHECK (enforcement IN ('flag', 'refuse')),
    CONSTRAINT enter_comes_from_nowhere CHECK ((direction = 'enter') = (from_stage IS NULL)),
    CONSTRAINT codes_are_of_a_list CHECK (min_codes = 0 OR code_list IS NOT NULL)
);
CREATE INDEX ON revacct_data.transition (lifecycle);
COMMENT ON TABLE revacct_data.transition IS 'A move between stages that is allowed, and what it needs.';
COMMENT ON COLUMN revacct_data.transition.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.transition.lifecycle IS 'The lifecycle.';
COMMENT ON COLUMN revacct_data.transition.from_stage IS 'From where; NULL: the way in.';
COMMENT ON COLUMN revacct_data.transition.to_stage IS 'To where.';
COMMENT ON COLUMN revacct_data.transition.direction IS 'What kind of move it is: enter, forward, skip, back, recycle, exit or reopen.';
COMMENT ON COLUMN revacct_data.transition.trigger_kind IS 'The kind of event that makes it happen.';
COMMENT ON COLUMN revacct_data.transition.guard IS 'The condition that the subject''s fields must fulfil: see condition_holds().';
COMMENT ON COLUMN revacct_data.transition.code_list IS 'The list of which codes are to be given, such as loss_reason.';
COMMENT ON COLUMN revacct_data.transition.min_codes IS 'How many at least.';
COMMENT ON COLUMN revacct_data.transition.enforcement IS 'What becomes of a move against this rule: flag or refuse.';

CREATE FUNCTION define_transition(
    lifecycle text, from_stage text, to_stage text, direction text DEFAULT 'forward', trigger_kind text DEFAULT NULL, guard jsonb DEFAULT NULL,
    code_list text DEFAULT NULL, min_codes int DEFAULT NULL, enforcement text DEFAULT 'flag', change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('direction', direction, '{enter, forward, skip, back, recycle, exit, reopen}'), _one_of('enforcement', enforcement, '{flag, refuse}');
    INSERT INTO revacct_data.transition (version_id, lifecycle, from_stage, to_stage, direction, trigger_kind, guard, code_list, min_codes, enforcement)
    VALUES (_draft_version(change, 'transition', object_key(lifecycle, coalesce(from_stage, ''), to_stage)), lifecycle, from_stage, to_stage, direction,
            trigger_kind, guard, code_list, coalesce(min_codes, CASE WHEN code_list IS NULL THEN 0 ELSE 1 END), enforcement);
END $$;
COMMENT ON FUNCTION define_transition(text, text, text, text, text, jsonb, text, int, text, bigint) IS
'Drafts a move that is allowed. from_stage: NULL for the way in. direction: enter, forward, skip, back, recycle, exit or reopen. trigger_kind: the kind of event that makes it happen. guard: a condition on the subject''s fields, as condition_holds() reads it. code_list, min_codes: codes to be given, such as a loss reason (at least one). enforcement: flag or refuse. A lifecycle without transitions allows every move. change: the draft it belongs to; NULL: the only one of yours.';

-- Codes

CREATE TABLE revacct_data.code (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    list text NOT NULL,
    code text NOT NULL,
    label text NOT NULL,
    meaning text,
    parent text,
    code_no int,
    applies_to text CHECK (applies_to IN ('open', 'active', 'won', 'lost', 'no_decision', 'recycled', 'churned')),
    requires text[] NOT NULL,
    condition jsonb CHECK (_is_condition(condition))
);
CREATE INDEX ON revacct_data.code (list, code);
COMMENT ON TABLE revacct_data.code IS 'A code: a disposition, a loss or win reason, a lead source, a channel, a segment, a place on the buyer journey, a kind of event...';
COMMENT ON COLUMN revacct_data.code.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.code.list IS 'The list it is of, such as disposition.';
COMMENT ON COLUMN revacct_data.code.code IS 'The code.';
COMMENT ON COLUMN revacct_data.code.label IS 'What people read.';
COMMENT ON COLUMN revacct_data.code.meaning IS 'When it applies, in words.';
COMMENT ON COLUMN revacct_data.code.parent IS 'The code of the same list that it is a part of.';
COMMENT ON COLUMN revacct_data.code.code_no IS 'Its place in the list.';
COMMENT ON COLUMN revacct_data.code.applies_to IS 'The category of stages it explains, such as lost; NULL: any.';
COMMENT ON COLUMN revacct_data.code.requires IS 'Fields that must be given with it, such as competitor.';
COMMENT ON COLUMN revacct_data.code.condition IS 'The condition that the fields of a subject fulfil to which it applies, as of a segment: see condition_holds().';

CREATE FUNCTION define_code(
    list text, code text, label text DEFAULT NULL, parent text DEFAULT NULL, code_no int DEFAULT NULL, applies_to text DEFAULT NULL,
    requires text[] DEFAULT '{}', condition jsonb DEFAULT NULL, meaning text DEFAULT NULL, change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('category of stages', applies_to, '{open, active, won, lost, no_decision, recycled, churned}');
    INSERT INTO revacct_data.code (version_id, list, code, label, meaning, parent, code_no, applies_to, requires, condition)
    VALUES (_draft_version(change, 'code', object_key(list, code)), list, code, coalesce(label, code), meaning, parent, code_no, applies_to, requires, condition);
END $$;
COMMENT ON FUNCTION define_code(text, text, text, text, int, text, text[], jsonb, text, bigint) IS
'Drafts a code of a list: disposition, loss_reason, win_reason, lead_source, channel, segment, journey, event, rejection, cost, or any of yours. parent: the code it is a part of. code_no: its place in the list. applies_to: the category of stages it explains. requires: fields to be given with it. condition: which subjects it applies to, as of a segment: see matching_codes(). change: the draft it belongs to; NULL: the only one of yours.';

-- Fields

CREATE TABLE revacct_data.field_rule (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    subject_kind text NOT NULL,
    field text NOT NULL,
    rule text NOT NULL CHECK (rule IN ('source', 'required', 'domain', 'association', 'immutable')),
    source text,
    priority int,
    lifecycle text,
    at_stage text,
    code_list text,
    condition jsonb CHECK (_is_condition(condition)),
    enforcement text NOT NULL CHECK (enforcement IN ('flag', 'refuse')),
    meaning text,
    CONSTRAINT sources_have_a_priority CHECK ((rule = 'source') = (source IS NOT NULL) AND (rule = 'source') = (priority IS NOT NULL)),
    CONSTRAINT a_stage_is_of_a_lifecycle CHECK (at_stage IS NULL OR lifecycle IS NOT NULL),
    CONSTRAINT a_domain_is_a_list_or_a_condition CHECK ((rule = 'domain') = (code_list IS NOT NULL OR condition IS NOT NULL))
);
CREATE INDEX ON revacct_data.field_rule (subject_kind);
COMMENT ON TABLE revacct_data.field_rule IS 'What is agreed on a field: where its truth comes from, when it must be given, which values it may have, whether it may change.';
COMMENT ON COLUMN revacct_data.field_rule.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.field_rule.subject_kind IS 'What has the field: lead, opportunity, account...';
COMMENT ON COLUMN revacct_data.field_rule.field IS 'The field; of an association, the role that is to be linked.';
COMMENT ON COLUMN revacct_data.field_rule.rule IS 'The kind of rule: source, required, domain, association or immutable.';
COMMENT ON COLUMN revacct_data.field_rule.source IS 'The system the value is taken from.';
COMMENT ON COLUMN revacct_data.field_rule.priority IS 'Which source goes first: the lowest number; of equals the latest value.';
COMMENT ON COLUMN revacct_data.field_rule.lifecycle IS 'The lifecycle in which it must be given.';
COMMENT ON COLUMN revacct_data.field_rule.at_stage IS 'The stage from which on it must be given; an exit: at that exit; NULL: everywhere but at exits.';
COMMENT ON COLUMN revacct_data.field_rule.code_list IS 'The list whose codes it may have.';
COMMENT ON COLUMN revacct_data.field_rule.condition IS 'The condition it must fulfil: see condition_holds().';
COMMENT ON COLUMN revacct_data.field_rule.enforcement IS 'What becomes of a breach: flag or refuse.';
COMMENT ON COLUMN revacct_data.field_rule.meaning IS 'What it is for, in words.';

CREATE FUNCTION define_field_rule(
    subject_kind text, field text, rule text, source text DEFAULT NULL, priority int DEFAULT NULL, lifecycle text DEFAULT NULL,
    at_stage text DEFAULT NULL, code_list text DEFAULT NULL, condition jsonb DEFAULT NULL, enforcement text DEFAULT 'flag',
    meaning text DEFAULT NULL, change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('rule', rule, '{source, required, domain, association, immutable}'), _one_of('enforcement', enforcement, '{flag, refuse}');
    INSERT INTO revacct_data.field_rule (version_id, subject_kind, field, rule, source, priority, lifecycle, at_stage, code_list, condition, enforcement, meaning)
    VALUES (_draft_version(change, 'field_rule', object_key(VARIADIC ARRAY[subject_kind, field, rule] || array_remove(ARRAY[source, lifecycle, at_stage], NULL))),
            subject_kind, field, rule, source, priority, lifecycle, at_stage, code_list, condition, enforcement, meaning);
END $$;
COMMENT ON FUNCTION define_field_rule(text, text, text, text, int, text, text, text, jsonb, text, text, bigint) IS
'Drafts a rule on a field. rule: source (source and priority: the lowest number goes first, of equals the latest value), required (from an open at_stage on; at an exit, such as lost, for that exit; without a stage everywhere but at exits), domain (code_list or condition), association (the role that must be linked, such as account) or immutable (once given, it stays). enforcement: flag or refuse. change: the draft it belongs to; NULL: the only one of yours.';

-- Policies

CREATE TABLE revacct_data.policy (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    policy text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('sla', 'follow_up', 'recycle', 'route', 'hygiene')),
    meaning text,
    enforcement text NOT NULL CHECK (enforcement IN ('flag', 'refuse')),
    priority int,
    applies jsonb CONSTRAINT applies_is_a_condition CHECK (_is_condition(applies)),
    demands jsonb CONSTRAINT demands_is_a_condition CHECK (_is_condition(demands)),
    method text CHECK (method IN ('fixed', 'round_robin', 'weighted', 'least_loaded')),
    to_party text REFERENCES revacct_data.party,
    lifecycle text,
    to_stage text,
    max_times int CHECK (max_times > 0),
    start text[],
    stop text[],
    pause text[],
    resume text[],
    reset text[],
    cancel text[],
    segment text[],
    owner text[],
    promise text[],
    target interval CHECK (target > '0'),
    calendar text,
    warnings numeric[],
    reopen text,
    on_change text,
    phases text[],
    max_clocks int,
    beyond text,
    CONSTRAINT clocks_have_a_start CHECK ((kind IN ('sla', 'follow_up', 'recycle')) = (start IS NOT NULL)),
    CONSTRAINT routes_go_somewhere CHECK ((kind = 'route') = (method IS NOT NULL) AND (kind <> 'route' OR (to_party IS NOT NULL AND priority IS NOT NULL))),
    CONSTRAINT hygiene_demands_something CHECK ((kind = 'hygiene') = (demands IS NOT NULL)),
    CONSTRAINT recycling_goes_to_a_stage CHECK ((kind = 'recycle') = (to_stage IS NOT NULL) AND (to_stage IS NULL OR lifecycle IS NOT NULL))
);
CREATE INDEX ON revacct_data.policy (policy);
COMMENT ON TABLE revacct_data.policy IS 'A policy: what has to happen by when (sla, follow_up, recycle), who gets what (route), what must be true (hygiene).';
COMMENT ON COLUMN revacct_data.policy.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.policy.policy IS 'Its name.';
COMMENT ON COLUMN revacct_data.policy.kind IS 'The kind of policy: sla, follow_up, recycle, route or hygiene.';
COMMENT ON COLUMN revacct_data.policy.meaning IS 'What it is for, in words.';
COMMENT ON COLUMN revacct_data.policy.enforcement IS 'What becomes of a breach: flag or refuse.';
COMMENT ON COLUMN revacct_data.policy.priority IS 'Of several routes that apply, the lowest number goes first.';
COMMENT ON COLUMN revacct_data.policy.applies IS 'The condition under which it applies: see condition_holds().';
COMMENT ON COLUMN revacct_data.policy.demands IS 'The condition that hygiene demands of what it applies to.';
COMMENT ON COLUMN revacct_data.policy.method IS 'How a route chooses: fixed, round_robin, weighted or least_loaded.';
COMMENT ON COLUMN revacct_data.policy.to_party IS 'To whom a route leads: a party, or the pool of one.';
COMMENT ON COLUMN revacct_data.policy.lifecycle IS 'The lifecycle whose stages are marks of the clock.';
COMMENT ON COLUMN revacct_data.policy.to_stage IS 'The stage to which is recycled.';
COMMENT ON COLUMN revacct_data.policy.max_times IS 'How many times at most.';
COMMENT ON COLUMN revacct_data.policy.start IS 'Stages and kinds of events that start the clock.';
COMMENT ON COLUMN revacct_data.policy.stop IS 'Those that stop it.';
COMMENT ON COLUMN revacct_data.policy.pause IS 'Those that pause it.';
COMMENT ON COLUMN revacct_data.policy.resume IS 'Those that resume it.';
COMMENT ON COLUMN revacct_data.policy.reset IS 'Those that begin it anew.';
COMMENT ON COLUMN revacct_data.policy.cancel IS 'Those that cancel it.';
COMMENT ON COLUMN revacct_data.policy.segment IS 'Those whose value is the number of the subject''s segment.';
COMMENT ON COLUMN revacct_data.policy.owner IS 'Those whose value is the number of the party that owns it.';
COMMENT ON COLUMN revacct_data.policy.promise IS 'Those whose value is a promised instant.';
COMMENT ON COLUMN revacct_data.policy.target IS 'The time allowed; NULL: only where a policy_target says so.';
COMMENT ON COLUMN revacct_data.policy.calendar IS 'The calendar in whose hours it is counted; NULL: wall time.';
COMMENT ON COLUMN revacct_data.policy.warnings IS 'The parts of the target at which it is at risk.';
COMMENT ON COLUMN revacct_data.policy.reopen IS 'What a start after a stop does: resume, restart or ignore.';
COMMENT ON COLUMN revacct_data.policy.on_change IS 'What a change of version, segment or owner does to an open clock: carry or restart.';
COMMENT ON COLUMN revacct_data.policy.phases IS 'The phases of the clock, such as: routing until assigned.';
COMMENT ON COLUMN revacct_data.policy.max_clocks IS 'How many clocks a cycle may have.';
COMMENT ON COLUMN revacct_data.policy.beyond IS 'What further starts do: ignore or breach.';

CREATE FUNCTION define_sla(
    policy text, start text[], stop text[] DEFAULT '{}', target interval DEFAULT NULL, calendar text DEFAULT NULL, meaning text DEFAULT NULL,
    kind text DEFAULT 'sla', lifecycle text DEFAULT NULL, pause text[] DEFAULT '{}', resume text[] DEFAULT '{}', reset text[] DEFAULT '{}',
    cancel text[] DEFAULT '{}', segment text[] DEFAULT '{}', owner text[] DEFAULT '{}', promise text[] DEFAULT '{}',
    warnings numeric[] DEFAULT '{0.8}', reopen text DEFAULT 'resume', on_change text DEFAULT 'carry', phases text[] DEFAULT '{}',
    max_clocks int DEFAULT NULL, beyond text DEFAULT 'ignore', to_stage text DEFAULT NULL, max_times int DEFAULT NULL,
    enforcement text DEFAULT 'flag', change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('kind of SLA', kind, '{sla, follow_up, recycle}'), _one_of('enforcement', enforcement, '{flag, refuse}');
    INSERT INTO revacct_data.policy (version_id, policy, kind, meaning, enforcement, lifecycle, to_stage, max_times, start, stop, pause, resume, reset, cancel,
                                     segment, owner, promise, target, calendar, warnings, reopen, on_change, phases, max_clocks, beyond)
    VALUES (_draft_version(change, 'policy', object_key(policy)), policy, kind, meaning, enforcement, lifecycle, to_stage, max_times, start, stop, pause,
            resume, reset, cancel, segment, owner, promise, target, calendar, warnings, reopen, on_change, phases, max_clocks, beyond);
END $$;
COMMENT ON FUNCTION define_sla(text, text[], text[], interval, text, text, text, text, text[], text[], text[], text[], text[], text[], text[], numeric[], text, text, text[], int, text, text, int, text, bigint) IS
'Drafts a policy with a clock. start, stop, pause, resume, reset, cancel, segment, owner, promise: stages of the lifecycle, or kinds of events. target: the time allowed, in the hours of the calendar; other targets by segment or owner: define_sla_target(); escalations: define_step(). kind: sla, follow_up, or recycle (to_stage, max_times). Other arguments: as sla(), whose change is on_change here. change: the draft it belongs to; NULL: the only one of yours.';

CREATE FUNCTION define_route(
    policy text, to_party text, priority int, applies jsonb DEFAULT NULL, method text DEFAULT 'fixed', meaning text DEFAULT NULL,
    enforcement text DEFAULT 'flag', change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('method', method, '{fixed, round_robin, weighted, least_loaded}'), _one_of('enforcement', enforcement, '{flag, refuse}');
    PERFORM _registered(to_party);
    INSERT INTO revacct_data.policy (version_id, policy, kind, meaning, enforcement, priority, applies, method, to_party)
    VALUES (_draft_version(change, 'policy', object_key(policy)), policy, 'route', meaning, enforcement, priority, applies, method, to_party);
END $$;
COMMENT ON FUNCTION define_route(text, text, int, jsonb, text, text, text, bigint) IS
'Drafts a routing rule: what applies goes to a party, or to the pool of one. Of several that apply, the lowest priority number goes first. applies: as condition_holds() reads it. method: fixed, round_robin, weighted or least_loaded. change: the draft it belongs to; NULL: the only one of yours.';

CREATE FUNCTION define_hygiene(
    policy text, demands jsonb, applies jsonb DEFAULT NULL, lifecycle text DEFAULT NULL, meaning text DEFAULT NULL, enforcement text DEFAULT 'flag',
    change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('enforcement', enforcement, '{flag, refuse}');
    INSERT INTO revacct_data.policy (version_id, policy, kind, meaning, enforcement, applies, demands, lifecycle)
    VALUES (_draft_version(change, 'policy', object_key(policy)), policy, 'hygiene', meaning, enforcement, applies, demands, lifecycle);
END $$;
COMMENT ON FUNCTION define_hygiene(text, jsonb, jsonb, text, text, text, bigint) IS
'Drafts what must be true of the subjects of a lifecycle (NULL: of any) that it applies to; both conditions as condition_holds() reads them. change: the draft it belongs to; NULL: the only one of yours.';

CREATE TABLE revacct_data.policy_target (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    policy text NOT NULL,
    segment text,
    owner text REFERENCES revacct_data.party,
    target interval NOT NULL CHECK (target > '0'),
    calendar text,
    CONSTRAINT targets_are_for_somebody CHECK (segment IS NOT NULL OR owner IS NOT NULL)
);
CREATE INDEX ON revacct_data.policy_target (policy);
COMMENT ON TABLE revacct_data.policy_target IS 'The target of an SLA for a segment, an owner or both, in place of the SLA''s own.';
COMMENT ON COLUMN revacct_data.policy_target.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.policy_target.policy IS 'The SLA.';
COMMENT ON COLUMN revacct_data.policy_target.segment IS 'A code of the list segment.';
COMMENT ON COLUMN revacct_data.policy_target.owner IS 'A party.';
COMMENT ON COLUMN revacct_data.policy_target.target IS 'The time allowed.';
COMMENT ON COLUMN revacct_data.policy_target.calendar IS 'The calendar in whose hours it is counted; NULL: that of the SLA.';

CREATE FUNCTION define_sla_target(
    policy text, target interval, segment text DEFAULT NULL, owner text DEFAULT NULL, calendar text DEFAULT NULL, change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _registered(owner);
    INSERT INTO revacct_data.policy_target (version_id, policy, segment, owner, target, calendar)
    VALUES (_draft_version(change, 'policy_target', object_key(policy, coalesce(segment, ''), coalesce(owner, ''))), policy, segment, owner, target, calendar);
END $$;
COMMENT ON FUNCTION define_sla_target(text, interval, text, text, text, bigint) IS
'Drafts the target of an SLA for a segment (a code of the list segment), an owner (a party) or both. calendar: NULL for that of the SLA. change: the draft it belongs to; NULL: the only one of yours.';

CREATE TABLE revacct_data.policy_step (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    policy text NOT NULL,
    due text NOT NULL,
    recipient text NOT NULL,
    action text NOT NULL CHECK (action IN ('notify', 'reassign', 'recycle'))
);
CREATE INDEX ON revacct_data.policy_step (policy);
COMMENT ON TABLE revacct_data.policy_step IS 'A step of an SLA''s escalation.';
COMMENT ON COLUMN revacct_data.policy_step.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.policy_step.policy IS 'The SLA.';
COMMENT ON COLUMN revacct_data.policy_step.due IS 'When: 80%, breach, or breach + 4 hours.';
COMMENT ON COLUMN revacct_data.policy_step.recipient IS 'To whom: a party, or a word such as owner or manager.';
COMMENT ON COLUMN revacct_data.policy_step.action IS 'What is done: notify, reassign or recycle.';

CREATE FUNCTION define_step(policy text, due text, recipient text, action text DEFAULT 'notify', change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('action', action, '{notify, reassign, recycle}');
    INSERT INTO revacct_data.policy_step (version_id, policy, due, recipient, action)
    VALUES (_draft_version(change, 'policy_step', object_key(policy, due, recipient)), policy, due, recipient, action);
END $$;
COMMENT ON FUNCTION define_step(text, text, text, text, bigint) IS
'Drafts a step of an SLA''s escalation. due: 80% (of the target), breach, or breach + 4 hours. recipient: a party, or a word such as owner or manager. action: notify, reassign or recycle. change: the draft it belongs to; NULL: the only one of yours.';

-- Metrics, targets, programs

CREATE TABLE revacct_data.metric (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    metric text NOT NULL,
    meaning text NOT NULL,
    population text,
    numerator text,
    denominator text,
    measure text NOT NULL CHECK (measure IN ('count', 'amount', 'duration')),
    basis text NOT NULL CHECK (basis IN ('event', 'cohort', 'snapshot')),
    lifecycle text,
    at_stage text,
    to_stage text,
    time_window interval CHECK (time_window > '0'),
    params jsonb CHECK (jsonb_typeof(params) = 'object'),
    unit text NOT NULL,
    better text NOT NULL CHECK (better IN ('higher', 'lower')),
    min_n int NOT NULL CHECK (min_n >= 0),
    CONSTRAINT stages_are_of_a_lifecycle CHECK ((at_stage IS NULL AND to_stage IS NULL) OR lifecycle IS NOT NULL)
);
CREATE INDEX ON revacct_data.metric (metric);
COMMENT ON TABLE revacct_data.metric IS 'A metric: what is counted over what.';
COMMENT ON COLUMN revacct_data.metric.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.metric.metric IS 'Its name.';
COMMENT ON COLUMN revacct_data.metric.meaning IS 'What it says, in words.';
COMMENT ON COLUMN revacct_data.metric.population IS 'Which subjects it is about.';
COMMENT ON COLUMN revacct_data.metric.numerator IS 'What is counted.';
COMMENT ON COLUMN revacct_data.metric.denominator IS 'Over what; NULL: it is no ratio.';
COMMENT ON COLUMN revacct_data.metric.measure IS 'What is summed: count, amount or duration.';
COMMENT ON COLUMN revacct_data.metric.basis IS 'By what a subject belongs to a period: event, cohort or snapshot.';
COMMENT ON COLUMN revacct_data.metric.lifecycle IS 'The lifecycle it is about.';
COMMENT ON COLUMN revacct_data.metric.at_stage IS 'The stage it starts from.';
COMMENT ON COLUMN revacct_data.metric.to_stage IS 'The stage it goes to.';
COMMENT ON COLUMN revacct_data.metric.time_window IS 'The time in which it has to happen.';
COMMENT ON COLUMN revacct_data.metric.params IS 'Other parameters.';
COMMENT ON COLUMN revacct_data.metric.unit IS 'Its unit: rate, days, EUR...';
COMMENT ON COLUMN revacct_data.metric.better IS 'Which direction is good: higher or lower.';
COMMENT ON COLUMN revacct_data.metric.min_n IS 'Below how many subjects it is not shown.';

CREATE FUNCTION define_metric(
    metric text, meaning text, unit text DEFAULT 'rate', better text DEFAULT 'higher', population text DEFAULT NULL, numerator text DEFAULT NULL,
    denominator text DEFAULT NULL, measure text DEFAULT 'count', basis text DEFAULT 'event', lifecycle text DEFAULT NULL, at_stage text DEFAULT NULL,
    to_stage text DEFAULT NULL, time_window interval DEFAULT NULL, params jsonb DEFAULT NULL, min_n int DEFAULT 0, change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('measure', measure, '{count, amount, duration}'), _one_of('basis', basis, '{event, cohort, snapshot}'), _one_of('direction that is better', better, '{higher, lower}');
    INSERT INTO revacct_data.metric (version_id, metric, meaning, population, numerator, denominator, measure, basis, lifecycle, at_stage, to_stage, time_window, params, unit, better, min_n)
    VALUES (_draft_version(change, 'metric', object_key(metric)), metric, meaning, population, numerator, denominator, measure, basis, lifecycle, at_stage, to_stage,
            time_window, params, unit, better, min_n);
END $$;
COMMENT ON FUNCTION define_metric(text, text, text, text, text, text, text, text, text, text, text, text, interval, jsonb, int, bigint) IS
'Drafts a metric. It must have an accountable party: assign() one in the same change. meaning, population, numerator, denominator: in words. measure: count, amount or duration. basis: event, cohort or snapshot. better: higher or lower. min_n: below how many subjects it is not shown. change: the draft it belongs to; NULL: the only one of yours.';

CREATE TABLE revacct_data.target (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    metric text NOT NULL,
    scope text REFERENCES revacct_data.party,
    period_start date NOT NULL,
    period_end date NOT NULL,
    value numeric NOT NULL CHECK (value NOT IN ('NaN', 'Infinity', '-Infinity')),
    floor numeric CHECK (floor NOT IN ('NaN', 'Infinity', '-Infinity')),
    stretch numeric CHECK (stretch NOT IN ('NaN', 'Infinity', '-Infinity')),
    CONSTRAINT period_has_days CHECK (period_end > period_start)
);
CREATE INDEX ON revacct_data.target (metric);
COMMENT ON TABLE revacct_data.target IS 'What a metric shall reach in a period.';
COMMENT ON COLUMN revacct_data.target.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.target.metric IS 'The metric.';
COMMENT ON COLUMN revacct_data.target.scope IS 'The party whose target it is; NULL: the company''s.';
COMMENT ON COLUMN revacct_data.target.period_start IS 'The first day.';
COMMENT ON COLUMN revacct_data.target.period_end IS 'The day after the last.';
COMMENT ON COLUMN revacct_data.target.value IS 'What it shall reach, in the unit of the metric.';
COMMENT ON COLUMN revacct_data.target.floor IS 'What it must reach.';
COMMENT ON COLUMN revacct_data.target.stretch IS 'What it might reach.';

CREATE FUNCTION define_target(
    metric text, period_start date, period_end date, value numeric, scope text DEFAULT NULL, floor numeric DEFAULT NULL, stretch numeric DEFAULT NULL,
    change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _registered(scope);
    INSERT INTO revacct_data.target (version_id, metric, scope, period_start, period_end, value, floor, stretch)
    VALUES (_draft_version(change, 'target', object_key(metric, coalesce(scope, ''), to_char(period_start, 'YYYY-MM-DD'), to_char(period_end, 'YYYY-MM-DD'))),
            metric, scope, period_start, period_end, value, floor, stretch);
END $$;
COMMENT ON FUNCTION define_target(text, date, date, numeric, text, numeric, numeric, bigint) IS
'Drafts a target: what a metric shall reach from period_start until before period_end. scope: the party whose it is; NULL: the company''s. Several parties may share it: assign() them to it. change: the draft it belongs to; NULL: the only one of yours.';

CREATE TABLE revacct_data.program (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    program text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('campaign', 'motion', 'experiment', 'asset', 'training', 'tool')),
    meaning text,
    parent text,
    codes jsonb CHECK (jsonb_typeof(codes) = 'object'),
    arms text[] NOT NULL,
    status text NOT NULL CHECK (status IN ('planned', 'active', 'paused', 'ended'))
);
CREATE INDEX ON revacct_data.program (program);
COMMENT ON TABLE revacct_data.program IS 'What is done to create or win business: a campaign, motion, experiment, asset, training or tool.';
COMMENT ON COLUMN revacct_data.program.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.program.program IS 'Its name.';
COMMENT ON COLUMN revacct_data.program.kind IS 'What it is.';
COMMENT ON COLUMN revacct_data.program.meaning IS 'What it is for, in words.';
COMMENT ON COLUMN revacct_data.program.parent IS 'The program it is a part of.';
COMMENT ON COLUMN revacct_data.program.codes IS 'Its codes, by list: {"channel": "email"}.';
COMMENT ON COLUMN revacct_data.program.arms IS 'The arms of an experiment.';
COMMENT ON COLUMN revacct_data.program.status IS 'Where it stands: planned, active, paused or ended.';

CREATE FUNCTION define_program(
    program text, kind text DEFAULT 'campaign', meaning text DEFAULT NULL, parent text DEFAULT NULL, codes jsonb DEFAULT NULL, arms text[] DEFAULT '{}',
    status text DEFAULT 'active', change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('kind of program', kind, '{campaign, motion, experiment, asset, training, tool}'), _one_of('status', status, '{planned, active, paused, ended}');
    INSERT INTO revacct_data.program (version_id, program, kind, meaning, parent, codes, arms, status)
    VALUES (_draft_version(change, 'program', object_key(program)), program, kind, meaning, parent, codes, arms, status);
END $$;
COMMENT ON FUNCTION define_program(text, text, text, text, jsonb, text[], text, bigint) IS
'Drafts a program. kind: campaign, motion, experiment, asset, training or tool. parent: the program it is a part of. codes: its codes by list, such as {"channel": "email"}. arms: of an experiment. status: planned, active, paused or ended. change: the draft it belongs to; NULL: the only one of yours.';

-- Who is responsible for what

CREATE TABLE revacct_data.responsibility (
    version_id bigint PRIMARY KEY REFERENCES revacct_data.version ON DELETE CASCADE,
    party text NOT NULL REFERENCES revacct_data.party,
    role text NOT NULL CHECK (role IN ('member', 'manager', 'accountable', 'responsible', 'consulted', 'informed', 'approver', 'pool', 'steward')),
    object_kind text NOT NULL CHECK (object_kind IN ('party', 'lifecycle', 'stage', 'policy', 'metric', 'target', 'program', 'calendar', 'code_list', 'field', 'account')),
    object text NOT NULL,
    share numeric(9, 6) CHECK (share > 0 AND share <= 1),
    weight numeric CHECK (weight > 0 AND weight < 1e9),
    capacity int CHECK (capacity > 0),
    CONSTRAINT teams_have_members CHECK ((role IN ('member', 'manager', 'approver', 'pool')) <= (object_kind = 'party')),
    CONSTRAINT shares_are_of_owners CHECK (share IS NULL OR role = 'accountable'),
    CONSTRAINT loads_are_of_pools CHECK (role = 'pool' OR (weight IS NULL AND capacity IS NULL)),
    CONSTRAINT nobody_is_in_themselves CHECK (object_kind <> 'party' OR object_key(party) <> object)
);
CREATE INDEX ON revacct_data.responsibility (object_kind, object);
COMMENT ON TABLE revacct_data.responsibility IS 'Who is responsible for what: team membership, reporting lines, joint ownership, routing pools, stewards, approvers.';
COMMENT ON COLUMN revacct_data.responsibility.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.responsibility.party IS 'Who.';
COMMENT ON COLUMN revacct_data.responsibility.role IS 'As what: member, manager, approver or pool of a party; accountable, responsible, consulted, informed or steward.';
COMMENT ON COLUMN revacct_data.responsibility.object_kind IS 'The kind of what it is for.';
COMMENT ON COLUMN revacct_data.responsibility.object IS 'The key of what it is for, as object_key() gives it.';
COMMENT ON COLUMN revacct_data.responsibility.share IS 'The owner''s share, 0 to 1; the shares of joint owners are at most 1 together.';
COMMENT ON COLUMN revacct_data.responsibility.weight IS 'The weight in a routing pool.';
COMMENT ON COLUMN revacct_data.responsibility.capacity IS 'How much a member of a routing pool can have at a time.';

CREATE FUNCTION assign(
    party text, role text, object_kind text, object text, share numeric DEFAULT NULL, weight numeric DEFAULT NULL, capacity int DEFAULT NULL,
    change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _one_of('role', role, '{member, manager, accountable, responsible, consulted, informed, approver, pool, steward}'),
            _one_of('kind of object', object_kind, '{party, lifecycle, stage, policy, metric, target, program, calendar, code_list, field, account}'), _registered(party);
    IF share NOT BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION 'a share is between 0 and 1' USING ERRCODE = 'check_violation', DETAIL = format('It is %s.', share), HINT = '40 % is 0.4.';
    END IF;
    INSERT INTO revacct_data.responsibility (version_id, party, role, object_kind, object, share, weight, capacity)
    VALUES (_draft_version(change, 'responsibility', object_key(party, role, object_kind) || '/' || object), party, role, object_kind, object, share, weight, capacity);
END $$;
COMMENT ON FUNCTION assign(text, text, text, text, numeric, numeric, int, bigint) IS
'Drafts a responsibility, as in assign(''marketing'', ''accountable'', ''stage'', ''inbound/mql'', share => 0.6). role: member, manager, approver or pool of a party; accountable (an owner, whose signature changes need), responsible, consulted, informed or steward of a party, lifecycle, stage, policy, metric, target, program, calendar, code_list, field or account. object: its key, as object_key() gives it. weight, capacity: in a routing pool. change: the draft it belongs to; NULL: the only one of yours.';

-- The end of definitions

CREATE FUNCTION _retire(draft bigint, kind text, key text, successor text, at timestamptz, also_later boolean)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    part record;
BEGIN
    PERFORM _draft_version(draft, kind, key, 'retire', successor);
    FOR part IN
        SELECT DISTINCT v.kind, v.key
        FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id)
             LEFT JOIN revacct_data.responsibility AS r USING (version_id)
        WHERE v.action = 'define' AND upper_inf(i.recorded) AND (i.valid @> at OR (also_later AND lower(i.valid) > at))
          AND ((v.kind <> kind AND EXISTS (SELECT FROM _kin(v.kind, v.key) AS kin WHERE kin.object_kind = kind AND kin.object_key = key))
               OR (r.object_kind = kind AND r.object = key))
          AND NOT EXISTS (SELECT FROM revacct_data.version AS d WHERE d.change_id = draft AND d.kind = v.kind AND d.key = v.key)
        ORDER BY 1, 2
    LOOP
        PERFORM _retire(draft, part.kind, part.key, NULL, at, also_later);
    END LOOP;
END $$;
COMMENT ON FUNCTION _retire(bigint, text, text, text, timestamptz, boolean) IS 'Drafts the end of a definition, of its parts and of the responsibilities for them; also_later: of those too that begin later.';

CREATE FUNCTION retire(kind text, key text, successor text DEFAULT NULL, change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    draft constant bigint := _my_draft(change);
    at timestamptz;
    also_later boolean;
BEGIN
    PERFORM _one_of('kind of definition', kind, '{lifecycle, stage, transition, code, field_rule, calendar, policy, policy_target, policy_step, metric, target, program, responsibility}');
    SELECT coalesce(c.effective_at, clock_timestamp()), coalesce(c.effective_until = 'infinity', false) INTO at, also_later
    FROM revacct_data.change AS c WHERE c.change_id = draft;
    IF NOT EXISTS (
        SELECT FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id)
        WHERE i.kind = kind AND i.key = key AND v.action = 'define' AND upper_inf(i.recorded) AND (i.valid @> at OR (also_later AND lower(i.valid) > at))) THEN
        RAISE EXCEPTION '% "%" is not in force', kind, key
            USING ERRCODE = 'undefined_object', DETAIL = format('The change is effective from %s.', at),
                  HINT = 'undraft() takes something out of a draft. What begins later ends in a change with effective_until => ''infinity''.';
    ELSIF successor = key THEN
        RAISE EXCEPTION '% "%" cannot be its own successor', kind, key USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM _retire(draft, kind, key, successor, at, also_later);
END $$;
COMMENT ON FUNCTION retire(text, text, text, bigint) IS
'Drafts the end of a definition, with its parts and the responsibilities for them, as in retire(''stage'', ''inbound/sal'', successor => ''inbound/sql''). kind: lifecycle, stage, transition, code, field_rule, calendar, policy, policy_target, policy_step, metric, target, program or responsibility. key: as object_key() gives it. successor: the key of the one that it is counted as from now on, when history is read. change: the draft it belongs to; NULL: the only one of yours.
Errors: undefined_object (42704) when it is not in force.';

CREATE FUNCTION unassign(party text, role text, object_kind text, object text, change bigint DEFAULT NULL)
RETURNS void
LANGUAGE SQL VOLATILE
BEGIN ATOMIC
    SELECT revacct.retire('responsibility', revacct.object_key(party, role, object_kind) || '/' || object, change => unassign.change);
END;
COMMENT ON FUNCTION unassign(text, text, text, text, bigint) IS
'Drafts the end of a responsibility. change: the draft it belongs to; NULL: the only one of yours.
Errors: undefined_object (42704) when it is not in force.';

-- The same once more

CREATE FUNCTION _version_again(version_id bigint, change bigint, draft bigint)
RETURNS SETOF jsonb
LANGUAGE SQL STABLE ROWS 1
BEGIN ATOMIC
    SELECT jsonb_build_object('version_id', n.version_id)
    FROM revacct_data.version AS o JOIN revacct_data.version AS n ON n.change_id = _version_again.draft AND n.kind = o.kind AND n.key = o.key
    WHERE o.version_id = _version_again.version_id AND o.change_id = _version_again.change;
END;
COMMENT ON FUNCTION _version_again(bigint, bigint, bigint) IS 'The version of a draft that says again what one of a change says, to be put into its content.';

CREATE FUNCTION redraft(change bigint, effective_at timestamptz DEFAULT NULL, effective_until timestamptz DEFAULT NULL, retroactive boolean DEFAULT false)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    draft bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM revacct_data.change AS c WHERE c.change_id = redraft.change) THEN
        RAISE EXCEPTION 'there is no change %', coalesce(change::text, 'NULL') USING ERRCODE = 'undefined_object';
    END IF;
    draft := draft_change((SELECT c.rationale FROM revacct_data.change AS c WHERE c.change_id = redraft.change), effective_at, effective_until, retroactive);
    PERFORM _draft_version(draft, v.kind, v.key, v.action, v.successor)
    FROM (SELECT * FROM revacct_data.version AS o WHERE o.change_id = redraft.change ORDER BY o.version_id) AS v
    -- what has ended already cannot be ended
    WHERE v.action = 'define' OR EXISTS (
        SELECT FROM revacct_data.validity AS i JOIN revacct_data.version AS held USING (version_id)
        WHERE i.kind = v.kind AND i.key = v.key AND upper_inf(i.recorded) AND held.action = 'define'
          AND (i.valid @> coalesce(redraft.effective_at, clock_timestamp())
               OR (redraft.effective_until = 'infinity' AND lower(i.valid) > coalesce(redraft.effective_at, clock_timestamp()))));
    INSERT INTO revacct_data.calendar
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.calendar AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.lifecycle
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.lifecycle AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.stage
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.stage AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.transition
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.transition AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.code
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.code AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.field_rule
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.field_rule AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.policy
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.policy AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.policy_target
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.policy_target AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.policy_step
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.policy_step AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.metric
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.metric AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.target
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.target AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.program
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.program AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    INSERT INTO revacct_data.responsibility
    SELECT (jsonb_populate_record(d, again.id)).* FROM revacct_data.responsibility AS d, _version_again(d.version_id, redraft.change, draft) AS again (id);
    RETURN draft;
END $$;
COMMENT ON FUNCTION redraft(bigint, timestamptz, timestamptz, boolean) IS
'Drafts a change again, whatever became of it, as a draft of yours made from what is in force now, and returns its number. The times: as draft_change(). Compare change_contents before you propose it.
Errors: undefined_object (42704), invalid_parameter_value (22023).';
