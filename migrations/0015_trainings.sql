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
