-- What members say once for all that they ask for later; NULL where they leave it to the server and the model.
CREATE TABLE member (
    member_id INTEGER PRIMARY KEY,
    model TEXT,
    width INTEGER,
    height INTEGER,
    style TEXT,
    negative TEXT,
    language TEXT,
    ping_after_min INTEGER, -- tell them of a job that ended so many minutes after it was asked for; NULL for never
    ping_by TEXT NOT NULL DEFAULT 'channel' CHECK (ping_by IN ('channel', 'message'))
) STRICT;

-- Who wants everything erased up to a job of this number, until nothing of it is left: it goes on after a restart.
CREATE TABLE erasure (
    member_id INTEGER PRIMARY KEY,
    up_to INTEGER NOT NULL
) STRICT;

-- The messages in Discord of what was erased, until they are taken away.
CREATE TABLE farewell (
    member_id INTEGER NOT NULL,
    guild_id INTEGER,
    channel_id INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    to_member INTEGER NOT NULL, -- it is a direct message, whatever the channel was
    PRIMARY KEY (member_id, message_id)
) STRICT, WITHOUT ROWID;

-- Who waited long and is still to be told of it: written down with the delivery, so that nobody is told twice.
CREATE TABLE ping (
    job_id INTEGER PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    way TEXT NOT NULL CHECK (way IN ('channel', 'message'))
) STRICT;

-- Whoever makes the table of jobs anew makes this anew as well.
CREATE TRIGGER job_pings AFTER UPDATE OF delivered_at ON job
WHEN OLD.delivered_at IS NULL AND NEW.delivered_to IN ('reply', 'channel') AND NEW.state IN ('finished', 'failed') BEGIN
    INSERT OR IGNORE INTO ping SELECT NEW.id, ping_by FROM member
    WHERE member_id = NEW.member_id AND NEW.delivered_at - NEW.created_at >= ping_after_min * 60;
END;
