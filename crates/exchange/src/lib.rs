//! What Exchange Online says and means: reply catalogue and limits.
