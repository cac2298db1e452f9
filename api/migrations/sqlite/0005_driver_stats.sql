-- What each driver did of late, for ranking: JSON; absent for who was written before this was kept.
ALTER TABLE drivers ADD COLUMN stats TEXT;
