//! Times as docker's lists show them.

use rbuild_image::time::Timestamp;

use crate::format::{Column, human};

/// The column of [`at`].
pub(super) const CREATED_AT: Column = Column { header: "CREATED AT", field: "CreatedAt" };

/// `3 weeks ago`; `N/A` for what has no time or the zero time.
pub(super) fn since(created: Option<Timestamp>, now: Timestamp) -> String {
    match created {
        Some(time) if time.secs > 0 => format!("{} ago", human::duration(now.secs - time.secs)),
        _ => "N/A".to_owned(),
    }
}

/// `2006-01-02 15:04:05 +0000 UTC`, as Go prints a time.
pub(super) fn at(created: Option<Timestamp>) -> String {
    let Some(time) = created else { return "N/A".to_owned() };
    let whole = Timestamp::new(time.secs, 0).to_string();
    whole.replacen('T', " ", 1).replacen('Z', " +0000 UTC", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let time = Timestamp::new(1_136_239_445, 5);
        assert_eq!(at(Some(time)), "2006-01-02 22:04:05 +0000 UTC");
        assert_eq!(since(Some(time), Timestamp::new(1_136_239_445 + 7200, 0)), "2 hours ago");
        assert_eq!(since(Some(Timestamp::EPOCH), time), "N/A");
        assert_eq!((at(None), since(None, time)), ("N/A".to_owned(), "N/A".to_owned()));
    }
}
