-- There is nothing before version 1.
SELECT 1;
