-- By a key a program asks for pictures as the member who made it, in the channel in which they made it.
CREATE TABLE api_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: jobs name it, also when it is gone
    member_id INTEGER NOT NULL,
    guild_id INTEGER NOT NULL,
    channel_id INTEGER NOT NULL,
    name TEXT NOT NULL, -- as its member calls it
    secret_sha256 TEXT NOT NULL UNIQUE CHECK (length(secret_sha256) = 64), -- of the key itself, which is kept nowhere
    language TEXT, -- what was spoken to them
    made_at REAL NOT NULL,
    used_at REAL
) STRICT;
CREATE INDEX api_key_of_member ON api_key (member_id, id);

-- Who had a key, and until when, stays in the audit: by the bot, by the operator beside it, or with an erasure.
CREATE TRIGGER key_is_audited AFTER INSERT ON api_key BEGIN
    INSERT INTO audit (at, what, guild_id, channel_id, member_id, details)
    VALUES (NEW.made_at, 'key made', NEW.guild_id, NEW.channel_id, NEW.member_id, json_object('key', NEW.id));
END;

CREATE TRIGGER key_end_is_audited AFTER DELETE ON api_key BEGIN
    INSERT INTO audit (at, what, guild_id, channel_id, member_id, details)
    VALUES (
        round((julianday('now') - 2440587.5) * 86400, 3), 'key revoked', OLD.guild_id, OLD.channel_id, OLD.member_id,
        json_object('key', OLD.id)
    );
END;

-- By which key a job was asked for; NULL for those of Discord. Such a job has no message: its end is handed to the program
-- that waits, delivered_to stays NULL, and afterwards its member finds it in their history like any other.
ALTER TABLE job ADD COLUMN key_id INTEGER;
-- Whether it goes on where nobody waits for it any more; what a program gets in its answer alone does not.
ALTER TABLE job ADD COLUMN lasts INTEGER NOT NULL DEFAULT 1;
