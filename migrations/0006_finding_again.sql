-- What members find again: jobs by the words of what was asked for, and what they starred.

-- Any part of a word is found, in any script: Chinese has no spaces between its words.
CREATE VIRTUAL TABLE job_words USING fts5 (words, tokenize = 'trigram');

CREATE VIEW job_wording AS SELECT
    id,
    coalesce(
        json_extract(request, '$.prompt'),
        json_extract(request, '$.cells[0].prompt') || ' '
            || (SELECT group_concat(value, ' ') FROM json_each(request, '$.columns')),
        json_extract(request, '$.text') || ' ' || coalesce(json_extract(request, '$.edit.prompt'), ''),
        (SELECT group_concat(value, ' ') FROM json_each(request, '$.labels')),
        ''
    ) AS words
FROM job;

INSERT INTO job_words (rowid, words) SELECT id, words FROM job_wording;

CREATE TRIGGER job_is_worded AFTER INSERT ON job BEGIN
    INSERT INTO job_words (rowid, words) SELECT id, words FROM job_wording WHERE id = NEW.id;
END;
CREATE TRIGGER job_is_reworded AFTER UPDATE OF request ON job WHEN NEW.request IS NOT OLD.request BEGIN
    UPDATE job_words SET words = (SELECT words FROM job_wording WHERE id = NEW.id) WHERE rowid = NEW.id;
END;
CREATE TRIGGER job_is_unworded AFTER DELETE ON job BEGIN
    DELETE FROM job_words WHERE rowid = OLD.id;
END;

CREATE INDEX job_of_member_by_kind ON job (member_id, kind, id);
CREATE INDEX job_of_member_by_model ON job (member_id, json_extract(request, '$.model'), id);

-- A star of one member on one picture, be it theirs or somebody else's.
CREATE TABLE favourite (
    member_id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    starred_at REAL NOT NULL,
    PRIMARY KEY (member_id, job_id, position),
    FOREIGN KEY (job_id, position) REFERENCES picture (job_id, position) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX favourite_by_picture ON favourite (job_id, position);

-- What a member searched their history for: the buttons under it name it by its number, their 100 characters hold no more.
CREATE TABLE search (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    member_id INTEGER NOT NULL,
    words TEXT NOT NULL,
    command TEXT NOT NULL,
    model TEXT NOT NULL,
    favourites INTEGER NOT NULL,
    used_at REAL NOT NULL,
    UNIQUE (member_id, words, command, model, favourites)
) STRICT;

-- Who does not want to be told what they favour.
CREATE TABLE member_without_suggestions (member_id INTEGER PRIMARY KEY) STRICT;
