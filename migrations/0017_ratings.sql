-- What members think of pictures. Of which server and of which model that is stands with it, so that it is counted without
-- reading a request; it goes with the picture, the job, and whoever said it.

-- The stars of one member for one picture.
CREATE TABLE rating (
    member_id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    stars INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5),
    rated_at REAL NOT NULL,
    guild_id INTEGER,
    model TEXT NOT NULL,
    PRIMARY KEY (member_id, job_id, position),
    FOREIGN KEY (job_id, position) REFERENCES picture (job_id, position) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX rating_of_picture ON rating (job_id, position);
CREATE INDEX rating_of_guild ON rating (guild_id, model, member_id, stars);

-- Which picture of a job, or which cell of a table, one member thinks the best.
CREATE TABLE vote (
    member_id INTEGER NOT NULL,
    job_id INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    place INTEGER, -- counted from 0; NULL where it was taken back by somebody who has seen what was hidden until then
    voted_at REAL NOT NULL,
    guild_id INTEGER,
    won TEXT, -- the model of what was chosen, where the job compares models
    beaten TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(beaten)), -- and the other models
    PRIMARY KEY (member_id, job_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX vote_of_job ON vote (job_id, place);
CREATE INDEX vote_of_guild ON vote (guild_id, won, beaten, member_id) WHERE won IS NOT NULL;
