-- question: were users satisfied each day, and how many said so?
-- grain: one row per day (UTC, of the request), application, rollout, generation, phase, step, assigned arm, whether the
--   split placed the user, and serving model; live traffic alone
-- parameters: none; reads the view `daily`; it is the view `satisfaction`
SELECT
    day,
    application,
    rollout,
    generation,
    phase,
    step,
    arm_assigned,
    is_split,
    model_served,
    sum(answers)::BIGINT AS answers,
    sum(rated_answers)::BIGINT AS rated_answers,
    sum(ratings)::BIGINT AS ratings,
    sum(satisfied)::BIGINT AS satisfied
FROM daily
GROUP BY ALL
