-- A job is one request of one member: its life, and everything needed to run it again years later.
-- Times are seconds since 1970. Ids that Discord gave fit SQLite's signed 64 bits; seeds do not, so they
-- live in the request's JSON and, for each picture, as text.
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- the number members see: never given twice, even after a deletion
    kind TEXT NOT NULL,
    request TEXT NOT NULL CHECK (json_valid(request)),
    state TEXT NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'finished', 'failed', 'cancelled')),
    attempts INTEGER NOT NULL DEFAULT 0,
    parent_id INTEGER REFERENCES job (id) ON DELETE SET NULL,

    member_id INTEGER NOT NULL,
    guild_id INTEGER,
    channel_id INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    token TEXT NOT NULL, -- of the interaction: lets the reply be edited for 15 minutes
    token_expires_at REAL NOT NULL,

    created_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    delivered_at REAL,

    seconds REAL, -- the engine's time on it
    recipe TEXT CHECK (recipe IS NULL OR json_valid(recipe)),
    failure_kind TEXT,
    failure_message TEXT
) STRICT;

CREATE INDEX job_unfinished ON job (state, id) WHERE state IN ('queued', 'running');
CREATE INDEX job_undelivered ON job (id)
    WHERE delivered_at IS NULL AND state IN ('finished', 'failed', 'cancelled');
CREATE INDEX job_of_member ON job (member_id, id);

CREATE TABLE picture (
    job_id INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    seed TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX picture_by_content ON picture (sha256);
