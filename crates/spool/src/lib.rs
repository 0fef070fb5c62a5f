//! The durable store of accepted submissions.
