-- What jobs of models that other servers have cost, or may have cost: the sums that limits of money are measured by. A row is
-- written with its job, so that many at once cannot go beyond a limit, and goes where the job came to nothing that is paid.
-- It outlives its job, or whoever deletes their pictures could spend more; after a month it is removed.
CREATE TABLE cost (
    job_id INTEGER PRIMARY KEY,
    member_id INTEGER NOT NULL,
    guild_id INTEGER, -- NULL in direct messages
    at REAL NOT NULL,
    currency TEXT NOT NULL,
    millionths INTEGER NOT NULL CHECK (millionths >= 0)
) STRICT;
CREATE INDEX cost_of_guild ON cost (guild_id, at);

-- Whoever makes the table of jobs anew makes these anew as well.
CREATE TRIGGER costs_are_forgotten AFTER INSERT ON cost BEGIN
    DELETE FROM cost WHERE at < NEW.at - 32 * 86400;
END;

-- What a server may have painted although nothing came of it stays, also where a checker held it back or no disk kept it:
-- then it may be paid.
CREATE TRIGGER job_costs_nothing AFTER UPDATE OF state ON job
WHEN (NEW.state IN ('cancelled', 'failed') AND NEW.started_at IS NULL) OR (
    NEW.state = 'failed' AND (
        NEW.failure_kind IN ('invalid_input', 'unavailable_model')
        OR coalesce(json_extract(NEW.failure, '$.name'), '') IN (
            'remote_unsafe', 'remote_busy', 'remote_failed', 'remote_away'
        )
    )
) BEGIN
    DELETE FROM cost WHERE job_id = NEW.id;
END;

CREATE TRIGGER job_never_cost AFTER DELETE ON job WHEN OLD.started_at IS NULL BEGIN
    DELETE FROM cost WHERE job_id = OLD.id;
END;
