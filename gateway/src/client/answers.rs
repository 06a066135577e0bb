//! The answer to a batch: a line an entry, and the totals at the end.

use serde::Deserialize;

use super::error::ClientError;
use super::http::Answer;
use super::lines::Lines;

/// One line.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Which entry.
    pub name: String,
    /// Its length, as stored.
    pub size: u64,
    /// CRC-32C of what was stored, eight hex digits.
    pub crc32c: Option<String>,
    /// Why it is nothing to store: a folder appears with the files in it.
    pub skipped: Option<String>,
    /// Why it was not stored; in the last line, why the batch broke off.
    pub error: Option<String>,
    /// In the last line only: how many were stored.
    pub stored: Option<u64>,
}

/// Reads the lines, and tells `tell` of each that is about an entry.
///
/// # Errors
/// [`ClientError::Refused`] or, where the answer had begun as a success, [`ClientError::Impossible`] if the batch broke off for a reason
/// of its own; others as [`Answer::piece`].
pub async fn read(answer: Answer, mut tell: impl FnMut(Line)) -> Result<(), ClientError> {
    let (status, retry_after) = (answer.status(), answer.retry_after());
    let mut lines = Lines::of(answer);
    while let Some(line) = lines.next::<Line>().await? {
        match (line.stored, line.error) {
            (None, None) if line.skipped.is_some() => {}
            (None, error) => tell(Line { error, ..line }),
            (Some(_), Some(reason)) if !status.is_success() => {
                return Err(ClientError::Refused {
                    status,
                    reason,
                    retry_after,
                });
            }
            (Some(_), Some(error)) => return Err(ClientError::Impossible(error)),
            (Some(_), None) => {
                // Behind the last line there may be a trailer, which counts too.
                while lines.next::<serde::de::IgnoredAny>().await?.is_some() {}
                return Ok(());
            }
        }
    }
    Err(ClientError::Broken(
        "the answer has no last line".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let line = |text| serde_json::from_str::<Line>(text).unwrap();
        let stored = line(r#"{"name":"a","size":5,"eTag":"x","crc32c":"d4a26623"}"#);
        assert_eq!((stored.size, stored.stored, stored.error), (5, None, None));
        let folder = line(r#"{"name":"a/","skipped":"a directory"}"#);
        assert!(folder.skipped.is_some());
        let refused = line(r#"{"name":"a","error":"too long"}"#);
        assert_eq!(refused.error.as_deref(), Some("too long"));
        let last = line(r#"{"stored":2,"failed":0,"bytes":10}"#);
        assert_eq!(last.stored, Some(2));
    }
}
