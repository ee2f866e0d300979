-- Why a job failed is kept as a reason and its facts, which are put into words where they are read. The sentences of
-- older jobs stay what they are: reasons that are called by their text.
ALTER TABLE job ADD COLUMN failure TEXT CHECK (failure IS NULL OR json_valid(failure));
UPDATE job SET failure = json_object('name', failure_message, 'facts', json('{}')) WHERE failure_message IS NOT NULL;
ALTER TABLE job DROP COLUMN failure_message;
