-- A training: pictures of a member's by which a LoRA is taught. Its files lie in trainings/ID of the data folder: `pictures`,
-- and `run`, which the trainer writes. What came of it is a member's LoRA only once it has landed, which is known elsewhere.
CREATE TABLE training (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: its folder is called so
    member_id INTEGER NOT NULL,
    guild_id INTEGER, -- NULL in direct messages
    channel_id INTEGER NOT NULL,
    message_id INTEGER, -- in which its panel stands; NULL where it has none
    language TEXT, -- what was spoken to its member
    name TEXT NOT NULL, -- of the LoRA
    kind TEXT NOT NULL CHECK (kind IN ('style', 'subject')),
    trigger_words TEXT NOT NULL DEFAULT '',
    consent TEXT NOT NULL,
    license TEXT NOT NULL,
    model TEXT NOT NULL,
    options TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(options)),
    state TEXT NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'waiting', 'training', 'ended', 'stopped', 'failed')),
    reason TEXT CHECK (reason IS NULL OR json_valid(reason)), -- why it failed
    deaths INTEGER NOT NULL DEFAULT 0, -- of its process, since it last gained a step
    step INTEGER NOT NULL DEFAULT 0,
    steps INTEGER, -- of all; NULL until the trainer has said it
    loss REAL, -- of its last steps
    epoch INTEGER NOT NULL DEFAULT 0, -- how many have ended
    epochs INTEGER,
    chosen INTEGER, -- the epoch that is what came of it
    share TEXT NOT NULL DEFAULT 'own' CHECK (share IN ('own', 'server', 'all')),
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL, -- by its member or the trainer
    submitted_at REAL, -- its place in the line
    started_at REAL,
    ended_at REAL
) STRICT;
CREATE INDEX training_of_member ON training (member_id, id);
CREATE INDEX training_of_guild ON training (guild_id, changed_at);
CREATE INDEX training_unfinished ON training (submitted_at, id) WHERE state IN ('waiting', 'training');

CREATE TABLE training_picture (
    training_id INTEGER NOT NULL REFERENCES training (id) ON DELETE CASCADE,
    member_id INTEGER NOT NULL, -- the training's
    number INTEGER NOT NULL, -- its file is called so
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    caption TEXT NOT NULL DEFAULT '', -- without the trigger words
    PRIMARY KEY (training_id, number),
    UNIQUE (training_id, sha256)
) STRICT;
CREATE INDEX training_picture_of_member ON training_picture (member_id, training_id, number);
CREATE INDEX training_picture_by_hash ON training_picture (sha256);

CREATE TABLE training_epoch (
    training_id INTEGER NOT NULL REFERENCES training (id) ON DELETE CASCADE,
    member_id INTEGER NOT NULL, -- the training's
    epoch INTEGER NOT NULL,
    step INTEGER NOT NULL,
    loss REAL NOT NULL, -- mean of its steps
    ended_at REAL NOT NULL,
    PRIMARY KEY (training_id, epoch)
) STRICT;

-- What the limit of a server is measured by. It outlives its training, or whoever deletes theirs could begin more.
CREATE TABLE training_spent (
    training_id INTEGER PRIMARY KEY,
    member_id INTEGER NOT NULL,
    guild_id INTEGER,
    at REAL NOT NULL
) STRICT;
CREATE INDEX training_spent_of ON training_spent (member_id, guild_id, at);

CREATE TRIGGER training_spent_is_forgotten AFTER INSERT ON training_spent BEGIN
    DELETE FROM training_spent WHERE at < NEW.at - 31 * 86400;
END;

-- The audit is told as of jobs: who began one on which pictures, how it ended, who has none any more.
CREATE TRIGGER training_is_audited AFTER UPDATE OF state ON training
WHEN OLD.state IS NOT NEW.state AND (NEW.state IN ('ended', 'failed') OR OLD.state = 'draft') BEGIN
    INSERT INTO audit (at, what, guild_id, channel_id, member_id, kind, hashes, details)
    VALUES (
        NEW.changed_at,
        CASE NEW.state WHEN 'ended' THEN 'finished' WHEN 'failed' THEN 'failed' ELSE 'accepted' END,
        NEW.guild_id, NEW.channel_id, NEW.member_id, 'train',
        CASE OLD.state
            WHEN 'draft' THEN (SELECT json_group_array(sha256) FROM training_picture WHERE training_id = NEW.id)
            ELSE '[]'
        END,
        CASE
            WHEN NEW.state <> 'failed' OR NEW.reason IS NULL THEN json_object('training', NEW.id)
            ELSE json_object('rule', json_extract(NEW.reason, '$.name'), 'facts', (
                SELECT json_group_object(key, value) FROM json_each(NEW.reason, '$.facts')
                WHERE type IN ('integer', 'real') OR key = 'model'
            ))
        END
    );
END;

CREATE TRIGGER training_deletion_is_audited AFTER DELETE ON training WHEN OLD.state <> 'draft' BEGIN
    INSERT INTO audit (at, what, guild_id, channel_id, member_id, kind, details)
    VALUES (
        round((julianday('now') - 2440587.5) * 86400, 3), 'deleted',
        OLD.guild_id, OLD.channel_id, OLD.member_id, 'train', json_object('training', OLD.id)
    );
END;
