-- A job is written down before its member is told of it, so there are two states before 'queued', and the message
-- that answers it may not be known yet. SQLite cannot loosen a column or a check, so the table is made anew.
CREATE TABLE job_that_arrives (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- the number members see: never given twice, even after a deletion
    kind TEXT NOT NULL,
    request TEXT NOT NULL CHECK (json_valid(request)), -- while the job is 'reading', one with stand-ins for its uploads
    state TEXT NOT NULL DEFAULT 'arriving'
        CHECK (state IN ('arriving', 'reading', 'queued', 'running', 'finished', 'failed', 'cancelled')),
    attempts INTEGER NOT NULL DEFAULT 0, -- how often the engine died of it
    cancelling INTEGER NOT NULL DEFAULT 0, -- its member was told that it ends, and it has not ended yet
    parent_id INTEGER REFERENCES job (id) ON DELETE SET NULL,

    member_id INTEGER NOT NULL,
    guild_id INTEGER,
    channel_id INTEGER NOT NULL,
    age_restricted INTEGER NOT NULL DEFAULT 0, -- the channel was, when the job was asked for
    message_id INTEGER, -- unknown until Discord has confirmed the acknowledgement
    token TEXT NOT NULL, -- of the interaction: lets the reply be edited for 15 minutes
    token_expires_at REAL NOT NULL,
    attachment_size_limit INTEGER NOT NULL, -- the largest file, in bytes, that the reply may carry

    created_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    delivered_at REAL,
    delivered_to TEXT CHECK (delivered_to IN ('reply', 'channel', 'member')),

    seconds REAL, -- the engine's time on it
    recipe TEXT CHECK (recipe IS NULL OR json_valid(recipe)),
    answer TEXT CHECK (answer IS NULL OR json_valid(answer)),
    failure_kind TEXT,
    failure_message TEXT
) STRICT;

INSERT INTO job_that_arrives (
    id, kind, request, state, attempts, parent_id, member_id, guild_id, channel_id, message_id, token, token_expires_at,
    attachment_size_limit, created_at, started_at, ended_at, delivered_at, delivered_to, seconds, recipe, answer,
    failure_kind, failure_message
) SELECT
    id, kind, request, state, attempts, parent_id, member_id, guild_id, channel_id, message_id, token, token_expires_at,
    attachment_size_limit, created_at, started_at, ended_at, delivered_at, iif(delivered_at IS NULL, NULL, 'reply'),
    seconds, recipe, answer, failure_kind, failure_message
FROM job;

-- The highest number ever given, which may be that of a job that was deleted.
DELETE FROM sqlite_sequence WHERE name = 'job_that_arrives';
INSERT INTO sqlite_sequence SELECT 'job_that_arrives', seq FROM sqlite_sequence WHERE name = 'job';

DROP TABLE job;
ALTER TABLE job_that_arrives RENAME TO job;

CREATE INDEX job_unfinished ON job (state, id) WHERE state IN ('arriving', 'reading', 'queued', 'running');
CREATE INDEX job_undelivered ON job (id)
    WHERE delivered_at IS NULL AND state IN ('finished', 'failed', 'cancelled');
CREATE INDEX job_of_member ON job (member_id, id);
CREATE INDEX job_of_message ON job (message_id);
CREATE INDEX job_of_parent ON job (parent_id); -- which a deletion asks for
CREATE INDEX job_of_kind ON job (kind, id) WHERE state = 'finished';
CREATE INDEX job_served ON job (member_id, started_at) WHERE started_at IS NOT NULL;
