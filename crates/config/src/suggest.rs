//! The nearest known word to one that was mistyped.

/// Finds the candidate nearest to a word, if one is near enough to be meant.
///
/// Near enough: at most a third of the longer word's letters differ (a swap of two neighbours
/// counts once), or one of the two begins with the other.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let plain = candidate.to_ascii_lowercase().replace('-', "_");
            let distance = distance(&word, &plain);
            let longer = word.chars().count().max(plain.chars().count());
            let part = word.len() >= 3
                && plain.len() >= 3
                && (plain.starts_with(&word) || word.starts_with(&plain));
            (distance * 3 <= longer || part).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Counts the edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let width = right.len() + 1;
    let mut rows = vec![0; (left.len() + 1) * width];
    for (column, cell) in rows.iter_mut().take(width).enumerate() {
        *cell = column;
    }
    for row in 1..=left.len() {
        rows[row * width] = row;
        for column in 1..=right.len() {
            let replaced = usize::from(left[row - 1] != right[column - 1]);
            let mut best = (rows[(row - 1) * width + column] + 1)
                .min(rows[row * width + column - 1] + 1)
                .min(rows[(row - 1) * width + column - 1] + replaced);
            if row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1]
            {
                best = best.min(rows[(row - 2) * width + column - 2] + 1);
            }
            rows[row * width + column] = best;
        }
    }
    rows[left.len() * width + right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["tenant", "client_id", "credential", "mailboxes", "cloud"];
        for (word, expected) in [
            ("tennant", Some("tenant")),
            ("tenatn", Some("tenant")),
            ("client-id", Some("client_id")),
            ("clientid", Some("client_id")),
            ("mailbox", Some("mailboxes")),
            ("CLOUD", Some("cloud")),
            ("zebra", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
