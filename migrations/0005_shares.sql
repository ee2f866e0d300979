-- Of the seconds that a job took, what part it had for itself: others may have shared its pass. How many did that with
-- older jobs nobody wrote down.
ALTER TABLE job ADD COLUMN share REAL NOT NULL DEFAULT 1.0 CHECK (share > 0.0 AND share <= 1.0);
