-- question: how many requests is a report about?
-- grain: one row: requests
-- parameters: asked, as in `narrowed.sql`
SELECT count(*) AS requests FROM narrowed($asked)
