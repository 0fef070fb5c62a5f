//! Every file of `misconfigurations` is one thing that is wrong with a tenant or a credential: the
//! exact answer of the service, the cause that `send` prints, and the real one.
//!
//! Besides what sessions have (see `support::transcript`), a file says in its head:
//!
//! - `# answer:` how the service's words begin, or `none` where nothing was sent;
//! - `# cause:` a part of what must be printed as the cause, first in the list or, for the answer
//!   that stands for nearly everything, among its causes.
//!
//! The section `--- truth` at the end is the sandbox's own journal: why it refused.

mod support;

use support::transcript::Replayed;

#[tokio::test]
async fn every_misconfiguration() {
    support::transcript::replay_all("misconfigurations", 25, check).await;
}

fn check(written: &str, replayed: &Replayed) -> Result<String, String> {
    let head = |name: &str| {
        let mark = format!("# {name}: ");
        written
            .lines()
            .find_map(|line| line.strip_prefix(&mark).map(str::to_owned))
            .ok_or_else(|| format!("the file does not say the {name}"))
    };
    let told = &replayed.told;
    let (answer, cause) = (head("answer")?, head("cause")?);
    let quoted = told
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("said "));
    match (answer.as_str(), quoted.map(str::trim)) {
        ("none", None) => {}
        ("none", Some(words)) => return Err(format!("nothing was to be answered, but: {words}")),
        (answer, Some(words)) if words.starts_with(answer) => {}
        (answer, _) => return Err(format!("{answer} is not what was answered:\n{told}")),
    }
    let causes: Vec<&str> = told
        .lines()
        .map(str::trim_start)
        .filter(|line| {
            ["cause ", "or else ", "error["]
                .iter()
                .any(|mark| line.starts_with(mark))
        })
        .collect();
    // The answer that stands for nearly everything has many causes; any other has one.
    let is_bare = told.contains("error[S-AUTH-REFUSED]");
    let looked_at = if is_bare {
        causes.len()
    } else {
        causes.len().min(2)
    };
    if !causes[..looked_at].iter().any(|line| line.contains(&cause)) {
        return Err(format!("{cause} is not what was printed:\n{told}"));
    }
    let mut text = replayed.text.clone();
    let mut truths: Vec<&String> = replayed.causes.iter().collect();
    truths.dedup();
    if !truths.is_empty() {
        text.push_str("--- truth\n");
    }
    for truth in truths {
        text.push_str(truth);
        text.push('\n');
    }
    Ok(text)
}
