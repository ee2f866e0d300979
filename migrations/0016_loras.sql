-- What came of a training and landed: a LoRA of a member's. Its files lie in the folder `loras` of the data folder, by their
-- hashes; `sha256` is the one that new jobs are painted with.
CREATE TABLE lora (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    member_id INTEGER NOT NULL,
    guild_id INTEGER, -- where it was trained, or is shared; NULL for direct messages
    training_id INTEGER UNIQUE, -- which may be gone
    name TEXT NOT NULL,
    trigger_words TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('style', 'subject')),
    consent TEXT NOT NULL,
    license TEXT NOT NULL,
    pictures INTEGER NOT NULL, -- how many it learned from; they themselves are not kept with it
    model TEXT NOT NULL, -- that it was trained on
    family TEXT NOT NULL, -- of that
    weight REAL NOT NULL,
    epoch INTEGER NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    share TEXT NOT NULL DEFAULT 'own' CHECK (share IN ('own', 'server', 'all')), -- with whom its owner wants it shared
    state TEXT NOT NULL DEFAULT 'usable' CHECK (state IN ('usable', 'pending', 'refused')), -- by them, that is
    decided_by INTEGER, -- who let it be shared, or not; NULL where nobody had to, and for the operator
    told INTEGER NOT NULL DEFAULT 1 CHECK (told IN (0, 1)), -- whether its owner has heard of that
    made_at REAL NOT NULL,
    UNIQUE (member_id, name)
) STRICT;
CREATE INDEX lora_of_guild ON lora (guild_id, id);

-- One name means one LoRA to whoever can see it.
CREATE UNIQUE INDEX lora_called_in_server ON lora (guild_id, name) WHERE share = 'server' AND state <> 'refused';
CREATE UNIQUE INDEX lora_called_everywhere ON lora (name) WHERE share = 'all' AND state <> 'refused';

-- All that it ever was: a job that was painted with another epoch is painted again with that.
CREATE TABLE lora_file (
    lora_id INTEGER NOT NULL REFERENCES lora (id) ON DELETE CASCADE,
    member_id INTEGER NOT NULL, -- the LoRA's
    epoch INTEGER NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64), -- in diffusers' layout: what is painted with
    kohya_sha256 TEXT NOT NULL CHECK (length(kohya_sha256) = 64), -- in kohya's, to take along
    preview_sha256 TEXT CHECK (preview_sha256 IS NULL OR length(preview_sha256) = 64),
    bytes INTEGER NOT NULL, -- of all of them
    made_at REAL NOT NULL,
    PRIMARY KEY (lora_id, epoch)
) STRICT;
CREATE INDEX lora_file_by_hash ON lora_file (sha256);

-- In which message moderators were asked, and what it says now. It outlives its LoRA until the message is taken away.
CREATE TABLE lora_question (
    lora_id INTEGER PRIMARY KEY,
    guild_id INTEGER NOT NULL,
    channel_id INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    shown TEXT NOT NULL
) STRICT;

-- What of each training has landed, so that it lands once, and not again when it was deleted.
CREATE TABLE landing (
    training_id INTEGER PRIMARY KEY,
    member_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    problem TEXT CHECK (problem IS NULL OR json_valid(problem)) -- why it did not
) STRICT;

-- Counts up whenever LoRAs are others than before: by it the bot sees what its operator changes beside it.
CREATE TABLE lora_change (id INTEGER PRIMARY KEY CHECK (id = 0), number INTEGER NOT NULL) STRICT;
INSERT INTO lora_change VALUES (0, 0);
CREATE TRIGGER lora_was_added AFTER INSERT ON lora BEGIN UPDATE lora_change SET number = number + 1; END;
CREATE TRIGGER lora_was_changed AFTER UPDATE ON lora BEGIN UPDATE lora_change SET number = number + 1; END;
CREATE TRIGGER lora_was_deleted AFTER DELETE ON lora BEGIN UPDATE lora_change SET number = number + 1; END;
CREATE TRIGGER lora_has_a_file AFTER INSERT ON lora_file BEGIN UPDATE lora_change SET number = number + 1; END;
