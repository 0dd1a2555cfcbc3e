-- readSegmentsAfter: the segments of a batch in the order of their commits.
create index segments_by_batch on segments (batch);
