-- A job is spoken of in the language of who asked for it, also after a restart. Of older ones nobody wrote it down: they
-- are spoken of in the operator's.
ALTER TABLE job ADD COLUMN language TEXT;
