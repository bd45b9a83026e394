-- question: which values are there of that by which a report can be divided?
-- grain: one row per value that is not NULL: value, requests; the most requests first
-- parameters: asked (see `narrowed.sql`), most (how many rows at most), wanted (a value that comes first, or NULL)
SELECT part AS value, count(*) AS requests
FROM narrowed($asked)
WHERE part IS NOT NULL
GROUP BY part
ORDER BY part IS NOT DISTINCT FROM $wanted DESC, requests DESC, part
LIMIT $most
