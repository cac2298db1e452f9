-- Riders a driver is kept from because he cancelled on them, apart from the profile: a platform that
-- puts the profile again must not end them.
ALTER TABLE drivers ADD COLUMN rider_blocks TEXT NOT NULL DEFAULT '{}';
