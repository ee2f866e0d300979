-- What happened, for moderators and the operator. It says nothing of what was asked for or made but SHA-256 hashes: no word
-- and no picture. It holds numbers of members, also of those who delete their jobs or have all their data erased, and
-- nobody can take a row out: each stays for as many days as EASEL_AUDIT_DAYS says (90 unless set) and is then removed.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    what TEXT NOT NULL, -- accepted, refused, finished, flagged, withheld, failed, cancelled, withdrawn, deleted, let go, set, …
    guild_id INTEGER, -- NULL in direct messages
    channel_id INTEGER,
    member_id INTEGER, -- whose job it is, or who was blocked; NULL for what is about nobody
    by_id INTEGER, -- who did it, where that was somebody else, or is about nobody; NULL for the member or Easel itself
    job_id INTEGER, -- kept after the job is gone
    kind TEXT, -- of the request
    hashes TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(hashes)), -- of the request, or of the pictures that came of it
    details TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(details)) -- by which rule; what was set, from what to what
) STRICT;

CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_of_guild ON audit (guild_id, id);
CREATE INDEX audit_of_member ON audit (guild_id, member_id, id) WHERE member_id IS NOT NULL;
CREATE INDEX audit_by ON audit (guild_id, by_id, id) WHERE by_id IS NOT NULL;
CREATE INDEX audit_of_job ON audit (job_id, id) WHERE job_id IS NOT NULL;

-- SHA-256 of the request as it was asked for; NULL for jobs of before.
ALTER TABLE job ADD COLUMN request_sha256 TEXT;
-- Who deletes a job: written in the transaction that does it.
ALTER TABLE job ADD COLUMN deleted_by INTEGER;

-- Whose pictures and uploads are kept no longer: the row stays with its recipe. What another job uses stays on the disk.
-- It goes with its job, and says nothing of a member.
CREATE TABLE let_go (
    job_id INTEGER PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    at REAL NOT NULL
) STRICT;

-- What a server's jobs of some time are counted by.
CREATE INDEX job_of_guild ON job (
    guild_id, created_at, member_id, state, started_at, failure_kind, json_extract(request, '$.model')
);

-- Triggers, so that it is written with what it tells of, or neither is. Whoever makes the table of jobs anew makes these
-- anew as well.
CREATE TRIGGER job_is_audited AFTER INSERT ON job BEGIN
    INSERT INTO audit (at, what, guild_id, channel_id, member_id, job_id, kind, hashes)
    VALUES (
        NEW.created_at, 'accepted', NEW.guild_id, NEW.channel_id, NEW.member_id, NEW.id, NEW.kind,
        iif(NEW.request_sha256 IS NULL, '[]', json_array(NEW.request_sha256))
    );
END;

CREATE TRIGGER job_is_rehashed AFTER UPDATE OF request_sha256 ON job WHEN NEW.request_sha256 IS NOT NULL BEGIN
    UPDATE audit SET hashes = json_array(NEW.request_sha256) WHERE job_id = NEW.id AND what = 'accepted';
END;

-- Of a reason its name, its numbers, and the names of what is here: nothing that a member typed.
CREATE TRIGGER job_end_is_audited AFTER UPDATE OF state ON job
WHEN NEW.state IN ('finished', 'failed', 'cancelled') AND OLD.state IS NOT NEW.state BEGIN
    INSERT INTO audit (at, what, guild_id, channel_id, member_id, job_id, kind, details)
    VALUES (
        coalesce(NEW.ended_at, NEW.created_at),
        CASE WHEN NEW.state = 'failed' AND NEW.failure_kind = 'unsafe' THEN 'withheld' ELSE NEW.state END,
        NEW.guild_id, NEW.channel_id, NEW.member_id, NEW.id, NEW.kind,
        CASE
            WHEN NEW.state <> 'failed' OR NEW.failure IS NULL OR json_type(NEW.failure) <> 'object' THEN '{}'
            ELSE json_object('rule', json_extract(NEW.failure, '$.name'), 'facts', (
                SELECT json_group_object(key, value) FROM json_each(NEW.failure, '$.facts')
                WHERE type IN ('integer', 'real') OR key IN ('command', 'model')
            ))
        END
    );
END;

CREATE TRIGGER picture_is_audited AFTER INSERT ON picture BEGIN
    UPDATE audit SET hashes = json_insert(hashes, '$[#]', NEW.sha256), what = iif(NEW.flagged, 'flagged', what)
    WHERE job_id = NEW.job_id AND what IN ('finished', 'flagged');
END;

CREATE TRIGGER job_deletion_is_audited AFTER DELETE ON job BEGIN
    INSERT INTO audit (at, what, guild_id, channel_id, member_id, by_id, job_id, kind)
    VALUES (
        round((julianday('now') - 2440587.5) * 86400, 3), iif(OLD.state IN ('arriving', 'reading'), 'withdrawn', 'deleted'),
        OLD.guild_id, OLD.channel_id, OLD.member_id, OLD.deleted_by, OLD.id, OLD.kind
    );
END;

CREATE TRIGGER let_go_is_audited AFTER INSERT ON let_go BEGIN
    INSERT INTO audit (at, what, guild_id, channel_id, member_id, job_id, kind)
    SELECT NEW.at, 'let go', guild_id, channel_id, member_id, id, kind FROM job WHERE id = NEW.job_id;
END;

-- The log channel: up to which row of the audit it was told, and in which message a job stands there. No member's number;
-- it goes after as many days as the audit.
CREATE TABLE log_read (id INTEGER PRIMARY KEY CHECK (id = 0), audit_id INTEGER NOT NULL) STRICT;
INSERT INTO log_read VALUES (0, 0);

CREATE TABLE log_message (
    job_id INTEGER PRIMARY KEY,
    channel_id INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX log_message_of ON log_message (message_id);
CREATE INDEX log_message_at ON log_message (at);
