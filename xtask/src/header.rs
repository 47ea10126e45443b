//! What a test file says about itself: `key: value` comments at its top.

use std::time::Duration;

/// The keys and values of the comment that opens a file, in order.
pub(crate) struct Header(Vec<Entry>);

struct Entry {
    key: String,
    value: String,
    reason: String,
}

impl Header {
    /// Reads comment lines that begin with `mark`, up to the first other line.
    ///
    /// What follows ` -- ` in a value is for readers. Lines without a colon are prose.
    pub(crate) fn parse(source: &str, mark: &str) -> Self {
        let comment = source
            .lines()
            .filter(|line| !line.starts_with("#!"))
            .map_while(|line| line.strip_prefix(mark));
        let pairs = comment.filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            let (value, reason) = value.split_once(" -- ").unwrap_or((value, ""));
            Some(Entry {
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                reason: reason.trim().to_owned(),
            })
        });
        Self(pairs.collect())
    }

    /// Every value of a key.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.with_reasons(key).map(|(value, _)| value)
    }

    /// Every value of a key, and what was said to the reader about it.
    pub(crate) fn with_reasons<'a>(
        &'a self,
        key: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter(move |entry| entry.key == key)
            .map(|entry| (entry.value.as_str(), entry.reason.as_str()))
    }

    /// The first value of a key.
    pub(crate) fn get<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// Every word in the values of a key.
    pub(crate) fn words<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(key).flat_map(str::split_whitespace)
    }

    /// The time limit, given in seconds.
    pub(crate) fn limit(&self, default: Duration) -> Duration {
        let given = self.get("timeout").and_then(|value| value.parse().ok());
        given.map_or(default, Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_with_the_comment() {
        let source =
            "// timeout: 300\n// A sentence.\n// env: A=1\n// env: B=2\nint x; // exit: 3\n";
        let header = Header::parse(source, "//");
        assert_eq!(header.limit(Duration::ZERO), Duration::from_secs(300));
        assert_eq!(header.all("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
        assert_eq!(header.get("exit"), None);
    }

    #[test]
    fn the_interpreter_line_is_passed_over() {
        let header = Header::parse("#!/bin/bash\n# runs: 2\n", "#");
        assert_eq!(header.get("runs"), Some("2"));
    }

    #[test]
    fn a_reason_may_follow() {
        let header = Header::parse("// control: skip -- it: is slow\n", "//");
        assert_eq!(header.get("control"), Some("skip"));
        let reasons: Vec<_> = header.with_reasons("control").collect();
        assert_eq!(reasons, [("skip", "it: is slow")]);
    }
}
