-- Whether a checker flagged it, or what it was made of: it is hidden until somebody wants to see it. Nothing of what was
-- flagged before this was ever kept.
ALTER TABLE picture ADD COLUMN flagged INTEGER NOT NULL DEFAULT 0;
