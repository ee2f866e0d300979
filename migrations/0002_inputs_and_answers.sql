-- Jobs that work on pictures, and answers that are no pictures.
ALTER TABLE job ADD COLUMN answer TEXT CHECK (answer IS NULL OR json_valid(answer));
-- The largest file, in bytes, that the job's reply may carry; Discord's least until each interaction says its own.
ALTER TABLE job ADD COLUMN attachment_size_limit INTEGER NOT NULL DEFAULT 10485760;

-- The pictures that a job works on: uploads, or what other jobs made.
CREATE TABLE input (
    job_id INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX input_by_content ON input (sha256);

-- Only painted pictures have a seed. SQLite cannot loosen a column, so the table is made anew.
CREATE TABLE picture_with_or_without_seed (
    job_id INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    seed TEXT,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

INSERT INTO picture_with_or_without_seed SELECT job_id, position, sha256, seed, width, height FROM picture;
DROP TABLE picture;
ALTER TABLE picture_with_or_without_seed RENAME TO picture;
CREATE INDEX picture_by_content ON picture (sha256);

-- Every use of a file in the pictures' folder: one that nobody uses any more is removed.
CREATE VIEW file_use AS SELECT job_id, sha256 FROM picture UNION ALL SELECT job_id, sha256 FROM input;
CREATE INDEX job_of_message ON job (message_id);
