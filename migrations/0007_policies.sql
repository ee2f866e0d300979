-- What moderators have set, one row for each thing and place, so that two of them at once lose nothing of one another.
CREATE TABLE setting (
    guild_id INTEGER NOT NULL,
    channel_id INTEGER NOT NULL, -- 0 for the whole server
    role_id INTEGER NOT NULL, -- 0 for every member
    name TEXT NOT NULL,
    value TEXT NOT NULL CHECK (json_valid(value)),
    PRIMARY KEY (guild_id, channel_id, role_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocked_word (
    guild_id INTEGER NOT NULL,
    channel_id INTEGER NOT NULL, -- 0 for the whole server
    number INTEGER NOT NULL, -- by which members hear of it: it stays when others go
    word TEXT NOT NULL,
    PRIMARY KEY (guild_id, channel_id, number),
    UNIQUE (guild_id, channel_id, word)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocked_member (
    guild_id INTEGER NOT NULL,
    member_id INTEGER NOT NULL,
    PRIMARY KEY (guild_id, member_id)
) STRICT, WITHOUT ROWID;

-- Under whose settings a job stands, asked again when its turn has come.
ALTER TABLE job ADD COLUMN place_id INTEGER; -- the channel, of a thread that around it; NULL for jobs of before
ALTER TABLE job ADD COLUMN role_ids TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(role_ids)); -- the member's, when it was asked for

-- What counts for the limits of a member. It outlives its job, or whoever deletes their pictures could ask for more.
CREATE TABLE spent (
    job_id INTEGER PRIMARY KEY,
    member_id INTEGER NOT NULL,
    guild_id INTEGER,
    at REAL NOT NULL
) STRICT;
CREATE INDEX spent_of_member ON spent (member_id, guild_id, at);
CREATE INDEX spent_at ON spent (at);

-- Whoever makes the table of jobs anew makes these anew as well.
CREATE TRIGGER job_spends AFTER INSERT ON job BEGIN
    DELETE FROM spent WHERE at < NEW.created_at - 86400;
    INSERT OR IGNORE INTO spent VALUES (NEW.id, NEW.member_id, NEW.guild_id, NEW.created_at);
END;

CREATE TRIGGER job_gives_back AFTER UPDATE OF state ON job
WHEN NEW.state = 'failed' OR (NEW.state = 'cancelled' AND NEW.started_at IS NULL) BEGIN
    DELETE FROM spent WHERE job_id = NEW.id;
END;

CREATE TRIGGER job_never_ran AFTER DELETE ON job WHEN OLD.started_at IS NULL BEGIN
    DELETE FROM spent WHERE job_id = OLD.id;
END;
