-- question: which tags do requests carry?
-- grain: one row per tag's name: value (the name), requests; the most requests first
-- parameters: asked (see `narrowed.sql`), most (how many rows at most), wanted (a name that comes first, or NULL)
SELECT value, count(*) AS requests
FROM (SELECT unnest(map_keys(tags)) AS value FROM narrowed($asked))
GROUP BY value
ORDER BY value IS NOT DISTINCT FROM $wanted DESC, requests DESC, value
LIMIT $most
