-- A driver may have the ride he serves and one that waits until he has finished it: the last line of
-- defence is one of each.
ALTER TABLE rides ADD COLUMN forward INTEGER NOT NULL DEFAULT 0;
DROP INDEX rides_active_driver;
CREATE UNIQUE INDEX rides_active_driver ON rides (driver_id, forward)
    WHERE status IN ('assigned', 'arrived', 'in_progress');
