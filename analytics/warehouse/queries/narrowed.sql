-- question: which requests is a report about?
-- grain: one row per request: its columns; is_wanted (made for the purpose that is asked for); is_forced (its user was
--   pinned to an arm); part (by what the report is divided: the value of this request, NULL where it has none)
-- parameters: asked, a struct as `analytics/narrowing.py` makes it; NULL in it: all
-- reads the view `spanned`: `requests`, without files in which none of the time that is asked for is; it is the macro `narrowed(asked)`, from which every report reads
SELECT
    *,
    purpose = asked['purpose'] AS is_wanted,
    reason IS NOT DISTINCT FROM 'targeting_match' AS is_forced,
    CASE asked['by']
        WHEN 'application' THEN application
        WHEN 'endpoint' THEN endpoint
        WHEN 'phase' THEN phase
        WHEN 'step' THEN step::VARCHAR
        WHEN 'model' THEN model_served
        WHEN 'tag' THEN tags[asked['by_tag']]
        WHEN 'day' THEN started_at::DATE::VARCHAR
        WHEN 'hour' THEN strftime(started_at, '%Y-%m-%dT%H:00Z')
    END AS part
FROM spanned
WHERE (asked['rollout'] IS NULL OR rollout = asked['rollout'])
    AND (asked['generation'] IS NULL OR generation = asked['generation']::INTEGER)
    AND (asked['step'] IS NULL OR step = asked['step']::INTEGER)
    AND (asked['phase'] IS NULL OR phase = asked['phase'])
    AND (asked['application'] IS NULL OR application = asked['application'])
    AND (asked['endpoint'] IS NULL OR endpoint = asked['endpoint'])
    AND (asked['since'] IS NULL OR started_at >= asked['since']::TIMESTAMP)
    AND (asked['until'] IS NULL OR started_at < asked['until']::TIMESTAMP)
    AND (
        asked['tags'] IS NULL
        OR list_bool_and(list_transform(asked['tags'], lambda tag: tags[tag['name']] IS NOT DISTINCT FROM tag['value']))
    )
